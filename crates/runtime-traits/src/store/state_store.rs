//! The contract of a store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::partition::Partition;
use crate::store::batch::{Batch, Cell, Committed, Seq, Tail};
use crate::store::error::StateError;
use crate::store::key::{Key, Log};
use crate::store::profile::StoreProfile;

/// Where a log begins and where its next entry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogExtent {
    /// The log.
    pub log: Log,
    /// The number of its first entry; equal to `next` when all are trimmed.
    pub first: Seq,
    /// The number that its next entry will get.
    pub next: Seq,
}

/// Cells and logs in partitions, written by conditional batches.
///
/// # Contract
/// - `atomic`: all writes of a batch or none, also after a crash.
/// - `checked-where-written`: fence and conditions are evaluated in the atomic step that writes, in order of application.
/// - `alone-in-the-group`: a refused batch leaves no trace and hurts no neighbour of its group commit.
/// - `durable-when-ok`: at the level in `Committed`, which is never below the one asked.
/// - `no-peeking`: no read returns what a crash at that level could undo; after `Ok` every read sees it.
/// - `once-by-id`: a batch id is applied at most once, whatever copies arrive in whatever order, among the last 4,096
///   batches of its partition; a resubmission of a landed batch is `Ok` with the first answer. An embedded store may
///   keep ids and answers in memory: its callers die with it.
/// - `drop-is-not-cancel`: dropping a polled future changes nothing.
/// - `in-order`: one process's batches for a partition apply in the order in which their futures were first polled;
///   after `Unknown` only conditions and fences order them.
/// - `gap-free`: log entries are 1, 2, 3, …; a number is never used twice, also after a trim to nothing; a dropped log's
///   path is never used again, so its entries may be deleted later, in pieces.
/// - `absent-is-known`: `None` only when absence is established; doubt is an error.
/// - `ordered-pages`: `scan` and `logs` are bytewise ordered; a page is atomic, two pages are not.
/// - `no-clock`: no time to live, no server time; expiry is a `due/` cell and its owner.
/// - `sized`: limits are checked before anything is sent.
/// - `poisoned`: after a failed sync every call fails until the store is reopened.
/// - `one-partition`: a batch over two partitions is refused by every store, also where it would work.
/// - `primary`: a shared store never reads from a replica.
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync {
    /// The cells at `keys`, all of one partition, in one round trip and in their order.
    ///
    /// # Errors
    /// [`StateError::WrongPartition`] for keys of two partitions; else what kept the store from knowing.
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError>;

    /// At most `limit` cells whose path begins with that of `under` and comes after that of `after`.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError>;

    /// At most `limit` entries of `log`, those numbered `from` and higher. A log that was never written is empty.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError>;

    /// At most `limit` logs whose path begins with that of `under` and comes after that of `after`.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError>;

    /// The partitions in which anything was ever written.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn partitions(&self) -> Result<Vec<Partition>, StateError>;

    /// Applies `batch`, wholly or not at all.
    ///
    /// # Errors
    /// See [`StateError`]: each arm says what the caller may do next.
    async fn commit(&self, batch: Batch) -> Result<Committed, StateError>;

    /// What the store is able to promise.
    fn profile(&self) -> StoreProfile;
}

#[async_trait]
impl<S: StateStore + ?Sized> StateStore for Arc<S> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        (**self).get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        (**self).scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        (**self).read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        (**self).logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        (**self).partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        (**self).commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        (**self).profile()
    }
}
