//! What is in redb's rows.

use bytes::Bytes;
use runtime_traits::store::{Cell, Revision};

use crate::group_commit::rows::{LogRow, SUM, Torn, seal, unseal};

/// How long the row of a cell with a value of this length is.
pub(super) fn cell_len(value: usize) -> usize {
    SUM + 8 + value
}

pub(super) fn write_cell(row: &mut [u8], key: &[u8], revision: Revision, value: &[u8]) {
    row[SUM..SUM + 8].copy_from_slice(&revision.0.to_le_bytes());
    row[SUM + 8..].copy_from_slice(value);
    seal(row, key);
}

/// The revision and the value in a cell's row.
pub(super) fn cell_in<'a>(row: &'a [u8], key: &[u8]) -> Result<(Revision, &'a [u8]), Torn> {
    let content = unseal(row, key)?;
    let (revision, value) = content.split_first_chunk().ok_or(Torn)?;
    Ok((Revision(u64::from_le_bytes(*revision)), value))
}

/// The cell in its row.
pub(super) fn cell(row: &[u8], key: &[u8]) -> Result<Cell, Torn> {
    let (revision, value) = cell_in(row, key)?;
    Ok(Cell { value: Bytes::copy_from_slice(value), revision })
}

/// How long the row of an entry of this length is.
pub(super) fn entry_len(entry: usize) -> usize {
    SUM + entry
}

pub(super) fn write_entry(row: &mut [u8], key: u128, entry: &[u8]) {
    row[SUM..].copy_from_slice(entry);
    seal(row, &key.to_be_bytes());
}

/// The entry in its row.
pub(super) fn entry(row: &[u8], key: u128) -> Result<Bytes, Torn> {
    unseal(row, &key.to_be_bytes()).map(Bytes::copy_from_slice)
}

pub(super) fn log_row(row: LogRow, key: &[u8]) -> [u8; SUM + LogRow::LEN] {
    let mut bytes = [0; SUM + LogRow::LEN];
    bytes[SUM..].copy_from_slice(&row.to_bytes());
    seal(&mut bytes, key);
    bytes
}

/// The log in its row.
pub(super) fn log(row: &[u8], key: &[u8]) -> Result<LogRow, Torn> {
    LogRow::from_bytes(unseal(row, key)?)
}

pub(super) fn revisions_row(revisions: impl Iterator<Item = u64>, key: &[u8]) -> Vec<u8> {
    let mut row = vec![0; SUM];
    row.extend(revisions.flat_map(u64::to_le_bytes));
    seal(&mut row, key);
    row
}

/// The last revisions of a pool's partitions in their row.
pub(super) fn revisions(row: &[u8], key: &[u8]) -> Result<Vec<u64>, Torn> {
    let (revisions, rest) = unseal(row, key)?.as_chunks();
    if rest.is_empty() { Ok(revisions.iter().copied().map(u64::from_le_bytes).collect()) } else { Err(Torn) }
}
