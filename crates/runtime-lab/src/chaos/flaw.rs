//! Stores that break their contract, to see that a campaign notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use clap::ValueEnum;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Revision, Seq, StateError, StateStore, StoreProfile, Tail,
    Then, When,
};

/// How a store breaks its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Flaw {
    /// Of every forty batches of an owner it answers one without writing it.
    Lies,
    /// It writes without looking at the conditions.
    Unconditional,
    /// Of every four mails that leave a partition it loses one.
    LosesMail,
}

/// A store that breaks its contract.
#[derive(Debug)]
pub(super) struct FlawedStore {
    inner: Arc<dyn StateStore>,
    flaw: Flaw,
    commits: AtomicU64,
}

impl FlawedStore {
    pub(super) fn new(inner: Arc<dyn StateStore>, flaw: Flaw) -> Self {
        Self { inner, flaw, commits: AtomicU64::new(0) }
    }
}

#[async_trait]
impl StateStore for FlawedStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.inner.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.inner.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, mut batch: Batch) -> Result<Committed, StateError> {
        match self.flaw {
            // The first ones claim and register: without them nothing begins. Nor does it without a later claim, which has
            // no fence yet: a server whose claim is not there ends before any law is broken.
            Flaw::Lies if batch.fence.is_some() && self.commits.fetch_add(1, Ordering::SeqCst) % 40 == 39 => {
                Ok(lie(&batch))
            }
            Flaw::Lies => self.inner.commit(batch).await,
            Flaw::LosesMail => {
                let sends =
                    |then: &Then| matches!(then, Then::Append(log, _) if log.path.as_bytes() == b"outbox");
                if batch.then.iter().any(sends) && self.commits.fetch_add(1, Ordering::SeqCst) % 4 == 3 {
                    batch.then.retain(|then| !sends(then));
                }
                self.inner.commit(batch).await
            }
            Flaw::Unconditional => {
                batch.when.clear();
                self.inner.commit(batch).await
            }
        }
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

/// What the store would have answered.
fn lie(batch: &Batch) -> Committed {
    let next = |log: &Log| {
        batch.when.iter().find_map(|when| match when {
            When::Next(of, next) if of == log => Some(*next),
            _ => None,
        })
    };
    let appended = batch.then.iter().filter_map(|then| match then {
        Then::Append(log, entries) => Some(Seq(next(log).unwrap_or(Seq::FIRST).0 + entries.len() as u64 - 1)),
        _ => None,
    });
    Committed { revision: Revision(1), appended: appended.collect(), durability: batch.durability }
}
