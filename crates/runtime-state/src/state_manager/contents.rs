//! Reading what is kept under its hash.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use runtime_codec::file::FileContent;
use runtime_codec::{CodecError, ContentRef, Record, count_chunks, decode, keys, made_of};
use runtime_traits::content::Digest;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Cell, Key, StateStore};

/// Chunks that are read at once: less than a mebibyte.
const AT_ONCE: u32 = 24;

/// The contents of one partition.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) tenant: Tenant,
    pub(super) partition: Partition,
    /// What stands in for contents that nobody wrote: the conversations of an old manifest.
    pub(super) made: Arc<HashMap<Digest, Bytes>>,
}

impl Contents {
    /// A content, compared with its hash.
    pub(super) async fn read(&self, what: &FileContent) -> Result<Bytes, RuntimeError> {
        let bytes = match self.made.get(&what.hash) {
            Some(bytes) => bytes.clone(),
            None => self.chunks_of(&what.hash, what.len).await?,
        };
        if what.digest_of(&bytes) == what.hash { Ok(bytes) } else { Err(damaged(&what.hash)) }
    }

    /// A content that snapshots are made of.
    pub(super) async fn record<R: Record>(&self, at: &ContentRef) -> Result<R, RuntimeError> {
        let bytes = self.read(&made_of(at)).await?;
        readable(decode(&bytes), || format!("the content `{}`", at.hash))
    }

    /// What there is of a content.
    pub(super) async fn there(&self, hash: &Digest, len: usize) -> Result<There, RuntimeError> {
        let last = keys::blob(&self.tenant, self.partition, hash, count_chunks(len) - 1);
        let found = self.store.get(&[last, keys::mark(&self.tenant, self.partition, hash)]).await?;
        Ok(There { whole: found[0].is_some(), marked: found[1].is_some() })
    }

    async fn chunks_of(&self, hash: &Digest, len: u64) -> Result<Bytes, RuntimeError> {
        let len = usize::try_from(len).map_err(|_| damaged(hash))?;
        let chunks = count_chunks(len);
        let mut bytes = BytesMut::with_capacity(len.min(64 * 1024 * 1024));
        for first in (0..chunks).step_by(AT_ONCE as usize) {
            let keys: Vec<Key> = (first..chunks.min(first + AT_ONCE))
                .map(|chunk| keys::blob(&self.tenant, self.partition, hash, chunk))
                .collect();
            for cell in self.store.get(&keys).await? {
                bytes.extend_from_slice(&cell.ok_or_else(|| damaged(hash))?.value);
            }
        }
        if bytes.len() == len { Ok(bytes.freeze()) } else { Err(damaged(hash)) }
    }
}

/// What there is of a content.
#[derive(Clone, Copy, Debug)]
pub(super) struct There {
    /// Where the last chunk is, all are.
    pub(super) whole: bool,
    pub(super) marked: bool,
}

/// A cell's record.
pub(super) fn record_in<R: Record>(key: &Key, cell: &Cell) -> Result<R, RuntimeError> {
    readable(decode(&cell.value), || format!("`{key}`"))
}

pub(super) fn readable<T>(
    read: Result<T, CodecError>,
    what: impl FnOnce() -> String,
) -> Result<T, RuntimeError> {
    read.map_err(|error| match error {
        CodecError::Newer { .. } => RuntimeError::Newer { what: what() },
        error => RuntimeError::Damaged { what: format!("{} ({error})", what()) },
    })
}

pub(super) fn damaged(hash: &Digest) -> RuntimeError {
    RuntimeError::Damaged { what: format!("the content `{hash}`") }
}
