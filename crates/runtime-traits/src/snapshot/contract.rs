//! The contract of what makes and restores snapshots.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::content::Digest;
use crate::id::{AgentId, StateId};
use crate::name::Tenant;
use crate::partition::{Partition, Pool};
use crate::runtime::RuntimeError;
use crate::snapshot::{Retention, SnapshotDiff, SnapshotInfo, SnapshotView};
use crate::store::{Committed, StateError, Then, When};

/// A snapshot as one file, piece by piece.
pub type SnapshotFile = Pin<Box<dyn Stream<Item = Result<Bytes, RuntimeError>> + Send>>;

/// Writes as the owner of partitions. Whoever works the agents hands this over, so that a stale owner's write is refused.
#[async_trait]
pub trait PartitionOwner: Send + Sync {
    /// Writes to one partition, if the conditions hold: all of it or nothing.
    ///
    /// # Errors
    /// As [`StateStore::commit`](crate::store::StateStore::commit); what is transient has been tried again.
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError>;
}

/// What to save, and under which id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Save {
    /// The agent.
    pub agent: AgentId,
    /// The version of its kind.
    pub kind_version: u32,
    /// The id: minted in the agent's partition.
    pub state: StateId,
    /// The time.
    pub at: UnixMillis,
}

/// Freezes agents of a store and puts them back. It knows nothing of names or kinds; whoever works the agents does.
///
/// A snapshot has an agent's declaration, and each conversation with its state as its last outcome left them. It never
/// has runs, waits, timers, budgets or idempotency records: restoring is neither a refund nor a second execution.
///
/// # Contract
/// - `saved-is-frozen`: whatever becomes of the agent later, its snapshots stay as they are.
/// - `restored-is-equal`: what a snapshot is restored into has its conversations and states, those and no others.
/// - `at-rest-only`: an agent that is not stopped, or has an open run, is not put back, and is left as it was.
/// - `history-stays`: putting an agent back changes and removes no message of its logs, and uses no number again.
/// - `gone-is-unknown`: what was never saved, or was deleted, is `UnknownState`; what others share stays.
/// - `kept-by-a-rule`: retention deletes what no rule keeps, of this agent, and nothing else.
/// - `diff-is-what-changed`: a snapshot does not differ from itself; messages, states and settings that came, went or
///   changed are told.
/// - `file-is-whole`: an exported file gives an equal snapshot in any store; one that is cut or damaged gives none.
#[async_trait]
pub trait Snapshots: fmt::Debug + Send + Sync + 'static {
    /// Freezes an agent.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn save(
        &self,
        tenant: &Tenant,
        save: Save,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError>;

    /// At most `limit` snapshots, those behind `after`, in a fixed order: all of the tenant, or those of one agent. One
    /// that is damaged is left out and logged, and hides no other one.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn list(
        &self,
        tenant: &Tenant,
        agent: Option<&AgentId>,
        after: Option<&StateId>,
        limit: u32,
    ) -> Result<Vec<SnapshotInfo>, RuntimeError>;

    /// What there is in a snapshot.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn describe(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotView, RuntimeError>;

    /// How two snapshots differ.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn diff(
        &self,
        tenant: &Tenant,
        before: &StateId,
        after: &StateId,
    ) -> Result<SnapshotDiff, RuntimeError>;

    /// Gives a new agent, which nobody can run yet and which has no conversations, those of a snapshot.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`]; [`RuntimeError::Damaged`], and then the agent is to be removed.
    async fn fill(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError>;

    /// Puts an agent back to a snapshot: its conversations, states and declaration; its name stays. Cut off, it leaves
    /// the agent as it was, or something that [`Snapshots::finish`] completes.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`], [`RuntimeError::UnknownAgent`]; [`RuntimeError::WrongState`] unless the agent is
    /// stopped, has no open run and is of the same kind; [`RuntimeError::Damaged`], and then nothing was changed.
    async fn put_back(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError>;

    /// Completes what a crash left of [`Snapshots::put_back`]; has to be called before such an agent takes runs. Says
    /// whether there was anything.
    ///
    /// # Errors
    /// What kept the store from reading or writing.
    async fn finish(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<bool, RuntimeError>;

    /// Deletes a snapshot, also one that cannot be decoded. Contents that others may share stay until nobody refers to them.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn delete(
        &self,
        tenant: &Tenant,
        state: &StateId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError>;

    /// Deletes those snapshots of an agent that no rule keeps, and says which they were.
    ///
    /// # Errors
    /// What kept the store from reading or writing.
    async fn retain(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        retention: Retention,
        now: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<Vec<StateId>, RuntimeError> {
        let mut snapshots: Vec<SnapshotInfo> = Vec::new();
        loop {
            let after = snapshots.last().map(|info| info.state);
            let page = self.list(tenant, Some(agent), after.as_ref(), 100).await?;
            if page.is_empty() {
                break;
            }
            snapshots.extend(page);
        }
        let goes = retention.of(&snapshots, now);
        for state in &goes {
            match self.delete(tenant, state, owner).await {
                // Somebody else deleted it meanwhile.
                Ok(()) | Err(RuntimeError::UnknownState { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(goes)
    }

    /// Takes those contents out of `hashes` that something of the tenant in this partition still needs: a snapshot, or
    /// an agent that is being put back. What stays there may be deleted.
    ///
    /// # Errors
    /// What kept the store from being read wholly; then nothing may be deleted.
    async fn keep_needed(
        &self,
        tenant: &Tenant,
        partition: Partition,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError>;

    /// A snapshot as one file. Every content is compared with its hash on the way.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`]; the file breaks off with an error where something cannot be read.
    async fn export(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotFile, RuntimeError>;

    /// Takes a file in, as a snapshot of this store with an id of its own: `unique`, in the partition of `pool` that the
    /// saved agent had. The snapshot is there once all of the file was read and found whole.
    ///
    /// # Errors
    /// [`RuntimeError::BadSnapshotFile`] or [`RuntimeError::Newer`] for a file that is not what was exported; what the
    /// file itself broke off with.
    async fn import(
        &self,
        tenant: &Tenant,
        pool: Pool,
        unique: Uuid,
        file: SnapshotFile,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError>;
}
