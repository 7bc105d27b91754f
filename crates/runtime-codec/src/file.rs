//! A snapshot as one file, which another process, node or store can read.
//!
//! A head, and parts: the manifest, then each content, then the end. Every part carries the hash of all bytes so far, so
//! that damage, a cut and parts in another order are seen at the first part that is not as it was written. Everything is
//! written and read piece by piece.

mod error;
mod read;
mod write;

use runtime_traits::content::{Content, Digest, Media};
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::records::record;

pub use error::FileError;
pub use read::FileReader;
pub use write::FileWriter;

/// The first bytes: no text, and not what a transfer in text mode leaves as it was.
pub const MAGIC: [u8; 8] = *b"\x89ARSNAP\n";
/// The format that this build writes.
pub const VERSION: u16 = 1;
/// The most bytes of a part's body: what is announced beyond is damage.
pub const PART_LIMIT: usize = 1024 * 1024;
/// Bytes of a part's check.
const CHECK: usize = 8;
/// Bytes of a content in one part.
const PIECE: usize = 64 * 1024;

const MANIFEST: u8 = 1;
const CONTENT: u8 = 2;
const BYTES: u8 = 3;
const END: u8 = 4;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The encoded [`Manifest`](crate::Manifest): the first part.
    Manifest(bytes::Bytes),
    /// A content begins.
    Content(FileContent),
    /// Some of its bytes.
    Bytes(bytes::Bytes),
    /// The file is whole.
    End,
}

/// A content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileContent {
    /// Its hash.
    pub hash: Digest,
    /// How many bytes.
    pub len: u64,
    /// How to read them; `None` for what snapshots are made of. The hash covers it.
    pub media: Option<Media>,
}
record!(FileContent, 121, "content of a snapshot file");

impl FileContent {
    /// The hash that these bytes have as such a content.
    pub fn digest_of(&self, bytes: &bytes::Bytes) -> Digest {
        match self.media {
            None => Digest::of(bytes),
            Some(media) => Content { media, bytes: bytes.clone() }.digest(),
        }
    }
}
