//! Writing contents under their hashes: what is not there yet, in as few batches as it fits into.

use std::collections::HashSet;

use bytes::Bytes;
use runtime_codec::{ContentMark, ContentRef, Record, chunks, encode, keys};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Key, StateError, Then, When};

use super::contents::Contents;

/// Writes in one batch, and bytes: room is left for what rides with the last of them.
const WRITES: usize = 100;
const BYTES: usize = 512 * 1024;

/// Contents that are not written yet.
pub(super) struct Writer<'a> {
    contents: &'a Contents,
    owner: &'a dyn PartitionOwner,
    waiting: Vec<Then>,
    size: usize,
    seen: HashSet<Digest>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(contents: &'a Contents, owner: &'a dyn PartitionOwner) -> Self {
        Self { contents, owner, waiting: Vec::new(), size: 0, seen: HashSet::new() }
    }

    /// Keeps a record that snapshots are made of.
    pub(super) async fn keep<R: Record>(&mut self, record: &R) -> Result<ContentRef, RuntimeError> {
        let bytes = encode(record);
        let at = ContentRef { hash: Digest::of(&bytes), len: bytes.len() as u64 };
        self.put(at.hash, &bytes).await?;
        Ok(at)
    }

    /// Keeps bytes under their hash, if they are not there yet.
    pub(super) async fn put(&mut self, hash: Digest, bytes: &Bytes) -> Result<(), RuntimeError> {
        if !self.seen.insert(hash) {
            return Ok(());
        }
        let there = self.contents.there(&hash, bytes.len()).await?;
        if there.whole {
            return Ok(());
        }
        if !there.marked {
            // Whoever commits it knows the time. Nobody sweeps contents meanwhile.
            let (at, len) = (UnixMillis(0), bytes.len() as u64);
            let key = keys::mark(&self.contents.tenant, self.contents.partition, &hash);
            self.waiting.push(Then::Put(key, encode(&ContentMark { at, len, of: None })));
        }
        // The last chunk is written last: where it is, all are.
        for (chunk, nth) in chunks(bytes).zip(0..) {
            if self.waiting.len() >= WRITES || self.size + chunk.len() > BYTES {
                self.flush().await?;
            }
            let key = keys::blob(&self.contents.tenant, self.contents.partition, &hash, nth);
            let write = Then::Put(key, chunk);
            self.size += write.size();
            self.waiting.push(write);
        }
        Ok(())
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> Result<(), RuntimeError> {
        let mut writes = std::mem::take(&mut self.waiting);
        self.size = 0;
        while let Some(first) = writes.iter().find_map(key_of).cloned() {
            let when = vec![When::Absent(first)];
            match self.owner.commit(self.contents.partition, when, writes.clone()).await {
                Ok(_) => break,
                // Somebody wrote some of the same bytes, for they have the same hashes.
                Err(StateError::Conflict { .. }) => writes = self.absent(writes).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What waits still, to ride in the batch that refers to it. Written twice it is the same.
    pub(super) fn rest(self) -> Vec<Then> {
        self.waiting
    }

    async fn absent(&self, writes: Vec<Then>) -> Result<Vec<Then>, RuntimeError> {
        let keys: Vec<Key> = writes.iter().filter_map(key_of).cloned().collect();
        let found = self.contents.store.get(&keys).await?;
        Ok(writes
            .into_iter()
            .zip(found)
            .filter(|(_, found)| found.is_none())
            .map(|(write, _)| write)
            .collect())
    }
}

fn key_of(write: &Then) -> Option<&Key> {
    if let Then::Put(key, _) = write { Some(key) } else { None }
}
