//! Contents beside the log, against what names them.

use std::collections::HashSet;

use runtime_codec::file::FileContent;
use runtime_codec::{CHUNK, Hashing, Record, count_chunks, decode, keys};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Key, StateStore};

use super::damage::Fault;

/// Contents that are remembered as whole, so that what many name is read once. Beyond them it is read again.
const REMEMBERED: usize = 65_536;
/// Chunks that are read at once: less than a mebibyte.
const AT_ONCE: u64 = 24;
/// The largest content that snapshots are made of: a record.
const RECORD: u64 = 4 * 1024 * 1024;

/// The contents of one partition.
pub(crate) struct Contents<'a> {
    store: &'a dyn StateStore,
    partition: Partition,
    whole: HashSet<(Tenant, FileContent)>,
}

impl<'a> Contents<'a> {
    pub(crate) fn of(store: &'a dyn StateStore, partition: Partition) -> Self {
        Self { store, partition, whole: HashSet::new() }
    }

    /// The contents of another partition, of which nothing is known.
    pub(crate) fn beside(&self, partition: Partition) -> Self {
        Self::of(self.store, partition)
    }

    /// Remembers that a content is whole.
    pub(crate) fn is_whole(&mut self, tenant: &Tenant, what: FileContent) {
        if self.whole.len() >= REMEMBERED {
            self.whole.clear();
        }
        self.whole.insert((tenant.clone(), what));
    }

    /// Whether a content was found whole before.
    pub(crate) fn known(&self, tenant: &Tenant, what: &FileContent) -> bool {
        self.whole.contains(&(tenant.clone(), *what))
    }

    /// What is wrong with a content, chunk by chunk. It holds less than a mebibyte.
    pub(crate) async fn check(&mut self, tenant: &Tenant, what: &FileContent) -> Option<Fault> {
        if self.known(tenant, what) {
            return None;
        }
        let mut hashing = Hashing::new(what.media);
        if let Err(fault) = self.each_chunk(tenant, what, |chunk| hashing.update(chunk)).await {
            return Some(fault);
        }
        if hashing.digest() != what.hash {
            return Some(Fault::content(format!("the content `{}` is not what its hash says", what.hash)));
        }
        self.is_whole(tenant, *what);
        None
    }

    /// A content that snapshots are made of, compared with its hash.
    pub(crate) async fn record<R: Record>(
        &mut self,
        tenant: &Tenant,
        what: &FileContent,
    ) -> Result<R, Fault> {
        if what.len > RECORD {
            return Err(Fault::record(format!("the content `{}` is too long for a record", what.hash)));
        }
        let mut bytes = Vec::new();
        self.each_chunk(tenant, what, |chunk| bytes.extend_from_slice(chunk)).await?;
        let mut hashing = Hashing::new(what.media);
        hashing.update(&bytes);
        if hashing.digest() != what.hash {
            return Err(Fault::content(format!("the content `{}` is not what its hash says", what.hash)));
        }
        Ok(decode(&bytes)?)
    }

    /// Reads the chunks in their order. Each has the length that its place says.
    pub(crate) async fn each_chunk(
        &self,
        tenant: &Tenant,
        what: &FileContent,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        let damaged = |chunk: u64, how: &str| {
            Fault::content(format!("chunk {chunk} of the content `{}` {how}", what.hash))
        };
        let Ok(len) = usize::try_from(what.len) else { return Err(damaged(0, "cannot be that long")) };
        if what.len.div_ceil(CHUNK as u64) > u64::from(u32::MAX) {
            return Err(damaged(0, "cannot be that long"));
        }
        let chunks = u64::from(count_chunks(len));
        for first in (0..chunks).step_by(AT_ONCE as usize) {
            let group: Vec<Key> = (first..chunks.min(first + AT_ONCE))
                .map(|chunk| keys::blob(tenant, self.partition, &what.hash, chunk as u32))
                .collect();
            let cells = self.store.get(&group).await.map_err(|error| Fault::from(&error))?;
            for (cell, chunk) in cells.into_iter().zip(first..) {
                let Some(cell) = cell else { return Err(damaged(chunk, "is missing")) };
                let due = (what.len - chunk * CHUNK as u64).min(CHUNK as u64);
                if cell.value.len() as u64 != due {
                    return Err(damaged(chunk, "has another length"));
                }
                take(&cell.value);
            }
        }
        Ok(())
    }
}
