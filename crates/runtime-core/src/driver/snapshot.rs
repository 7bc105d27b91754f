//! Snapshots: what the runtime has to do with them. Names, kinds and what somebody wants of an agent are its own; how a
//! snapshot is kept is not.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_codec::{CellSort, LastSaved, SpecRecord, Whose, cell_sort, decode};
use runtime_traits::bus::Happening;
use runtime_traits::id::{AgentId, StateId, mint_uuid};
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, Page, RuntimeError, SnapshotFilter, Want};
use runtime_traits::snapshot::{
    PartitionOwner, Retention, Save, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView, Snapshots,
};
use runtime_traits::store::{Committed, StateError, Then, When};

use super::commit::Patience;
use super::filling::Filling;
use super::importing::partition_of;
use super::inner::Inner;
use super::register::parse_spec;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Snapshots on a page, if the caller does not say, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MOST: u32 = 1_000;

#[async_trait]
impl PartitionOwner for Inner {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        self.commit_snapshots(partition, Writes::of(when, then)).await
    }
}

/// Puts an agent back to a snapshot: from the batch with which that begins on it is done, whatever crashes.
struct PuttingBack<'a> {
    inner: &'a Inner,
    tenant: &'a Tenant,
    agent: &'a AgentId,
    state: &'a StateId,
}

#[async_trait]
impl PartitionOwner for PuttingBack<'_> {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        let Self { inner, tenant, agent, state } = *self;
        let begins = keys::restoring(agent);
        let begins = then.iter().any(|write| matches!(write, Then::Put(key, _) if *key == begins));
        let mut writes = Writes::of(when, then);
        if begins {
            let teller = inner.teller(tenant, agent, Patience::OfCaller).await?;
            let restored = Happening::Restored { state, in_place: true };
            teller.tell(&mut writes.told, &restored, None, inner.clock.now());
        }
        inner.commit_snapshots(partition, writes).await
    }
}

impl Inner {
    /// Commits what whoever makes snapshots writes.
    async fn commit_snapshots(
        &self,
        partition: Partition,
        mut writes: Writes,
    ) -> Result<Committed, StateError> {
        let is_mark = |write: &Then| matches!(write, Then::Put(key, _) if keys::of_mark(key).is_some());
        let _alone = match writes.then.iter().any(is_mark) {
            true => Some(self.home(partition).marks.write().await),
            false => None,
        };
        self.mark_saved(&mut writes).await?;
        self.book_restored(&mut writes).await?;
        self.tell_saved(&mut writes).await?;
        self.commit_now(partition, writes).await
    }

    /// Adds that an agent was frozen: the last batch of that says so by a cell.
    async fn tell_saved(&self, writes: &mut Writes) -> Result<(), StateError> {
        if self.announcing.is_none() {
            return Ok(());
        }
        for write in &writes.then {
            if let Then::Put(key, value) = write
                && let (CellSort::Saved, Whose { tenant: Some(tenant), agent: Some(agent), .. }) =
                    cell_sort(key)
            {
                let LastSaved { state } = decode(value)
                    .map_err(|error| StateError::Damaged { what: format!("`{key}` ({error})") })?;
                let teller = self.teller(&tenant, &agent, Patience::OfCaller).await?;
                teller.tell(&mut writes.told, &Happening::Saved { state: &state }, None, self.clock.now());
            }
        }
        Ok(())
    }

    fn snapshots(&self) -> Result<&dyn Snapshots, RuntimeError> {
        self.snapshots.as_deref().ok_or(RuntimeError::NoSnapshots)
    }

    /// What makes snapshots, if the id can be one of this pool's.
    fn snapshots_with(&self, state: &StateId) -> Result<&dyn Snapshots, RuntimeError> {
        if self.checked(state.partition()) {
            self.snapshots()
        } else {
            Err(RuntimeError::UnknownState { state: *state })
        }
    }

