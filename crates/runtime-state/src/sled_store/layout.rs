//! Keys and rows in sled's one tree.
//!
//! All rows of a partition lie together, so that one pass over them can tell whether one is missing. A value or entry
//! longer than [`CHUNK`] lies in several rows: sled puts a page that is longer than 128 KiB into a file of its own, never
//! syncs that and never removes it. A page has up to 19 rows.

use std::ops::Range;

use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Path, Seq};

use crate::group_commit::keys;
use crate::group_commit::rows::{SUM, Torn, seal, unseal};

/// The most bytes of a value or an entry in one row.
pub(super) const CHUNK: usize = 4_096;

/// The key of the row about the whole store.
pub(super) const STORE: &[u8] = &[0];
const PARTS: u8 = 1;
const DATA: u8 = 2;

/// Rows of a partition, in the order of their keys.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Cell = b'c',
    CellChunk = b'd',
    Entry = b'e',
    EntryChunk = b'f',
    Log = b'l',
}

/// Which chunk of a value a row is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Same in all rows of a value: a cell's revision, an entry's number.
    pub(super) stamp: u64,
    /// How many more rows it has.
    pub(super) chunks: u16,
    /// Its beginning.
    pub(super) bytes: &'a [u8],
}

/// The keys of all rows about partitions.
pub(super) fn parts() -> Range<Vec<u8>> {
    vec![PARTS]..vec![DATA]
}

/// The key of the row about a partition.
pub(super) fn part(partition: Partition) -> Vec<u8> {
    under(PARTS, &keys::of_path(partition, &Path::root()))
}

/// The partition that the row with this key is about.
pub(super) fn part_in(key: &[u8]) -> Option<Partition> {
    partition_in(key.strip_prefix(&[PARTS])?)
}

/// The keys of all rows of a partition.
pub(super) fn all(partition: Partition) -> Range<Vec<u8>> {
    let prefix = under(DATA, &keys::of_path(partition, &Path::root()));
    let end = keys::past(&prefix);
    prefix..end
}

/// The keys of all rows of all partitions.
pub(super) fn everything() -> Range<Vec<u8>> {
    vec![DATA]..vec![DATA + 1]
}

/// How long a partition is in a key, as [`keys`] writes it.
pub(super) fn partition_len(key: &[u8]) -> usize {
    key.iter().position(|byte| *byte == 0).expect("a pool is followed by a zero byte") + 3
}

/// The partition of a row of data.
pub(super) fn partition_of(key: &[u8]) -> Option<Partition> {
    let place = key.strip_prefix(&[DATA])?;
    let end = place.iter().position(|byte| *byte == 0)?;
    partition_in(place.get(..end + 3)?)
}

/// The key of a row with this place as [`keys`] writes it.
pub(super) fn row(kind: Kind, place: &[u8]) -> Vec<u8> {
    let (partition, path) = place.split_at(partition_len(place));
    let mut key = under(DATA, partition);
    key.push(kind as u8);
    if let Kind::CellChunk = kind {
        // A path may be the beginning of another one.
        key.extend_from_slice(&(path.len() as u16).to_be_bytes());
    }
    key.extend_from_slice(path);
    key
}

/// The key of a log's entry.
pub(super) fn entry(kind: Kind, place: &[u8], log: u64, seq: Seq) -> Vec<u8> {
    let mut key = under(DATA, &place[..partition_len(place)]);
    key.push(kind as u8);
    key.extend_from_slice(&keys::of_entry(log, seq).to_be_bytes());
    key
}

/// The number of an entry, from its key.
pub(super) fn seq_in(key: &[u8]) -> Option<Seq> {
    key.last_chunk().copied().map(u128::from_be_bytes).map(keys::seq_in)
}

/// The path of a cell or log, from its key.
pub(super) fn path_in(partition: Partition, key: &[u8]) -> Option<Path> {
    Path::new(key.get(1 + partition.pool.as_str().len() + 3 + 1..)?.to_vec()).ok()
}

/// The key of one more row of the value whose rows begin with `base`.
pub(super) fn chunk(base: &[u8], index: u16) -> Vec<u8> {
    let mut key = base.to_vec();
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// A row of `content`.
pub(super) fn seal_row(key: &[u8], content: &[&[u8]]) -> Vec<u8> {
    let mut row = vec![0; SUM + 1];
    content.iter().for_each(|part| row.extend_from_slice(part));
    seal(&mut row, key);
    row
}

/// The content of a row.
pub(super) fn content<'a>(key: &[u8], row: &'a [u8]) -> Result<&'a [u8], Torn> {
    unseal(row, key)?.get(1..).ok_or(Torn)
}

/// The same row written in another way, which sled does not take for the same.
pub(super) fn turned(key: &[u8], row: &[u8]) -> Result<Vec<u8>, Torn> {
    unseal(row, key)?;
    let mut row = row.to_vec();
    *row.get_mut(SUM).ok_or(Torn)? ^= 1;
    seal(&mut row, key);
    Ok(row)
}

/// The first row of a value.
pub(super) fn head_row(key: &[u8], head: Head<'_>) -> Vec<u8> {
    seal_row(key, &[&head.stamp.to_le_bytes(), &head.chunks.to_le_bytes(), head.bytes])
}

/// What the first row of a value says.
pub(super) fn head<'a>(key: &[u8], row: &'a [u8]) -> Result<Head<'a>, Torn> {
    let (stamp, rest) = content(key, row)?.split_first_chunk().ok_or(Torn)?;
    let (chunks, bytes) = rest.split_first_chunk().ok_or(Torn)?;
    Ok(Head { stamp: u64::from_le_bytes(*stamp), chunks: u16::from_le_bytes(*chunks), bytes })
}

/// One more row of a value.
pub(super) fn chunk_row(key: &[u8], stamp: u64, bytes: &[u8]) -> Vec<u8> {
    seal_row(key, &[&stamp.to_le_bytes(), bytes])
}

/// The bytes in one more row of a value.
pub(super) fn chunk_in<'a>(key: &[u8], row: &'a [u8], stamp: u64) -> Result<&'a [u8], Torn> {
    let (found, bytes) = content(key, row)?.split_first_chunk().ok_or(Torn)?;
    if u64::from_le_bytes(*found) == stamp { Ok(bytes) } else { Err(Torn) }
}

fn partition_in(bytes: &[u8]) -> Option<Partition> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let pool = Pool::new(std::str::from_utf8(&bytes[..end]).ok()?).ok()?;
    let index = u16::from_be_bytes(bytes[end + 1..].try_into().ok()?);
    (index <= Partition::OWNERLESS).then_some(Partition { pool, index })
}

fn under(space: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(rest.len() + 32);
    key.push(space);
    key.extend_from_slice(rest);
    key
}
