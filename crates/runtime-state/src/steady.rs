//! A store that is read as a whole, or not at all.

use std::fmt;
use std::sync::OnceLock;

use async_trait::async_trait;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

/// Keeps the first error that is about the store, and not about what is in it. From then on it answers every read with it.
///
/// Who looks for damage steps over what cannot be read. What cannot be read now, because a server is away, is no damage:
/// whoever reads through this asks [`Steady::still`] before it believes anything.
pub(crate) struct Steady<'a> {
    store: &'a dyn StateStore,
    ended: OnceLock<StateError>,
}

impl<'a> Steady<'a> {
    pub(crate) fn over(store: &'a dyn StateStore) -> Self {
        Self { store, ended: OnceLock::new() }
    }

    /// Whether everything that was asked so far was answered, with damage at worst.
    pub(crate) fn still(&self) -> Result<(), StateError> {
        self.ended.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn heard<T>(&self, read: Result<T, StateError>) -> Result<T, StateError> {
        if let Err(error) = &read
            && is_of_the_store(error)
        {
            // The first one stays.
            let _ = self.ended.set(error.clone());
        }
        read
    }
}

/// Whether the error says something about the store, rather than about the value or the question.
fn is_of_the_store(error: &StateError) -> bool {
    match error {
        StateError::Unavailable { .. }
        | StateError::Poisoned { .. }
        | StateError::NoSpace
        | StateError::Unknown { .. } => true,
        StateError::Damaged { .. }
        | StateError::Conflict { .. }
        | StateError::Fenced
        | StateError::TooLarge { .. }
        | StateError::WrongPartition => false,
    }
}

#[async_trait]
impl StateStore for Steady<'_> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.still()?;
        self.heard(self.store.get(keys).await)
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.still()?;
        self.heard(self.store.scan(under, after, limit).await)
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.still()?;
        self.heard(self.store.read(log, from, limit).await)
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.still()?;
        self.heard(self.store.logs(under, after, limit).await)
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.still()?;
        self.heard(self.store.partitions().await)
    }

    /// Who looks for damage writes nothing.
    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.store.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.store.profile()
    }
}

impl fmt::Debug for Steady<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steady").field("store", &self.store).finish_non_exhaustive()
    }
}