    /// Freezes an agent's conversations and state, each at its session's last outcome.
    pub(super) async fn save(&self, tenant: &Tenant, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let _names = self.share_names(id.partition()).await?;
        let kind_version = self.with_agent(tenant, &id, |slot, _| slot.kind_version).await?;
        {
            let _admin = self.home(id.partition()).admin.lock(&id).await;
            self.finish_restoring(tenant, &id).await?;
        }
        let state = StateId::mint(id.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let save = Save { agent: id, kind_version, state, at: self.clock.now() };
        Ok(self.snapshots()?.save(tenant, save, self).await?.state)
    }

    /// Makes a new, started agent of a snapshot.
    pub(super) async fn restore(
        self: &Arc<Self>,
        tenant: &Tenant,
        state: &StateId,
        name: Option<Name>,
    ) -> Result<AgentId, RuntimeError> {
        let snapshots = self.snapshots_with(state)?;
        let SnapshotView { info, spec, .. } = snapshots.describe(tenant, state).await?;
        let mut spec = parse_spec(&SpecRecord { revision: 1, at: info.at, spec })?;
        let given = name.is_some();
        let value = lock(&self.attached).get(&info.agent).cloned();
        if value.is_none() && self.kind(&spec.kind).is_none() {
            return Err(self.unknown_kind(&spec.kind));
        }
        let wanted = name.unwrap_or_else(|| spec.name.clone());
        let mut draw = [0; 8];
        self.entropy.fill(&mut draw);
        let partition = Partition::of_hash(self.pool, u64::from_le_bytes(draw));
        let agent = AgentId::mint(partition, self.clock.as_ref(), self.entropy.as_ref());
        let _names = self.names_of(&[state.partition(), partition]).await?;
        let mut nth = 1;
        spec.name = wanted.clone();
        while self.named(tenant, &spec.name).await?.is_some() {
            if given {
                let kind = spec.kind.to_string();
                return Err(RuntimeError::NameTaken { name: wanted.to_string(), kind });
            }
            nth += 1;
            spec.name = numbered(&wanted, nth)?;
        }
        let declared = self.declare(tenant, &agent, &spec, Want::Active).await?;
        let filling = Filling::new(self, agent, declared);
        let filled = match snapshots.fill(tenant, state, &agent, &filling).await {
            Ok(()) => filling.put_off().await.map_err(RuntimeError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = filled {
            if let Err(error) = self.purge(tenant, &agent).await {
                tracing::warn!(%agent, %error, "what was restored of the agent stays until it falls due");
            }
            return Err(match error {
                RuntimeError::Store(StateError::Fenced) if self.store_trouble().is_none() => {
                    too_slow(&spec.name)
                }
                error => error,
            });
        }
        if !self.write_name(tenant, &agent, &spec.name).await? {
            self.purge(tenant, &agent).await?;
            let (name, kind) = (spec.name.to_string(), spec.kind.to_string());
            return Err(RuntimeError::NameTaken { name, kind });
        }
        self.say_registered(tenant, &agent, filling.into_declared(), Some(state)).await;
        if let Some(value) = value {
            lock(&self.attached).insert(agent, value);
        }
        Ok(agent)
    }

    /// Puts a stopped agent back to a snapshot.
    pub(super) async fn restore_in_place(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentRef,
    ) -> Result<(), RuntimeError> {
        let snapshots = self.snapshots_with(state)?;
        let id = self.find(tenant, agent).await?;
        let home = self.home(id.partition());
        let _names = self.names_of(&[state.partition(), id.partition()]).await?;
        // Nobody starts, deletes or activates it meanwhile.
        let _admin = home.admin.lock(&id).await;
        let named = |error| match error {
            RuntimeError::WrongState { action, reason, .. } => {
                RuntimeError::WrongState { agent: agent.to_string(), action, reason }
            }
            error => error,
        };
        // One that is just being accepted is not in the store yet. An agent that is stopped gets no other.
        if lock(&home.state).runs.values().any(|run| run.place.agent == id) {
            return Err(RuntimeError::WrongState {
                agent: agent.to_string(),
                action: "put back".to_owned(),
                reason: "it has open runs; cancel them or let them end first".to_owned(),
            });
        }
        let owner = PuttingBack { inner: self, tenant, agent: &id, state };
        let put = snapshots.put_back(tenant, state, &id, self.clock.now(), &owner).await;
        // What was known of its sessions does not hold.
        let mut here = lock(&home.state);
        if !here.runs.values().any(|run| run.place.agent == id) {
            here.agents.remove(&id.unique());
        }
        put.map_err(named)
    }

    /// Sees that nobody looks for contents without names in these partitions.
    async fn names_of(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<tokio::sync::RwLockReadGuard<'_, ()>>, RuntimeError> {
        let mut partitions = partitions.to_vec();
        partitions.sort_unstable();
        partitions.dedup();
        let mut guards = Vec::with_capacity(partitions.len());
        for partition in partitions {
            guards.push(self.share_names(partition).await?);
        }
        Ok(guards)
    }

    /// An agent's lock, once what a crash left of putting it back is completed. Only that takes contents in hand, so that
    /// whoever looks for those without names keeps nobody else waiting.
    pub(super) async fn lock_restored(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, RuntimeError> {
        let home = self.home(agent.partition());
        {
            let admin = home.admin.lock(agent).await;
            if !self.is_restoring(agent).await? {
                return Ok(admin);
            }
        }
        let _names = self.share_names(agent.partition()).await?;
        let admin = home.admin.lock(agent).await;
        self.finish_restoring(tenant, agent).await?;
        Ok(admin)
    }

    /// Whether a crash left something of putting the agent back.
    async fn is_restoring(&self, agent: &AgentId) -> Result<bool, RuntimeError> {
        Ok(self.store.get(&[keys::restoring(agent)]).await?.iter().any(Option::is_some))
    }

    /// Completes what a crash left of putting an agent back. Whoever calls this holds its `admin` and shares the partition's
    /// `names`.
    pub(super) async fn finish_restoring(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<(), RuntimeError> {
        if !self.is_restoring(agent).await? {
            return Ok(());
        }
        self.snapshots()?.finish(tenant, agent, self).await?;
        lock(&self.home(agent.partition()).state).agents.remove(&agent.unique());
        Ok(())
    }

    /// Does the same because its cell is due. What keeps it from that keeps nothing else.
    pub(super) async fn finish_restoring_in_time(&self, tenant: &Tenant, agent: &AgentId) {
        // Whoever holds this is at it, or will come to it.
        let Some(_admin) = self.home(agent.partition()).admin.try_lock(agent) else { return };
        if let Err(error) = self.finish_restoring(tenant, agent).await {
            tracing::warn!(%agent, %error, "the agent cannot be put back to its snapshot; later again");
        }
    }

    pub(super) async fn list_snapshots(
        &self,
        tenant: &Tenant,
        filter: SnapshotFilter,
    ) -> Result<Page<SnapshotInfo>, RuntimeError> {
        let SnapshotFilter { agent, after, limit } = filter;
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MOST) };
        let after: Option<StateId> = after.as_deref().map(str::parse).transpose()?;
        let mut items = Vec::new();
        if agent.is_none_or(|agent| self.checked(agent.partition())) {
            items = self.snapshots()?.list(tenant, agent.as_ref(), after.as_ref(), limit).await?;
        }
        let is_full = items.len() == limit as usize;
        let next = items.last().filter(|_| is_full).map(|info| info.state.to_string());
        Ok(Page { items, next })
    }

    pub(super) async fn describe(
        &self,
        tenant: &Tenant,
        state: &StateId,
    ) -> Result<SnapshotView, RuntimeError> {
        self.snapshots_with(state)?.describe(tenant, state).await
    }

    pub(super) async fn diff(
        &self,
        tenant: &Tenant,
        before: &StateId,
        after: &StateId,
    ) -> Result<SnapshotDiff, RuntimeError> {
        self.snapshots_with(before)?;
        self.snapshots_with(after)?.diff(tenant, before, after).await
    }

    pub(super) async fn delete_snapshot(&self, tenant: &Tenant, state: &StateId) -> Result<(), RuntimeError> {
        let snapshots = self.snapshots_with(state)?;
        let _names = self.share_names(state.partition()).await?;
        snapshots.delete(tenant, state, self).await
    }

    pub(super) async fn retain(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let _names = self.share_names(id.partition()).await?;
        self.snapshots()?.retain(tenant, &id, retention, self.clock.now(), self).await
    }

    pub(super) async fn export(
        &self,
        tenant: &Tenant,
        state: &StateId,
    ) -> Result<SnapshotFile, RuntimeError> {
        self.snapshots_with(state)?.export(tenant, state).await
    }

    pub(super) async fn import(&self, tenant: &Tenant, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        let unique = mint_uuid(self.clock.as_ref(), self.entropy.as_ref());
        // However slowly it comes, only the partition that it comes to is kept from letting contents go.
        let (partition, file) = partition_of(file, self.pool).await?;
        let concerned = match partition {
            Some(partition) => vec![partition],
            None => self.partitions.iter().map(|home| home.partition).collect(),
        };
        let _names = self.names_of(&concerned).await?;
        Ok(self.snapshots()?.import(tenant, self.pool, unique, file, self).await?.state)
    }
}

/// The agent was removed while it was restored, for nobody wrote into it for long.
fn too_slow(name: &Name) -> RuntimeError {
    RuntimeError::WrongState {
        agent: name.to_string(),
        action: "restored".to_owned(),
        reason: "it was taken for the leftover of a crash, as nothing was written for long; restore it again"
            .to_owned(),
    }
}

/// `name-2`, `name-3`, …, within the length of a name.
fn numbered(name: &Name, nth: u32) -> Result<Name, RuntimeError> {
    let suffix = format!("-{nth}");
    let kept = &name.as_str()[..name.as_str().len().min(64 - suffix.len())];
    Ok(Name::new(format!("{kept}{suffix}"))?)
}
