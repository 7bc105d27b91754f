//! Writing a snapshot file.

use bytes::{BufMut, Bytes, BytesMut};

use super::{BYTES, CHECK, CONTENT, END, FileContent, MAGIC, MANIFEST, PIECE, VERSION};
use crate::record::encode;

/// Writes a snapshot file, piece by piece.
///
/// ```
/// use bytes::Bytes;
/// use runtime_codec::file::{FileReader, FileWriter, Part};
///
/// let (mut file, head) = FileWriter::new();
/// let pieces = [head, file.manifest(&Bytes::from_static(b"what this is")), file.end()];
///
/// let mut reader = FileReader::new();
/// pieces.iter().for_each(|piece| reader.feed(piece));
/// assert_eq!(reader.next_part()?, Some(Part::Manifest(Bytes::from_static(b"what this is"))));
/// assert_eq!(reader.next_part()?, Some(Part::End));
/// # Ok::<(), runtime_codec::file::FileError>(())
/// ```
#[derive(Debug)]
pub struct FileWriter {
    so_far: blake3::Hasher,
}

impl FileWriter {
    /// Begins a file: these are its first bytes.
    pub fn new() -> (Self, Bytes) {
        let mut head = BytesMut::with_capacity(MAGIC.len() + 4);
        head.put_slice(&MAGIC);
        head.put_u16_le(VERSION);
        // No flags yet.
        head.put_u16_le(0);
        let mut so_far = blake3::Hasher::new();
        so_far.update(&head);
        (Self { so_far }, head.freeze())
    }

    /// The encoded manifest: the first part.
    pub fn manifest(&mut self, manifest: &Bytes) -> Bytes {
        self.part(MANIFEST, manifest)
    }

    /// A content, in pieces.
    pub fn content(&mut self, content: &FileContent, bytes: &Bytes) -> Vec<Bytes> {
        let mut parts = vec![self.part(CONTENT, &encode(content))];
        for at in (0..bytes.len()).step_by(PIECE) {
            parts.push(self.part(BYTES, &bytes.slice(at..bytes.len().min(at + PIECE))));
        }
        parts
    }

    /// The end: the hash of everything before it.
    pub fn end(mut self) -> Bytes {
        let all = *self.so_far.finalize().as_bytes();
        self.part(END, &Bytes::copy_from_slice(&all))
    }

    fn part(&mut self, kind: u8, body: &Bytes) -> Bytes {
        let mut part = BytesMut::with_capacity(5 + body.len() + CHECK);
        part.put_u8(kind);
        part.put_u32_le(body.len() as u32);
        part.put_slice(body);
        self.so_far.update(&part);
        part.put_slice(&self.so_far.finalize().as_bytes()[..CHECK]);
        part.freeze()
    }
}
