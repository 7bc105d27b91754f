//! A store that is read at somebody else's pace.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::partition::Partition;
use runtime_traits::scrub::Pace;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

/// After each read it waits for as long as that was worth.
pub(super) struct PacedStore {
    inner: Arc<dyn StateStore>,
    pace: Arc<dyn Pace>,
}

impl PacedStore {
    pub(super) fn new(inner: Arc<dyn StateStore>, pace: Arc<dyn Pace>) -> Self {
        Self { inner, pace }
    }

    async fn paid<T>(
        &self,
        read: Result<T, StateError>,
        values: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, StateError>
    where
        T: Send,
    {
        let values = read.as_ref().map_or(1, values).max(1);
        self.pace.read(values as u64).await;
        read
    }
}

#[async_trait]
impl StateStore for PacedStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        let read = self.inner.get(keys).await;
        self.paid(read, Vec::len).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        let read = self.inner.scan(under, after, limit).await;
        self.paid(read, Vec::len).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let read = self.inner.read(log, from, limit).await;
        self.paid(read, |tail| tail.entries.len()).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        let read = self.inner.logs(under, after, limit).await;
        self.paid(read, Vec::len).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    /// Looking for damage writes nothing.
    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

impl fmt::Debug for PacedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}
