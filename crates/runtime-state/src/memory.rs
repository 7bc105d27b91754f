//! A store in memory: for tests, for figures, and for agents whose state may end with the process.

mod log;
mod part;
mod pools;

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Durability, Key, Log, LogExtent, Seq, Sharing, StateError, StateStore,
    StoreProfile, Tail,
};

use crate::admission;
use part::Part;
use pools::Pools;

/// A [`StateStore`] that ends with the process.
///
/// Each partition has a lock of its own. A batch touches one partition, so one lock makes it atomic, and a commit is
/// done at its first poll. What is deleted, trimmed or dropped gives its memory back.
///
/// # Examples
/// ```
/// use runtime_state::MemoryStore;
/// use runtime_traits::store::{Durability, StateStore};
///
/// let store = MemoryStore::new();
/// assert_eq!(store.profile().best, Durability::Memory);
/// ```
#[derive(Default)]
pub struct MemoryStore {
    pools: Pools,
}

impl MemoryStore {
    const BEST: Durability = Durability::Memory;

    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The partition, if anything was ever written to it.
    fn look(&self, partition: Partition) -> Result<Option<MutexGuard<'_, Part>>, StateError> {
        self.pools.get(partition).map(|part| lock(partition, part)).transpose()
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        let Some(partition) = admission::home_of(keys)? else { return Ok(Vec::new()) };
        let Some(part) = self.look(partition)? else { return Ok(vec![None; keys.len()]) };
        Ok(keys.iter().map(|key| part.cell(&key.path)).collect())
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        admission::same_home(under, after)?;
        let Some(part) = self.look(under.partition)? else { return Ok(Vec::new()) };
        let key = |path| Key { partition: under.partition, path };
        let cells = part.scan(&under.path, after.map(|after| &after.path), limit);
        Ok(cells.map(|(path, cell)| (key(path.clone()), cell.clone())).collect())
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        admission::known(log.partition)?;
        let part = self.look(log.partition)?;
        Ok(part.map_or_else(
            || log::Entries::default().tail(from, limit),
            |part| part.read(&log.path, from, limit),
        ))
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        admission::same_log_home(under, after)?;
        let Some(part) = self.look(under.partition)? else { return Ok(Vec::new()) };
        let log = |path| Log { partition: under.partition, path };
        let logs = part.logs(&under.path, after.map(|after| &after.path), limit);
        Ok(logs
            .map(|(path, extent)| LogExtent {
                log: log(path.clone()),
                first: extent.first,
                next: extent.next,
            })
            .collect())
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        let mut written = Vec::new();
        for (partition, part) in self.pools.all() {
            if lock(partition, part)?.is_written() {
                written.push(partition);
            }
        }
        written.sort_unstable();
        Ok(written)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        admission::admit(&batch, admission::LIMITS, Self::BEST)?;
        let partition = batch.partition;
        lock(partition, self.pools.get_or_create(partition))?.commit(batch)
    }

    fn profile(&self) -> StoreProfile {
        StoreProfile {
            name: "memory".to_owned(),
            best: Self::BEST,
            sharing: Sharing::Single,
            limits: admission::LIMITS,
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// A panic under the lock may have left half a batch, so the partition answers nothing any more.
fn lock(partition: Partition, part: &Mutex<Part>) -> Result<MutexGuard<'_, Part>, StateError> {
    part.lock().map_err(|_| StateError::Poisoned {
        cause: Cause::says(format!("a write to partition `{partition}` panicked")),
    })
}
