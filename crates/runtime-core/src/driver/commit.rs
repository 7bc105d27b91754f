//! Commits: a batch is submitted until its fate is known.

use std::sync::atomic::Ordering;
use std::time::Duration;

use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, BatchId, Committed, Fence, StateError};

use super::inner::Inner;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Commits as the partition's owner. While the fate of the batch is not known, or the store is away or full, the
    /// same batch is submitted again; the runtime's end ends that.
    pub(super) async fn commit(&self, partition: Partition, writes: Writes) -> Result<Committed, StateError> {
        let owner = self.own(partition).await?;
        let fence = Fence { owner: keys::own(partition), token: owner.token };
        self.submit_batch(partition, Some(fence), writes).await
    }

    /// Commits what needs no owner: names, and claims.
    pub(super) async fn commit_unfenced(
        &self,
        partition: Partition,
        writes: Writes,
    ) -> Result<Committed, StateError> {
        self.submit_batch(partition, None, writes).await
    }

    async fn submit_batch(
        &self,
        partition: Partition,
        fence: Option<Fence>,
        writes: Writes,
    ) -> Result<Committed, StateError> {
        let batch = Batch {
            id: self.batch_id(),
            partition,
            fence,
            when: writes.when,
            then: writes.then,
            durability: self.durability,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.store.commit(batch.clone()).await {
                Ok(committed) => {
                    self.last_progress.store(self.clock.now().0, Ordering::Relaxed);
                    return Ok(committed);
                }
                Err(error) => error,
            };
            if !error.is_transient() || self.ending.is_cancelled() {
                self.note_failure(&error);
                return Err(error);
            }
            tracing::warn!(%partition, %error, "the store did not take a batch; it is submitted again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ending.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Remembers a failure after which the store takes nothing more.
    fn note_failure(&self, error: &StateError) {
        if matches!(error, StateError::Poisoned { .. } | StateError::Damaged { .. } | StateError::Fenced) {
            *lock(&self.store_failed) = Some(Cause::of(error));
        }
    }

    fn batch_id(&self) -> BatchId {
        let count = self.batches.fetch_add(1, Ordering::Relaxed);
        BatchId(u128::from(self.batch_prefix) << 64 | u128::from(count))
    }
}
