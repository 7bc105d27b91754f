//! Writing into an agent that has no name yet, however long that takes.

use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::id::AgentId;
use runtime_traits::partition::Partition;
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Committed, StateError, Then, When};
use tokio::sync::Mutex;

use super::inner::Inner;
use super::register::{Declared, NAMED_WITHIN, unnamed};

/// How early it is put off that the agent is removed.
const PUT_OFF: Duration = Duration::from_secs(NAMED_WITHIN.as_secs() / 2);

/// Writes into an agent that has no name yet. Whatever is written depends on it that the agent was not removed meanwhile,
/// as one that a crash left would be; and what writes for long puts that off.
pub(super) struct Filling<'a> {
    inner: &'a Inner,
    agent: AgentId,
    declared: Mutex<Declared>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(inner: &'a Inner, agent: AgentId, declared: Declared) -> Self {
        Self { inner, agent, declared: Mutex::new(declared) }
    }

    /// Puts off that the agent is removed, for the last time: its name is written next.
    ///
    /// # Errors
    /// [`StateError::Fenced`] when it was removed.
    pub(super) async fn put_off(&self) -> Result<(), StateError> {
        self.write(Vec::new(), Vec::new(), Duration::MAX).await.map(drop)
    }

    /// What is known of the agent by now.
    pub(super) fn into_declared(self) -> Declared {
        self.declared.into_inner()
    }

    /// Writes, and puts off the removal if there is less than `left` until then.
    async fn write(
        &self,
        mut when: Vec<When>,
        mut then: Vec<Then>,
        left: Duration,
    ) -> Result<Committed, StateError> {
        let mut declared = self.declared.lock().await;
        // Behind the others: their places are the caller's.
        let own = when.len();
        when.push(declared.is_there.clone());
        let now = self.inner.clock.now();
        let again = (declared.at.since(now) < left).then(|| unnamed(&self.agent, now));
        if let Some((_, cell)) = &again {
            then.push(Then::Delete(declared.cell.clone()));
            then.push(Then::Put(cell.clone(), declared.due.clone()));
        }
        match PartitionOwner::commit(self.inner, self.agent.partition(), when, then).await {
            // Nobody may write into it any more. That is not the conflict that the caller knows what to do about.
            Err(StateError::Conflict { condition }) if condition == own => Err(StateError::Fenced),
            Ok(committed) => {
                if let Some((at, cell)) = again {
                    (declared.at, declared.cell, declared.revision) = (at, cell, committed.revision);
                }
                Ok(committed)
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl PartitionOwner for Filling<'_> {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        if partition != self.agent.partition() {
            return PartitionOwner::commit(self.inner, partition, when, then).await;
        }
        self.write(when, then, PUT_OFF).await
    }
}
