//! A store whose user dies in the middle of what it does, and that saw which ticks got runs.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail, Then,
};
use runtime_traits::{Partition, UnixMillis};

/// The ticks that got runs, in their order: by agent, session and schedule as keys name them.
pub(super) type Fired = HashMap<String, Vec<UnixMillis>>;

/// One life over a store that outlives it.
#[derive(Debug)]
pub(super) struct Mortal {
    below: Arc<dyn StateStore>,
    /// How many batches are still taken.
    left: AtomicI64,
    /// Whether the last batch of this life is written, and its answer lost.
    last_is_written: bool,
    fired: Arc<Mutex<Fired>>,
}

impl Mortal {
    pub(super) fn new(
        below: Arc<dyn StateStore>,
        left: i64,
        last_is_written: bool,
        fired: Arc<Mutex<Fired>>,
    ) -> Self {
        Self { below, left: AtomicI64::new(left), last_is_written, fired }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    fn alive(&self) -> Result<(), StateError> {
        // Whoever is dead notices nothing any more; what is left of it in this process is shut out like an owner of the past.
        if self.is_dead() { Err(StateError::Fenced) } else { Ok(()) }
    }

    async fn write(&self, batch: Batch) -> Result<Committed, StateError> {
        let ticks: Vec<_> = batch.then.iter().filter_map(tick_of).collect();
        let committed = self.below.commit(batch).await?;
        let mut fired = self.fired.lock().unwrap();
        for (which, tick) in ticks {
            fired.entry(which).or_default().push(tick);
        }
        Ok(committed)
    }
}

/// The tick for which a run is accepted, by the idempotency key that is taken with it.
fn tick_of(then: &Then) -> Option<(String, UnixMillis)> {
    let Then::Put(key, _) = then else { return None };
    let path = std::str::from_utf8(key.path.as_bytes()).ok()?;
    let (before, rest) = path.split_once("/schedule/").filter(|(before, _)| before.contains("/idem/"))?;
    let mut parts = rest.split('/');
    let (name, _, tick) = (parts.next()?, parts.next()?, parts.next()?);
    Some((format!("{before}/{name}"), UnixMillis(tick.parse().ok()?)))
}

#[async_trait]
impl StateStore for Mortal {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.alive()?;
        self.below.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.alive()?;
        self.below.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.alive()?;
        self.below.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.alive()?;
        self.below.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.alive()?;
        self.below.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            2.. => self.write(batch).await,
            1 if self.last_is_written => self.write(batch).await.and(Err(StateError::Fenced)),
            _ => Err(StateError::Fenced),
        }
    }

    fn profile(&self) -> StoreProfile {
        self.below.profile()
    }
}
