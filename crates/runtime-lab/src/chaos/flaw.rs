//! Stores that break their contract, to see that a campaign notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use clap::ValueEnum;
use runtime_codec::keys::run_logs;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Durability, Key, Log, LogExtent, Revision, Seq, StateError, StateStore,
    StoreProfile, Tail, Then, When,
};

/// How a store breaks its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Flaw {
    /// Of every forty batches that write into the log of a run it answers one without writing it.
    Lies,
    /// Of every five batches of an owner it answers one without writing it.
    Forgets,
    /// It writes without looking at the conditions.
    Unconditional,
    /// It writes without looking who owns the partition.
    Unfenced,
    /// It applies a batch as often as it is submitted.
    Repeats,
    /// Of every four batches it writes only the first half.
    Halves,
    /// It says that a commit is on disk, and syncs nothing.
    Unsynced,
    /// What it cannot read is not there.
    Believes,
    /// After a failed sync it goes on as if nothing had happened.
    Careless,
    /// Once the disk was full it stays full.
    Sulks,
    /// Of every four mails that leave a partition it loses one.
    LosesMail,
}

impl Flaw {
    /// The argument that hands it on to another process.
    pub(super) fn argument(flaw: Option<Self>) -> Vec<String> {
        let name = flaw.and_then(|flaw| flaw.to_possible_value());
        name.map_or_else(Vec::new, |name| vec!["--flaw".to_owned(), name.get_name().to_owned()])
    }
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
        let found = self.inner.get(keys).await;
        self.believed(found, || vec![None; keys.len()])
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        let found = self.inner.scan(under, after, limit).await;
        self.believed(found, Vec::new)
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let found = self.inner.read(log, from, limit).await;
        self.believed(found, || Tail { first: from, next: from, entries: Vec::new() })
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        let found = self.inner.logs(under, after, limit).await;
        self.believed(found, Vec::new)
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, mut batch: Batch) -> Result<Committed, StateError> {
        let nth = |n| self.commits.fetch_add(1, Ordering::SeqCst) % n == n - 1;
        match self.flaw {
            // Others claim, register and announce: a server without its claim or without its agents ends before any law
            // is broken.
            Flaw::Lies if of_a_run(&batch) && nth(40) => return Ok(lie(&batch)),
            Flaw::Forgets if batch.fence.is_some() && nth(5) => return Ok(lie(&batch)),
            Flaw::Unconditional => batch.when.clear(),
            Flaw::Unfenced => batch.fence = None,
            Flaw::Repeats => {
                batch.id = BatchId(u128::from(self.commits.fetch_add(1, Ordering::SeqCst)) ^ batch.id.0);
            }
            Flaw::Halves if batch.fence.is_some() && nth(4) => {
                batch.then.truncate(batch.then.len().div_ceil(2));
            }
            Flaw::Unsynced => {
                let durability = std::mem::replace(&mut batch.durability, Durability::Memory);
                let done = self.inner.commit(batch).await?;
                return Ok(Committed { durability, ..done });
            }
            Flaw::Careless => {
                let lie = lie(&batch);
                return match self.inner.commit(batch).await {
                    Err(StateError::Poisoned { .. }) => Ok(lie),
                    answer => answer,
                };
            }
            Flaw::Sulks if self.commits.load(Ordering::SeqCst) > 0 => return Err(StateError::NoSpace),
            Flaw::Sulks => {
                let answer = self.inner.commit(batch).await;
                self.commits.fetch_add(u64::from(answer == Err(StateError::NoSpace)), Ordering::SeqCst);
                return answer;
            }
            Flaw::LosesMail => {
                let sends =
                    |then: &Then| matches!(then, Then::Append(log, _) if log.path.as_bytes() == b"outbox");
                if batch.then.iter().any(sends) && nth(4) {
                    batch.then.retain(|then| !sends(then));
                }
            }
            Flaw::Lies | Flaw::Forgets | Flaw::Halves | Flaw::Believes => {}
        }
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

impl FlawedStore {
    fn believed<T>(
        &self,
        found: Result<T, StateError>,
        nothing: impl FnOnce() -> T,
    ) -> Result<T, StateError> {
        match found {
            Err(StateError::Damaged { .. } | StateError::Unavailable { .. })
                if self.flaw == Flaw::Believes =>
            {
                Ok(nothing())
            }
            found => found,
        }
    }
}

/// Whether a batch writes into the log of a run.
fn of_a_run(batch: &Batch) -> bool {
    batch.then.iter().any(|then| match then {
        Then::Append(log, _) => log.path.as_bytes().starts_with(run_logs(log.partition).path.as_bytes()),
        _ => false,
    })
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
