//! A store in maps, with a disk that a test can crash and make fail.

mod contents;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use futures_util::future::poll_fn;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Durability, Key, Limits, Log, LogExtent, Seq, Sharing, StateError, StateStore,
    StoreProfile, Tail,
};
use tokio::sync::Notify;

use crate::fakes::model::{self, Model};
use crate::wrong::Flaw;
use contents::Contents;

/// A [`StateStore`] for tests: right, slow, and on a disk that obeys.
///
/// Commits queue up and are written in groups with one sync, as on a real disk, but no thread does it: a group is
/// written at the second poll of a commit or at the next read, so that a test sees the same order every time.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use runtime_testkit::fakes::MapStore;
/// use runtime_traits::partition::{Partition, Pool};
/// use runtime_traits::store::{Batch, BatchId, Durability, Key, StateStore, Then};
///
/// # runtime_testkit::block_on(async {
/// let store = MapStore::new();
/// let partition = Partition { pool: Pool::MAIN, index: 0 };
/// for (id, durability) in [(1, Durability::Disk), (2, Durability::Memory)] {
///     let key = Key::new(partition, format!("cell/{id}"))?;
///     let then = vec![Then::Put(key, Bytes::from_static(b"here"))];
///     store.commit(Batch { id: BatchId(id), partition, fence: None, when: vec![], then, durability }).await?;
/// }
/// let left = store.crash().scan(&Key::all(partition), None, 10).await?;
/// assert_eq!(left.len(), 1, "what was at `Memory` is gone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).expect("a commit to a healthy store");
/// ```
#[derive(Default)]
pub struct MapStore {
    contents: Mutex<Contents>,
    flaw: Option<Flaw>,
    /// Rung after each commit.
    bell: Notify,
}

/// A queued batch that goes when its future goes; for a store that does so by mistake.
struct Cancel<'a> {
    store: &'a MapStore,
    ticket: u64,
}

impl MapStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn flawed(flaw: Flaw) -> Self {
        Self::with(Some(flaw), Model::default())
    }

    fn with(flaw: Option<Flaw>, disk: Model) -> Self {
        Self { contents: Mutex::new(Contents::new(flaw, disk)), flaw, bell: Notify::new() }
    }

    /// What another process finds after this one was killed and the power was lost. This store is dead from now on.
    pub fn crash(&self) -> Self {
        Self::with(self.flaw, self.lock().crash())
    }

    /// Whether the disk refuses to sync.
    pub fn fail_syncs(&self, fail: bool) {
        self.lock().fail_syncs = fail;
    }

    /// Whether the disk refuses to be read.
    pub fn fail_reads(&self, fail: bool) {
        self.lock().fail_reads = fail;
    }

    /// Whether it is a copy that follows another store, and must not be read.
    pub fn make_copy(&self, is_copy: bool) {
        self.lock().is_copy = is_copy;
    }

    /// Batches that were applied so far, repetitions and refusals not counted.
    pub fn applied(&self) -> u64 {
        self.lock().applied
    }

    /// Waits until more batches than these were applied: [`applied`](Self::applied) said how many before the test looked.
    pub async fn applied_beyond(&self, seen: u64) {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.applied() > seen {
                return;
            }
            rung.await;
        }
    }

    fn look<T: Default>(&self, read: impl FnOnce(&Model) -> T) -> Result<T, StateError> {
        let mut contents = self.lock();
        contents.before_read();
        match contents.readable() {
            Ok(()) => Ok(read(&contents.live)),
            Err(StateError::Unavailable { .. })
                if contents.fail_reads && self.flaw == Some(Flaw::NoneForErrors) =>
            {
                Ok(T::default())
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn ordered<T>(&self, mut page: Vec<T>) -> Vec<T> {
        if self.flaw == Some(Flaw::UnsortedPages) {
            page.reverse();
        }
        page
    }

    fn admit(&self, batch: &mut Batch) -> Result<(), StateError> {
        match model::one_partition(batch) {
            Err(_) if self.flaw == Some(Flaw::TakesTwoPartitions) => {
                let home = batch.partition;
                batch.then.retain(|write| write.partition() == home);
                batch.when.retain(|when| when.partition() == home);
                batch.fence = batch.fence.take().filter(|fence| fence.owner.partition == home);
            }
            other => other?,
        }
        match model::sized(batch) {
            Err(_) if self.flaw == Some(Flaw::TakesAnySize) => Ok(()),
            other => other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StateStore for MapStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        if keys.iter().any(|key| key.partition != keys[0].partition) {
            return Err(StateError::WrongPartition);
        }
        let cells = self
            .look(|model| keys.iter().map(|key| self.unexpired(key, model.cell(key))).collect::<Vec<_>>())?;
        // The mistaken `None`s of a store that could not read.
        Ok(if cells.is_empty() { vec![None; keys.len()] } else { cells })
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        if after.is_some_and(|after| after.partition != under.partition) {
            return Err(StateError::WrongPartition);
        }
        let page = self.look(|model| model.scan(under, after, limit))?;
        let here = page
            .into_iter()
            .filter_map(|(key, cell)| self.unexpired(&key, Some(cell)).map(|cell| (key, cell)));
        Ok(self.ordered(here.collect()))
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let page = self.look(|model| Some(model.read(log, from, limit)))?;
        Ok(page.unwrap_or(Tail { first: from, next: Seq::FIRST, entries: Vec::new() }))
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        if after.is_some_and(|after| after.partition != under.partition) {
            return Err(StateError::WrongPartition);
        }
        Ok(self.ordered(self.look(|model| model.logs(under, after, limit))?))
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.look(Model::partitions)
    }

    async fn commit(&self, mut batch: Batch) -> Result<Committed, StateError> {
        self.admit(&mut batch)?;
        let (ticket, answer) = self.lock().queue(batch)?;
        let cancel = (self.flaw == Some(Flaw::CancelsOnDrop)).then(|| Cancel { store: self, ticket });
        // A real store would be at work now. Others may queue up behind this batch, and its future may be dropped.
        yield_once().await;
        // The future goes on, so there is nothing to take back.
        std::mem::forget(cancel);
        self.lock().write_group();
        let answer = answer.await.unwrap_or_else(|_| Err(contents::dead()));
        self.bell.notify_waiters();
        answer
    }

    fn profile(&self) -> StoreProfile {
        StoreProfile {
            name: "map".to_owned(),
            best: Durability::Disk,
            sharing: Sharing::Single,
            limits: Limits::CONTRACT,
        }
    }
}

impl MapStore {
    fn unexpired(&self, key: &Key, cell: Option<Cell>) -> Option<Cell> {
        let past = || {
            let path = key.path.as_bytes();
            path.strip_prefix(b"due/").is_some_and(|due| due < &b"1000000000000"[..])
        };
        if self.flaw == Some(Flaw::Expires) && past() { None } else { cell }
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        self.store.lock().cancel(self.ticket);
    }
}

impl fmt::Debug for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStore").field("flaw", &self.flaw).finish_non_exhaustive()
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
