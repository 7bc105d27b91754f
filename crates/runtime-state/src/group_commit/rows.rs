//! How rows are written: a checksum over key and content first.
//!
//! redb checks its pages only when it repairs, sled passes over some that are broken. A row that says of itself that it is whole makes damage known at the
//! first read of it, also when a page was put in another one's place.

use bytes::Bytes;
use crc32fast::Hasher;
use runtime_traits::store::{Cell, Revision};

/// Bytes of a row before its content.
pub(crate) const SUM: usize = 4;

/// A row whose checksum does not fit its content.
#[derive(Debug)]
pub(crate) struct Torn;

/// A log's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRow {
    /// The number that its entries are filed under; never given twice.
    pub(crate) id: u64,
    pub(crate) first: u64,
    pub(crate) next: u64,
}

impl LogRow {
    pub(crate) const LEN: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.id, self.first, self.next]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Torn> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| Torn)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let [id, first, next] = [0, 1, 2].map(|place| u64::from_le_bytes(numbers[place]));
        if first == 0 || first > next {
            return Err(Torn);
        }
        Ok(Self { id, first, next })
    }
}

/// How long the row of a cell with a value of this length is.
pub(crate) fn cell_len(value: usize) -> usize {
    SUM + 8 + value
}

pub(crate) fn write_cell(row: &mut [u8], key: &[u8], revision: Revision, value: &[u8]) {
    row[SUM..SUM + 8].copy_from_slice(&revision.0.to_le_bytes());
    row[SUM + 8..].copy_from_slice(value);
    seal(row, key);
}

/// The revision and the value in a cell's row.
pub(crate) fn cell_in<'a>(row: &'a [u8], key: &[u8]) -> Result<(Revision, &'a [u8]), Torn> {
    let content = unseal(row, key)?;
    let (revision, value) = content.split_first_chunk().ok_or(Torn)?;
    Ok((Revision(u64::from_le_bytes(*revision)), value))
}

/// The cell in its row.
pub(crate) fn cell(row: &[u8], key: &[u8]) -> Result<Cell, Torn> {
    let (revision, value) = cell_in(row, key)?;
    Ok(Cell { value: Bytes::copy_from_slice(value), revision })
}

/// How long the row of an entry of this length is.
pub(crate) fn entry_len(entry: usize) -> usize {
    SUM + entry
}

pub(crate) fn write_entry(row: &mut [u8], key: u128, entry: &[u8]) {
    row[SUM..].copy_from_slice(entry);
    seal(row, &key.to_be_bytes());
}

/// The entry in its row.
pub(crate) fn entry(row: &[u8], key: u128) -> Result<Bytes, Torn> {
    unseal(row, &key.to_be_bytes()).map(Bytes::copy_from_slice)
}

pub(crate) fn log_row(row: LogRow, key: &[u8]) -> [u8; SUM + LogRow::LEN] {
    let mut bytes = [0; SUM + LogRow::LEN];
    bytes[SUM..].copy_from_slice(&row.to_bytes());
    seal(&mut bytes, key);
    bytes
}

/// The log in its row.
pub(crate) fn log(row: &[u8], key: &[u8]) -> Result<LogRow, Torn> {
    LogRow::from_bytes(unseal(row, key)?)
}

pub(crate) fn revisions_row(revisions: impl Iterator<Item = u64>, key: &[u8]) -> Vec<u8> {
    let mut row = vec![0; SUM];
    row.extend(revisions.flat_map(u64::to_le_bytes));
    seal(&mut row, key);
    row
}

/// The last revisions of a pool's partitions in their row.
pub(crate) fn revisions(row: &[u8], key: &[u8]) -> Result<Vec<u64>, Torn> {
    let (revisions, rest) = unseal(row, key)?.as_chunks();
    if rest.is_empty() { Ok(revisions.iter().copied().map(u64::from_le_bytes).collect()) } else { Err(Torn) }
}

/// Writes the checksum of the row that `row` holds behind its first four bytes.
pub(crate) fn seal(row: &mut [u8], key: &[u8]) {
    let (sum, content) = row.split_at_mut(SUM);
    sum.copy_from_slice(&checksum(key, content).to_le_bytes());
}

/// The content of a row whose checksum fits.
pub(crate) fn unseal<'a>(row: &'a [u8], key: &[u8]) -> Result<&'a [u8], Torn> {
    let (sum, content) = row.split_first_chunk::<SUM>().ok_or(Torn)?;
    if checksum(key, content) == u32::from_le_bytes(*sum) { Ok(content) } else { Err(Torn) }
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(content);
    hasher.finalize()
}
