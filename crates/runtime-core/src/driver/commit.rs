//! Commits: a batch is submitted until its fate is known.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, BatchId, Cell, Committed, Fence, LARGEST_SUM, StateError, Then};

use super::inner::Inner;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a caller waits for a store that is away or full.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a commit is tried while the store is away or full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody waits: what the store does not take in time has not been written, and is refused.
    OfCaller,
    /// A run was accepted: as long as the runtime lives.
    OfRun,
}

/// Batches that the store did not take yet, and why.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    batches: usize,
    cause: Option<Cause>,
}

/// A batch that is in the backlog.
struct Stalled<'a>(&'a Mutex<Backlog>);

impl<'a> Stalled<'a> {
    fn of(inner: &'a Inner) -> Self {
        lock(&inner.backlog).batches += 1;
        Self(&inner.backlog)
    }

    fn because(&self, error: &StateError) {
        lock(self.0).cause = Some(Cause::of(error));
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        let mut backlog = lock(self.0);
        backlog.batches -= 1;
        if backlog.batches == 0 {
            backlog.cause = None;
        }
    }
}

impl Inner {
    /// Why the store takes nothing: for good, or at this moment.
    pub(super) fn store_trouble(&self) -> Option<Cause> {
        lock(&self.store_failed).clone().or_else(|| lock(&self.backlog).cause.clone())
    }

    /// Commits for a run, as the partition's owner. While the fate of the batch is not known, or the store is away or
    /// full, the same batch is submitted again; the runtime's end ends that.
    pub(super) async fn commit(&self, partition: Partition, writes: Writes) -> Result<Committed, StateError> {
        self.commit_with(partition, writes, Patience::OfRun).await
    }

    /// Commits for a caller who waits.
    pub(super) async fn commit_now(
        &self,
        partition: Partition,
        writes: Writes,
    ) -> Result<Committed, StateError> {
        self.commit_with(partition, writes, Patience::OfCaller).await
    }

    /// Commits as the partition's owner.
    pub(super) async fn commit_with(
        &self,
        partition: Partition,
        mut writes: Writes,
        patience: Patience,
    ) -> Result<Committed, StateError> {
        let sends = writes.sends;
        self.own(partition).await?;
        let events = self.announce(partition, &mut writes);
        let batch = self.fenced(partition, writes).await?;
        let until = match patience {
            Patience::OfCaller => Some(self.clock.now().after(PATIENCE)),
            Patience::OfRun => None,
        };
        let committed = self.submit_batch(batch, until).await?;
        if let Some(events) = events {
            events.committed();
        }
        if sends {
            self.post.ring(partition);
        }
        Ok(committed)
    }

    /// Commits what needs no owner: names, and claims.
    pub(super) async fn commit_unfenced(
        &self,
        partition: Partition,
        writes: Writes,
    ) -> Result<Committed, StateError> {
        let batch = self.batch(partition, None, writes);
        self.submit_batch(batch, Some(self.clock.now().after(PATIENCE))).await
    }

    async fn fenced(&self, partition: Partition, writes: Writes) -> Result<Box<Batch>, StateError> {
        let owner = self.own(partition).await?;
        let fence = Fence { owner: keys::own(partition), token: owner.token };
        Ok(self.batch(partition, Some(fence), writes))
    }

    /// In a box, so that the futures that hold it are small.
    fn batch(&self, partition: Partition, fence: Option<Fence>, writes: Writes) -> Box<Batch> {
        let Writes { when, then, .. } = writes;
        Box::new(Batch { id: self.batch_id(), partition, fence, when, then, durability: self.durability })
    }

    async fn submit_batch(
        &self,
        batch: Box<Batch>,
        until: Option<UnixMillis>,
    ) -> Result<Committed, StateError> {
        match self.store.commit(Batch::clone(&batch)).await {
            Ok(committed) => Ok(self.progressed(committed)),
            Err(error) => Box::pin(self.submit_again(batch, error, until)).await,
        }
    }

