//! What there should be: sums over rows, kept with every write, so that a row that sled has lost is missed.
//!
//! sled passes over parts of a log that it cannot read. Rows that were there are then gone or are what they once were,
//! whole as they look. The sum over the rows of a partition lies in the partition's row, the sum over these in the
//! store's, and how many groups the store has seen in the [`Mark`](super::mark::Mark).

use std::collections::HashMap;

use runtime_traits::partition::{Partition, Pool};

use super::layout;
use crate::group_commit::rows::{SUM, Torn};
use crate::group_commit::{Contents, SLICES};

/// Over some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    rows: u64,
    /// Keys and rows.
    pub(super) bytes: u64,
    /// Of their checksums.
    digest: u64,
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) revision: u64,
    pub(super) sum: Sum,
}

/// What is known of the store.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Groups written since the store was made.
    pub(super) count: u64,
    pub(super) next_log: u64,
    pub(super) parts: HashMap<Partition, Part>,
    /// Over the rows of `parts`.
    pub(super) over_parts: Sum,
}

impl Sum {
    const LEN: usize = 24;

    /// Takes a row in.
    pub(super) fn add(&mut self, key: &[u8], row: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add((key.len() + row.len()) as u64);
        self.digest = self.digest.wrapping_add(weight(row));
    }

    /// Takes a row out.
    pub(super) fn subtract(&mut self, key: &[u8], row: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub((key.len() + row.len()) as u64);
        self.digest = self.digest.wrapping_sub(weight(row));
    }

    fn to_bytes(self) -> [u8; Self::LEN] {
        numbers_to_bytes([self.rows, self.bytes, self.digest])
    }

    fn from_numbers([rows, bytes, digest]: [u64; 3]) -> Self {
        Self { rows, bytes, digest }
    }
}

impl Part {
    pub(super) fn row(self, key: &[u8]) -> Vec<u8> {
        layout::seal_row(key, &[&self.revision.to_le_bytes(), &self.sum.to_bytes()])
    }

    pub(super) fn from_row(key: &[u8], row: &[u8]) -> Result<Self, Torn> {
        let [revision, sum @ ..] = numbers::<4>(layout::content(key, row)?)?;
        Ok(Self { revision, sum: Sum::from_numbers(sum) })
    }
}

impl Known {
    /// Of a store that was just made.
    pub(super) fn new() -> Self {
        Self { count: 0, next_log: 1, parts: HashMap::new(), over_parts: Sum::default() }
    }

    /// What the store's own row says.
    pub(super) fn from_row(row: &[u8]) -> Result<Self, Torn> {
        let [count, next_log, sum @ ..] = numbers::<5>(layout::content(layout::STORE, row)?)?;
        Ok(Self { count, next_log, parts: HashMap::new(), over_parts: Sum::from_numbers(sum) })
    }

    pub(super) fn row(&self) -> Vec<u8> {
        let numbers = numbers_to_bytes::<16>([self.count, self.next_log]);
        layout::seal_row(layout::STORE, &[&numbers, &self.over_parts.to_bytes()])
    }

    /// Bytes of all rows.
    pub(super) fn live(&self) -> u64 {
        self.parts.values().map(|part| part.sum.bytes).sum()
    }

    pub(super) fn contents(&self) -> Contents {
        let mut revisions: HashMap<Pool, Vec<u64>> = HashMap::new();
        for (partition, part) in &self.parts {
            let pool = revisions.entry(partition.pool).or_insert_with(|| vec![0; SLICES]);
            pool[usize::from(partition.index)] = part.revision;
        }
        Contents { revisions, next_log: self.next_log }
    }
}

/// A row's checksum, spread: the differences of checksums are not chance.
fn weight(row: &[u8]) -> u64 {
    let sum = row.first_chunk::<SUM>().copied().map_or(0, u32::from_le_bytes);
    let spread = (u64::from(sum) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread ^ (spread >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn numbers<const N: usize>(bytes: &[u8]) -> Result<[u64; N], Torn> {
    let (found, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Torn);
    }
    let found: &[[u8; 8]; N] = found.try_into().map_err(|_| Torn)?;
    Ok(found.map(u64::from_le_bytes))
}

fn numbers_to_bytes<const BYTES: usize>(numbers: impl IntoIterator<Item = u64>) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}
