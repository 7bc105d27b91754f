//! The commits of a run, without the runtime: written down once, then repeated under other names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use runtime_traits::id::RunId;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Key, Log, LogExtent, Path, Seq, StateError, StateStore, StoreProfile,
    Tail, Then, When,
};

use super::error::FiguresError;
use super::load::Caller;

/// A store that writes down every batch that passes.
#[derive(Debug)]
pub(crate) struct Recorder<S> {
    store: S,
    batches: Mutex<Vec<Batch>>,
}

/// The commits of one run, and what has to change when they are repeated: the run's id, wherever a path names it, and
/// the lengths of the logs that outlive a run.
#[derive(Debug)]
pub(crate) struct Rehearsed {
    batches: Vec<Batch>,
    run: RunId,
    /// The number that the next entry of each of those logs gets.
    lengths: HashMap<Path, Seq>,
    /// How many commits were made.
    made: u64,
}

/// Repeats the commits of a run, again and again.
#[derive(Debug)]
pub(crate) struct Repeats<S> {
    pub(crate) store: Arc<S>,
    pub(crate) rehearsed: Arc<Mutex<Rehearsed>>,
}

impl<S> Recorder<S> {
    pub(crate) fn over(store: S) -> Self {
        Self { store, batches: Mutex::default() }
    }

    /// The batches since the last call.
    pub(crate) fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut *lock(&self.batches))
    }
}

impl Rehearsed {
    /// Of the commits of `run`. Whoever repeats them begins with empty logs.
    pub(crate) fn new(batches: Vec<Batch>, run: RunId) -> Self {
        Self { batches, run, lengths: HashMap::new(), made: 0 }
    }

    /// How many commits a run is made of.
    pub(crate) fn commits(&self) -> usize {
        self.batches.len()
    }

    fn next(&mut self) -> Batch {
        let count = self.batches.len() as u64;
        let (run, place) = (self.made / count + 1, (self.made % count) as usize);
        self.made += 1;
        let recorded = self.run.unique().as_simple().to_string();
        // Later runs have higher ids, as they have with the runtime.
        let renamed = format!("{:032x}", self.run.unique().as_u128().wrapping_add(u128::from(run)));
        let mut batch = self.batches[place].clone();
        batch.id = BatchId(batch.id.0 ^ u128::from(self.made) << 64);
        for when in &mut batch.when {
            match when {
                When::Absent(key) | When::Revision(key, _) => rename(&mut key.path, &recorded, &renamed),
                When::Next(log, next) => {
                    if !rename(&mut log.path, &recorded, &renamed) {
                        *next = self.lengths.get(&log.path).copied().unwrap_or(Seq::FIRST);
                    }
                    true
                }
                When::BacklogBelow(..) => true,
            };
        }
        for then in &mut batch.then {
            match then {
                Then::Put(key, _) | Then::Add(key, _) | Then::Delete(key) => {
                    rename(&mut key.path, &recorded, &renamed);
                }
                Then::Append(log, entries) => {
                    if !rename(&mut log.path, &recorded, &renamed) {
                        let next = self.lengths.entry(log.path.clone()).or_insert(Seq::FIRST);
                        next.0 += entries.len() as u64;
                    }
                }
                Then::Trim(log, _) | Then::Drop(log) => {
                    rename(&mut log.path, &recorded, &renamed);
                }
            }
        }
        batch
    }
}

/// Puts `new` where `path` says `old`, which is as long. Answers whether it does.
fn rename(path: &mut Path, old: &str, new: &str) -> bool {
    let Some(at) = path.as_bytes().windows(old.len()).position(|part| part == old.as_bytes()) else {
        return false;
    };
    let mut bytes = path.as_bytes().to_vec();
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    *path = Path::new(bytes).expect("a path of the same length is a path");
    true
}

impl<S: StateStore + 'static> Caller for Repeats<S> {
    async fn call(&mut self) -> Result<(), FiguresError> {
        let batch = lock(&self.rehearsed).next();
        self.store.commit(batch).await?;
        Ok(())
    }
}

#[async_trait]
impl<S: StateStore> StateStore for Recorder<S> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.store.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.store.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.store.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.store.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.store.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        lock(&self.batches).push(batch.clone());
        self.store.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.store.profile()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime_state::MemoryStore;

    use super::*;
    use crate::figures::{durable, house};

    #[tokio::test]
    async fn the_commits_of_a_run_can_be_repeated_any_number_of_times() {
        let recorder = Arc::new(Recorder::over(MemoryStore::new()));
        let (runtime, agents) = house::with_agents(Arc::clone(&recorder) as Arc<_>, 1).await.unwrap();
        let claims = durable::claims(recorder.take());
        let rehearsed = durable::rehearse(&runtime, &recorder, agents[0]).await.unwrap();
        assert_eq!(rehearsed.batches.len(), 2, "a run without steps is two commits");
        let sizes = |batch: &Batch| batch.then.iter().map(Then::size).collect::<Vec<_>>();
        let recorded: Vec<_> = rehearsed.batches.iter().map(sizes).collect();

        let store = Arc::new(MemoryStore::new());
        for claim in claims {
            store.commit(claim).await.unwrap();
        }
        let mut rehearsed = rehearsed;
        for nth in 0..100 {
            let batch = rehearsed.next();
            assert_eq!(sizes(&batch), recorded[nth % 2]);
            store.commit(batch).await.unwrap();
        }

        let home = Log::all(agents[0].partition());
        let logs = store.logs(&home, None, 1_000).await.unwrap();
        assert_eq!(logs.len(), 51, "one of each run, and the conversation's");
        assert!(logs.iter().any(|log| log.next == Seq(101)), "two messages of each run");
        let open = Key::new(home.partition, "open/").unwrap();
        assert!(store.scan(&open, None, 10).await.unwrap().is_empty());
    }
}
