//! How rows are written: a checksum over key and content first.
//!
//! redb checks its pages only when it repairs. A row that says of itself that it is whole makes damage known at the
//! first read of it, also when a page was put in another one's place.

use bytes::Bytes;
use crc32fast::Hasher;
use runtime_traits::guard::Guard;
use runtime_traits::store::{Cell, Revision};

const SUM: usize = 4;

/// A row whose checksum does not fit its content.
#[derive(Debug)]
pub(super) struct Torn;

/// A log's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    /// The number that its entries are filed under; never given twice.
    pub(super) id: u64,
    pub(super) first: u64,
    pub(super) next: u64,
}

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

pub(super) fn log_row(row: LogRow, key: &[u8]) -> [u8; SUM + 24] {
    let mut bytes = [0; SUM + 24];
    bytes[SUM..SUM + 8].copy_from_slice(&row.id.to_le_bytes());
    bytes[SUM + 8..SUM + 16].copy_from_slice(&row.first.to_le_bytes());
    bytes[SUM + 16..].copy_from_slice(&row.next.to_le_bytes());
    seal(&mut bytes, key);
    bytes
}

/// The log in its row.
pub(super) fn log(row: &[u8], key: &[u8]) -> Result<LogRow, Torn> {
    let content: &[u8; 24] = unseal(row, key)?.try_into().map_err(|_| Torn)?;
    let (numbers, _) = content.as_chunks::<8>();
    let [id, first, next] = [0, 1, 2].map(|place| u64::from_le_bytes(numbers[place]));
    if first == 0 || first > next {
        return Err(Torn);
    }
    Ok(LogRow { id, first, next })
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

fn seal(row: &mut [u8], key: &[u8]) {
    let (sum, content) = row.split_at_mut(SUM);
    sum.copy_from_slice(&checksum(key, content).to_le_bytes());
}

fn unseal<'a>(row: &'a [u8], key: &[u8]) -> Result<&'a [u8], Torn> {
    let (sum, content) = row.split_first_chunk::<SUM>().ok_or(Torn)?;
    let fits = checksum(key, content) == u32::from_le_bytes(*sum);
    if fits || !Guard::RowChecksum.holds() { Ok(content) } else { Err(Torn) }
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(content);
    hasher.finalize()
}
