//! How rows are written: a checksum over key and content first.
//!
//! redb checks its pages only when it repairs, sled passes over some that are broken. A row that says of itself that it
//! is whole makes damage known at the first read of it, also when a page was put in another one's place.

use crc32fast::Hasher;
use runtime_traits::guard::Guard;

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

/// Writes the checksum of the row that `row` holds behind its first four bytes.
pub(crate) fn seal(row: &mut [u8], key: &[u8]) {
    let (sum, content) = row.split_at_mut(SUM);
    sum.copy_from_slice(&checksum(key, content).to_le_bytes());
}

/// The content of a row whose checksum fits.
pub(crate) fn unseal<'a>(row: &'a [u8], key: &[u8]) -> Result<&'a [u8], Torn> {
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
