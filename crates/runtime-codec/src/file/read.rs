//! Reading a snapshot file.

use bytes::{Buf, Bytes, BytesMut};

use super::{BYTES, CHECK, CONTENT, END, FileContent, FileError, MAGIC, MANIFEST, PART_LIMIT, Part, VERSION};
use crate::record::decode;

const HEAD: usize = MAGIC.len() + 4;

/// Reads a snapshot file, piece by piece. It holds one part at most.
#[derive(Debug)]
pub struct FileReader {
    held: BytesMut,
    so_far: blake3::Hasher,
    /// How many bytes were read.
    at: u64,
    /// Whether the head was read.
    begun: bool,
    /// Whether the end was read.
    over: bool,
}

impl Default for FileReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FileReader {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self { held: BytesMut::new(), so_far: blake3::Hasher::new(), at: 0, begun: false, over: false }
    }

    /// Takes the next bytes of the file, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next part, if it is there as a whole.
    ///
    /// # Errors
    /// [`FileError`], which says what is wrong with the file.
    pub fn next_part(&mut self) -> Result<Option<Part>, FileError> {
        if self.over {
            return if self.held.is_empty() { Ok(None) } else { Err(FileError::Trailing { at: self.at }) };
        }
        if !self.begun && !self.begin()? {
            return Ok(None);
        }
        let at = self.at;
        let damaged = || FileError::Damaged { at };
        let &[kind, l0, l1, l2, l3, ..] = &self.held[..] else { return Ok(None) };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if len > PART_LIMIT || !(MANIFEST..=END).contains(&kind) {
            return Err(damaged());
        }
        if self.held.len() < 5 + len + CHECK {
            return Ok(None);
        }
        let before = self.so_far.finalize();
        let mut part = self.take(5 + len);
        let check = self.held.split_to(CHECK);
        self.at += CHECK as u64;
        if self.so_far.finalize().as_bytes()[..CHECK] != check[..] {
            return Err(damaged());
        }
        part.advance(5);
        match kind {
            MANIFEST => Ok(Some(Part::Manifest(part))),
            CONTENT => Ok(Some(Part::Content(decode::<FileContent>(&part)?))),
            BYTES => Ok(Some(Part::Bytes(part))),
            _ if part[..] == before.as_bytes()[..] => {
                self.over = true;
                Ok(Some(Part::End))
            }
            _ => Err(damaged()),
        }
    }

    /// Says whether the file was whole, once nothing more comes.
    ///
    /// # Errors
    /// [`FileError::Cut`], or [`FileError::Foreign`] for what does not even begin like one.
    pub fn finish(&self) -> Result<(), FileError> {
        if self.over {
            return Ok(());
        }
        let begins_well = self.begun || MAGIC.starts_with(&self.held[..self.held.len().min(MAGIC.len())]);
        let at = self.at + self.held.len() as u64;
        Err(if begins_well && at > 0 { FileError::Cut { at } } else { FileError::Foreign })
    }

    /// Reads the head, if it is there as a whole.
    fn begin(&mut self) -> Result<bool, FileError> {
        if self.held.len() < HEAD {
            return Ok(false);
        }
        let head = self.take(HEAD);
        if head[..MAGIC.len()] != MAGIC {
            return Err(FileError::Foreign);
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version > VERSION {
            return Err(FileError::Newer { version });
        }
        if version == 0 || head[10..] != [0, 0] {
            return Err(FileError::Damaged { at: 8 });
        }
        self.begun = true;
        Ok(true)
    }

    fn take(&mut self, len: usize) -> Bytes {
        let bytes = self.held.split_to(len).freeze();
        self.so_far.update(&bytes);
        self.at += len as u64;
        bytes
    }
}
