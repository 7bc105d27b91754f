//! What a user may choose about the store.

use crate::Integrity;

/// What may be chosen about a [`RedbStore`](crate::RedbStore).
///
/// # Examples
/// ```
/// use runtime_state::RedbOptions;
///
/// let options = RedbOptions { cache: 256 * 1024 * 1024, ..RedbOptions::default() };
/// assert_eq!(options.group, 64);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedbOptions {
    /// Bytes of memory for pages of the file. 64 MiB unless told otherwise.
    pub cache: usize,
    /// The most batches in one transaction, which share its syncs. 64 unless told otherwise.
    pub group: usize,
    /// The most batches that wait; one more is refused as unavailable. 16,384 unless told otherwise.
    pub queue: usize,
    /// How much of the file is checked when it is opened.
    pub integrity: Integrity,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache: 64 * 1024 * 1024, group: 64, queue: 16_384, integrity: Integrity::AsNeeded }
    }
}
