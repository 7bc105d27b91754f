//! Contents that are too large for the log: kept under their hash, in chunks, written before the batch that names them.

use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{ContentMark, chunks, count_chunks, decode, encode};
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{StateError, Then, When};

use super::attempt::READ_AGAIN_AFTER;
use super::commit::Patience;
use super::contents::sweep_later;
use super::inner::Inner;
use crate::engine::batches::{Place, Writes};
use crate::engine::keys;

/// Chunks in a batch: less than a mebibyte with their paths.
pub(super) const GROUP: usize = 24;
/// A mark that is younger than this is not renewed.
const YOUNG: Duration = Duration::from_secs(12 * 60 * 60);

impl Inner {
    /// Writes contents under their hashes, those that are not there yet. Each is kept for half a day at least, whoever
    /// names it then.
    pub(super) async fn write_blobs(
        &self,
        place: &Place,
        contents: &[Content],
        patience: Patience,
    ) -> Result<(), StateError> {
        for content in contents {
            while !self.write_blob(place, content.digest(), &content.bytes, patience).await? {
                // Somebody writes the same bytes, or just took them away.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes bytes under a hash, if they are not there yet, and marks them as asked for. `false`: somebody came between.
    async fn write_blob(
        &self,
        place: &Place,
        hash: Digest,
        bytes: &Bytes,
        patience: Patience,
    ) -> Result<bool, StateError> {
        let Place { tenant, agent, session, .. } = place;
        let partition = place.run.partition();
        let _shared = self.home(partition).marks.read().await;
        let chunks: Vec<Bytes> = chunks(bytes).collect();
        let key = keys::mark(tenant, partition, &hash);
        // The last chunk is written last: where it is, all are.
        let last = keys::blob(tenant, partition, &hash, chunks.len() as u32 - 1);
        let found = match self.store.get(&[last, key.clone()]).await {
            Err(error) if !error.is_transient() => return Err(error),
            found => found,
        };
        // Not there, or not known: what is there already is a conflict below.
        let unknown = found.as_ref().err().cloned();
        let mut found = found.unwrap_or_default().into_iter();
        let (is_whole, marked) = (found.next().flatten().is_some(), found.next().flatten());
        let now = self.clock.now();
        let mark = match &marked {
            None => None,
            Some(cell) => Some(
                decode::<ContentMark>(&cell.value)
                    .map_err(|error| StateError::Damaged { what: format!("`{key}` ({error})") })?,
            ),
        };
        let is_young = mark.as_ref().is_some_and(|mark| now.since(mark.at) < YOUNG);
        if is_whole && is_young {
            return Ok(true);
        }
        let mut writes = Writes::default();
        writes.when.push(match &marked {
            None => When::Absent(key.clone()),
            Some(cell) => When::Revision(key.clone(), cell.revision),
        });
        if !is_young {
            let len = bytes.len() as u64;
            if mark.is_none() && !is_whole {
                writes.book(tenant, agent, session, len as i64, now);
            }
            let of = match mark {
                Some(mark) => mark.of,
                // What was there without a mark was never counted.
                None => (!is_whole).then(|| (*agent, session.clone())),
            };
            writes.then.push(Then::Put(key.clone(), encode(&ContentMark { at: now, len, of })));
            writes.then.push(sweep_later(tenant, partition, now));
        }
        let groups: Vec<&[Bytes]> = if is_whole { Vec::new() } else { chunks.chunks(GROUP).collect() };
        for nth in 0..groups.len().max(1) {
            for (chunk, at) in groups.get(nth).copied().unwrap_or_default().iter().zip(nth * GROUP..) {
                writes.then.push(Then::Put(keys::blob(tenant, partition, &hash, at as u32), chunk.clone()));
            }
            let marks = nth == 0 && !is_young;
            let when = writes.when.clone();
            match self.commit_with(partition, std::mem::take(&mut writes), patience).await {
                // As long as the mark is the same, nobody took anything of it away.
                Ok(committed) if marks => writes.when.push(When::Revision(key.clone(), committed.revision)),
                Ok(_) => writes.when = when,
                Err(StateError::Conflict { .. }) => match unknown {
                    None => return Ok(false),
                    Some(error) if patience == Patience::OfCaller || self.ending.is_cancelled() => {
                        return Err(error);
                    }
                    Some(_) => {
                        tokio::time::sleep(READ_AGAIN_AFTER).await;
                        return Ok(false);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
