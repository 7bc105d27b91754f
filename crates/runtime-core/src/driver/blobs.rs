//! Contents that are too large for the log: kept under their hash, in chunks, written before the batch that names them.

use bytes::Bytes;
use runtime_codec::{chunks, count_chunks};
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{StateError, Then, When};

use super::commit::Patience;
use super::inner::Inner;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Chunks in a batch: less than a mebibyte with their paths.
const GROUP: usize = 24;

impl Inner {
    /// Writes contents under their hashes, those that are not there yet.
    pub(super) async fn write_blobs(
        &self,
        tenant: &Tenant,
        partition: Partition,
        contents: &[Content],
        patience: Patience,
    ) -> Result<(), StateError> {
        for content in contents {
            self.write_blob(tenant, partition, content.digest(), &content.bytes, patience).await?;
        }
        Ok(())
    }

    /// Writes bytes under a hash, if they are not there yet.
    pub(super) async fn write_blob(
        &self,
        tenant: &Tenant,
        partition: Partition,
        hash: Digest,
        bytes: &Bytes,
        patience: Patience,
    ) -> Result<(), StateError> {
        let chunks: Vec<Bytes> = chunks(bytes).collect();
        // The last chunk is written last: where it is, all are.
        let last = keys::blob(tenant, partition, &hash, chunks.len() as u32 - 1);
        match self.store.get(std::slice::from_ref(&last)).await {
            Ok(cells) if cells[0].is_some() => return Ok(()),
            Err(error) if !error.is_transient() => return Err(error),
            // Not there, or not known: what is there already is a conflict below.
            Ok(_) | Err(_) => {}
        }
        for (group, chunks) in chunks.chunks(GROUP).enumerate() {
            let mut writes = Writes::default();
            for (at, chunk) in chunks.iter().enumerate() {
                let cell = keys::blob(tenant, partition, &hash, (group * GROUP + at) as u32);
                if at == 0 {
                    writes.when.push(When::Absent(cell.clone()));
                }
                writes.then.push(Then::Put(cell, chunk.clone()));
            }
            match self.commit_with(partition, writes, patience).await {
                // Somebody wrote the same bytes, for they have the same hash.
                Ok(_) | Err(StateError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The content that a payload refers to.
    pub(super) async fn resolve(
        &self,
        tenant: &Tenant,
        partition: Partition,
        payload: &Payload,
    ) -> Result<Content, RuntimeError> {
        match payload {
            Payload::Inline(content) => Ok(content.clone()),
            Payload::Blob { hash, len, media } => {
                let bytes = Box::pin(self.read_blob(tenant, partition, hash, *len)).await?;
                let content = Content { media: *media, bytes };
                if content.digest() == *hash { Ok(content) } else { Err(damaged(hash)) }
            }
        }
    }

    /// The bytes under a hash. The caller compares the hash, which may cover more than the bytes.
    pub(super) async fn read_blob(
        &self,
        tenant: &Tenant,
        partition: Partition,
        hash: &Digest,
        len: u64,
    ) -> Result<Bytes, RuntimeError> {
        let len = usize::try_from(len).map_err(|_| damaged(hash))?;
        let chunks = count_chunks(len);
        let mut bytes = Vec::with_capacity(len.min(64 * 1024 * 1024));
        for first in (0..chunks).step_by(GROUP) {
            let cells: Vec<_> = (first..chunks.min(first + GROUP as u32))
                .map(|chunk| keys::blob(tenant, partition, hash, chunk))
                .collect();
            for cell in self.store.get(&cells).await? {
                bytes.extend_from_slice(&cell.ok_or_else(|| damaged(hash))?.value);
            }
        }
        if bytes.len() == len { Ok(bytes.into()) } else { Err(damaged(hash)) }
    }
}

fn damaged(hash: &Digest) -> RuntimeError {
    RuntimeError::Damaged { what: format!("the content `{hash}`") }
}
