//! Contents in chunks: under their hash, numbered from 0. Where the last chunk is, all are.

use bytes::Bytes;

/// Bytes of a chunk: small enough for every store.
pub const CHUNK: usize = 32 * 1024;

/// The chunks of some bytes, in their order. No bytes are one empty chunk.
pub fn chunks(bytes: &Bytes) -> impl ExactSizeIterator<Item = Bytes> + '_ {
    (0..bytes.len().max(1)).step_by(CHUNK).map(|at| bytes.slice(at..bytes.len().min(at + CHUNK)))
}

/// How many chunks so many bytes have.
pub fn count_chunks(len: usize) -> u32 {
    len.max(1).div_ceil(CHUNK) as u32
}