    async fn submit_again(
        &self,
        mut batch: Box<Batch>,
        mut error: StateError,
        until: Option<UnixMillis>,
    ) -> Result<Committed, StateError> {
        let mut pause = FIRST_PAUSE;
        let mut in_doubt = false;
        let stalled = Stalled::of(self);
        loop {
            if matches!(error, StateError::Damaged { .. } | StateError::TooLarge { .. }) {
                match self.around_counters(&batch).await {
                    Ok(Some(around)) => {
                        batch = around;
                        error = match self.store.commit(Batch::clone(&batch)).await {
                            Ok(committed) => return Ok(self.progressed(committed)),
                            Err(error) => error,
                        };
                        continue;
                    }
                    Err(away) if away.is_transient() => error = away,
                    Ok(None) | Err(_) => {}
                }
            }
            // Once its fate was unknown, it has to be cleared up, whatever it takes.
            in_doubt |= matches!(error, StateError::Unknown { .. });
            let late = !in_doubt && until.is_some_and(|until| self.clock.now() >= until);
            if let StateError::TooLarge { .. } = error
                && let Some(fits) = self.with_sums_that_fit(&batch).await
            {
                batch = fits;
                error = match self.store.commit(Batch::clone(&batch)).await {
                    Ok(committed) => return Ok(self.progressed(committed)),
                    Err(error) => error,
                };
                continue;
            }
            if !error.is_transient() || late || self.ending.is_cancelled() {
                self.note_failure(&error);
                return Err(error);
            }
            stalled.because(&error);
            let partition = batch.partition;
            tracing::warn!(%partition, %error, "the store did not take a batch; it is submitted again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ending.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            error = match self.store.commit(Batch::clone(&batch)).await {
                Ok(committed) => return Ok(self.progressed(committed)),
                Err(error) => error,
            };
        }
    }

    /// The batch with what fits of each number that it adds to one that a cell holds: a sum that is as large as a cell takes keeps no
    /// run from its end. `None`: all of them fit, or nobody knows.
    async fn with_sums_that_fit(&self, batch: &Batch) -> Option<Box<Batch>> {
        let mut then = batch.then.clone();
        let (mut sums, mut changed) = (BTreeMap::new(), false);
        for write in &mut then {
            let Then::Add(key, by) = write else { continue };
            let held = match sums.get(key) {
                Some(held) => *held,
                None => {
                    let cell = self.store.get(std::slice::from_ref(key)).await.ok()?.pop().flatten();
                    let number = |cell: Cell| std::str::from_utf8(&cell.value).ok()?.parse::<i64>().ok();
                    cell.map_or(Some(0), number)?
                }
            };
            let sum = held.saturating_add(*by).clamp(-LARGEST_SUM, LARGEST_SUM);
            if sum - held != *by {
                tracing::warn!(%key, held, %by, "a cell is as full as it can be; what is beyond it is not counted");
                (*by, changed) = (sum - held, true);
            }
            sums.insert(key.clone(), sum);
        }
        // Nothing of it was written, so that it is another batch.
        changed.then(|| Box::new(Batch { id: self.batch_id(), then, ..batch.clone() }))
    }

    fn progressed(&self, committed: Committed) -> Committed {
        self.last_progress.store(self.clock.now().0, Ordering::Relaxed);
        committed
    }

    /// Remembers a failure after which the store takes nothing more.
    fn note_failure(&self, error: &StateError) {
        if matches!(error, StateError::Poisoned { .. } | StateError::Damaged { .. } | StateError::Fenced) {
            *lock(&self.store_failed) = Some(Cause::of(error));
        }
    }

    pub(super) fn batch_id(&self) -> BatchId {
        let count = self.batches.fetch_add(1, Ordering::Relaxed);
        BatchId(u128::from(self.batch_prefix) << 64 | u128::from(count))
    }
}
