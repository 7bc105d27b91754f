//! Chunks as they lie in a row: whole contents are told by their hashes, whoever names them.

use runtime_codec::file::FileContent;
use runtime_codec::{CHUNK, Hashing};
use runtime_traits::content::{Digest, Media};
use runtime_traits::name::Tenant;

use super::damage::Fault;

/// How content may have been hashed.
const READINGS: [Option<Media>; 4] = [None, Some(Media::Text), Some(Media::Json), Some(Media::Bytes)];

/// A content whose chunks are coming.
pub(crate) struct Row {
    pub(crate) tenant: Tenant,
    pub(crate) hash: Digest,
    next: u32,
    len: u64,
    /// Whether all chunks so far are full: another one may follow.
    is_full: bool,
    gap: Option<u32>,
    hashing: [Hashing; 4],
}

/// What a row of chunks came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RowEnd {
    /// Content that is whole.
    Whole(FileContent),
    /// The begin of content whose writer did not come to its end. Nobody names it, and who writes it again goes on.
    Unfinished,
    /// No content.
    Damaged(Fault),
}

impl Row {
    pub(crate) fn new(tenant: Tenant, hash: Digest) -> Self {
        let hashing = READINGS.map(Hashing::new);
        Self { tenant, hash, next: 0, len: 0, is_full: true, gap: None, hashing }
    }

    /// Whether the chunk belongs to this content.
    pub(crate) fn has(&self, tenant: &Tenant, hash: &Digest) -> bool {
        self.hash == *hash && self.tenant == *tenant
    }

    pub(crate) fn take(&mut self, chunk: u32, bytes: &[u8]) {
        if chunk != self.next || !self.is_full {
            self.gap.get_or_insert(self.next.min(chunk));
        }
        self.is_full = bytes.len() == CHUNK;
        self.next = chunk.saturating_add(1);
        self.len += bytes.len() as u64;
        self.hashing.iter_mut().for_each(|hashing| hashing.update(bytes));
    }

    /// The number of the last chunk that came.
    pub(crate) fn last(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// What the chunks came to, once all of them are there.
    pub(crate) fn end(&self) -> RowEnd {
        let hash = self.hash;
        if let Some(gap) = self.gap {
            return RowEnd::Damaged(Fault::content(format!(
                "chunk {gap} of the content `{hash}` is missing"
            )));
        }
        let read_as = self.hashing.iter().zip(READINGS).find(|(hashing, _)| hashing.digest() == hash);
        match read_as {
            Some((_, media)) => RowEnd::Whole(FileContent { hash, len: self.len, media }),
            None if self.is_full => RowEnd::Unfinished,
            None => {
                RowEnd::Damaged(Fault::content(format!("the content `{hash}` is not what its hash says")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_traits::content::Content;

    use super::*;

    fn row(content: &Content, chunks: &[(u32, &[u8])]) -> RowEnd {
        let mut row = Row::new(Tenant::default(), content.digest());
        chunks.iter().for_each(|(chunk, bytes)| row.take(*chunk, bytes));
        row.end()
    }

    #[test]
    fn content_is_whole_unfinished_or_damaged() {
        let bytes = vec![7; CHUNK + 5];
        let content = Content::bytes(bytes.clone());
        let (first, last) = bytes.split_at(CHUNK);
        let whole =
            FileContent { hash: content.digest(), len: bytes.len() as u64, media: Some(Media::Bytes) };
        assert_eq!(row(&content, &[(0, first), (1, last)]), RowEnd::Whole(whole));
        assert_eq!(row(&content, &[(0, first)]), RowEnd::Unfinished);
        let damaged = [
            &[(1, last)][..],
            &[(0, last), (1, first)],
            &[(0, first), (1, &last[1..])],
            &[(0, first), (2, last)],
        ];
        for chunks in damaged {
            assert!(matches!(row(&content, chunks), RowEnd::Damaged(_)), "{chunks:?}");
        }
    }
}
