//! The owner of a partition does not move with it.

use bytes::Bytes;
use runtime_traits::store::{Key, Token};

use crate::chance;

/// The cell that names the owner of its partition: a token, then a record with the epoch.
const OWNER: &[u8] = b"own";
const TOKEN: usize = size_of::<Token>();

/// The value as the copy gets it. An owner's keeps its record, and with it its epoch: the next owner takes the one after
/// it. But its token becomes one that nobody has, so that no process that was the owner of the original owns the copy.
pub(crate) fn nobodys(key: &Key, value: Bytes) -> Bytes {
    match record(key, &value) {
        Some(record) => [&chance::bytes::<TOKEN>()[..], record].concat().into(),
        None => value,
    }
}

/// Whether `copy` is what [`nobodys`] makes of `original`.
pub(super) fn is_copy(key: &Key, original: &[u8], copy: &[u8]) -> bool {
    match (record(key, original), record(key, copy)) {
        (Some(original), Some(copy)) => original == copy,
        _ => original == copy,
    }
}

/// What follows the token in an owner's cell.
fn record<'a>(key: &Key, value: &'a [u8]) -> Option<&'a [u8]> {
    value.get(TOKEN..).filter(|_| key.path.as_bytes() == OWNER)
}
