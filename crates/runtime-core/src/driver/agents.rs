//! Agents in memory: activated at their first use, forgotten when idle. Only what somebody wants is stored.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use runtime_codec::{SpecRecord, WantRecord, encode};
use runtime_traits::agent::{Agent, SpecError};
use runtime_traits::bus::Happening;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::meter::ProcessLimits;
use runtime_traits::name::Tenant;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::{AgentRef, RuntimeError, Want};
use runtime_traits::store::{Then, When};

use super::commit::Patience;
use super::id_map::IdMap;
use super::inner::{AgentSlot, Inner, PartitionState};
use super::load::read;
use super::recovering::Care;
use super::register::parse_spec;
use super::run_slot::{RunSlot, lock};
use crate::engine::batches::Writes;
use crate::engine::keys;

impl Inner {
    /// The id behind a reference, checked for its form only.
    pub(super) async fn find(&self, tenant: &Tenant, agent: &AgentRef) -> Result<AgentId, RuntimeError> {
        let found = match agent {
            AgentRef::Id(id) => Some(*id).filter(|id| self.checked(id.partition())),
            AgentRef::Name(name) => self.named(tenant, name).await?,
        };
        found.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })
    }

    /// Does something with an agent in memory, and with its partition.
    pub(super) async fn with_agent<T>(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        act: impl FnOnce(&mut AgentSlot, &mut IdMap<RunId, Arc<RunSlot>>) -> T,
    ) -> Result<T, RuntimeError> {
        loop {
            {
                let mut state = lock(&self.home(agent.partition()).state);
                let PartitionState { agents, runs } = &mut *state;
                if let Some(slot) = agents.get_mut(&agent.unique()) {
                    if slot.tenant != *tenant {
                        return Err(RuntimeError::UnknownAgent { agent: agent.to_string() });
                    }
                    slot.used_at = self.clock.now();
                    return Ok(act(slot, runs));
                }
            }
            // Rare: kept out of the futures of what happens always.
            Box::pin(self.activate(tenant, agent)).await?;
        }
    }

    async fn activate(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let home = self.home(agent.partition());
        let _admin = home.admin.lock(agent).await;
        let slot = match self.load_agent(tenant, agent).await {
            Err(unknown @ RuntimeError::UnknownAgent { .. }) => {
                self.forget_name_of(agent);
                return Err(unknown);
            }
            loaded => loaded?,
        };
        lock(&home.state).agents.entry(agent.unique()).or_insert_with(|| Box::new(slot));
        Ok(())
    }

    async fn load_agent(&self, tenant: &Tenant, agent: &AgentId) -> Result<AgentSlot, RuntimeError> {
        let keys = [keys::spec(tenant, agent), keys::want(tenant, agent)];
        let mut cells = self.store.get(&keys).await?.into_iter();
        let (Some(spec), Some(want)) = (cells.next().flatten(), cells.next().flatten()) else {
            return Err(RuntimeError::UnknownAgent { agent: agent.to_string() });
        };
        let spec: SpecRecord = read(&keys[0], &spec)?;
        let want: WantRecord = read(&keys[1], &want)?;
        let (hosted, kind_version) = self.build(agent, &spec).await?;
        let declared = parse_spec(&spec)?;
        if let Some(announcing) = self.announcing.as_deref().filter(|announcing| announcing.is_interested()) {
            announcing.note_name(*agent, &declared.name);
        }
        let care = Care { recovery: declared.recovery, stall: declared.stall };
        let (storage, limits) = (declared.storage, declared.limits);
        // Whoever changes limits loads the agent after that, under this very lock: the last one loads what is last.
        if let Err(error) = self.meter.set_limits(agent, ProcessLimits::from(&limits)) {
            tracing::warn!(agent = %declared.name, %error, "a limit of the agent is not held here");
        }
        Ok(AgentSlot {
            tenant: tenant.clone(),
            want: want.want,
            revision: spec.revision,
            kind_version,
            storage: (!storage.is_none()).then(|| Box::new(storage)),
            limits: (!limits.is_default()).then(|| Box::new(limits)),
            care: (!care.is_none()).then(|| Box::new(care)),
            agent: hosted,
            used_at: self.clock.now(),
            sessions: None,
        })
    }

    /// What runs the agent here: the value it was registered with, or what its kind builds. `None`: nothing.
    async fn build(
        &self,
        agent: &AgentId,
        spec: &SpecRecord,
    ) -> Result<(Option<Arc<dyn Agent>>, u32), RuntimeError> {
        if let Some(value) = lock(&self.attached).get(agent) {
            return Ok((Some(Arc::clone(value)), 1));
        }
        let spec = parse_spec(spec)?;
        let Some(kind) = self.kind(&spec.kind) else { return Ok((None, 0)) };
        let name = spec.name.clone();
        let built = move || Ok::<_, SpecError>((kind.build(&spec)?, kind.version()));
        // It is code of the kind: it runs where agents run. A panic of it is its agent's trouble, and of nothing else.
        let built = self.whole(async move { std::panic::catch_unwind(AssertUnwindSafe(built)) }).await;
        let Ok(built) = built else {
            tracing::warn!(agent = %name, "building the agent panicked; its runs wait");
            return Ok((None, 0));
        };
        match built {
            Ok((built, version)) => Ok((Some(built), version)),
            Err(error) => {
                tracing::warn!(agent = %name, %error, "the agent cannot be built here; its runs wait");
                Ok((None, 0))
            }
        }
    }

    /// What works a run that was accepted with this revision of the agent's declaration.
    pub(super) async fn agent_for(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        revision: u32,
    ) -> Result<Option<(Arc<dyn Agent>, u32)>, RuntimeError> {
        self.build_anew(tenant, agent).await?;
        let current = self
            .with_agent(tenant, agent, |slot, _| (slot.revision, slot.agent.clone(), slot.kind_version))
            .await?;
        let (current_revision, current, version) = current;
        if current_revision != revision && !lock(&self.attached).contains_key(agent) {
            let pinned = self.record::<SpecRecord>(&keys::spec_revision(tenant, agent, revision)).await?;
            if let Some(pinned) = pinned {
                let (built, version) = self.build(agent, &pinned).await?;
                return Ok(built.map(|built| (built, version)));
            }
        }
        Ok(current.map(|agent| (agent, version)))
    }

    /// Changes what somebody wants of an agent, and says what that is now.
    pub(super) async fn set_want(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        change: impl FnOnce(Want) -> Result<Want, RuntimeError> + Send,
    ) -> Result<Want, RuntimeError> {
        let home = self.home(agent.partition());
        let _admin = self.lock_restored(tenant, agent).await?;
        let cell = keys::want(tenant, agent);
        let before = self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten();
        let Some(before) = before else {
            return Err(RuntimeError::UnknownAgent { agent: agent.to_string() });
        };
        let record: WantRecord = read(&cell, &before)?;
        let want = change(record.want)?;
        let generation = record.generation + 1;
        if want != record.want {
            let when = vec![When::Revision(cell.clone(), before.revision)];
            let then = vec![Then::Put(cell, encode(&WantRecord { want, generation }))];
            let mut writes = Writes::of(when, then);
            let teller = self.teller(tenant, agent, Patience::OfCaller).await?;
            let wanted = Happening::Wanted { want, generation };
            teller.tell(&mut writes.told, &wanted, None, self.clock.now());
            self.commit_now(agent.partition(), writes).await?;
        }
        let runs: Vec<Arc<RunSlot>> = {
            let mut state = lock(&home.state);
            if let Some(slot) = state.agents.get_mut(&agent.unique()) {
                slot.want = want;
            }
            state.runs.values().filter(|run| run.place.agent == *agent).cloned().collect()
        };
        if want != Want::Stopped {
            self.ticks.try_again(agent, self.clock.now());
        }
        for run in runs {
            if let Some(machine) = run.machine() {
                lock(&machine).pause(want == Want::Paused);
                run.signal.raise();
            }
        }
        Ok(want)
    }

    /// Builds an agent anew. One that cannot be built now stays as it is. Whether there is a new one.
    pub(super) async fn replace_agent(&self, tenant: &Tenant, agent: &AgentId) -> Result<bool, RuntimeError> {
        let home = self.home(agent.partition());
        let _admin = home.admin.lock(agent).await;
        let record = self.record::<SpecRecord>(&keys::spec(tenant, agent)).await?;
        let Some(record) = record else { return Ok(false) };
        let (Some(built), kind_version) = self.build(agent, &record).await? else { return Ok(false) };
        let mut state = lock(&home.state);
        let Some(slot) = state.agents.get_mut(&agent.unique()).filter(|slot| slot.tenant == *tenant) else {
            return Ok(false);
        };
        (slot.agent, slot.kind_version) = (Some(built), kind_version);
        Ok(true)
    }

    /// Loads an agent anew, and holds it to what its declaration says now; what it works on stays.
    pub(super) async fn reload_agent(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let home = self.home(agent.partition());
        let _admin = home.admin.lock(agent).await;
        let loaded = self.load_agent(tenant, agent).await?;
        let want = loaded.want;
        let mut state = lock(&home.state);
        let counts =
            |limits: Option<&ResourceLimits>| limits.is_some_and(|l| l.max_concurrent_requests.is_some());
        if let Some(slot) = state.agents.get(&agent.unique())
            && counts(loaded.limits.as_deref())
            && !counts(slot.limits.as_deref())
        {
            self.count_worked(tenant, agent, slot.limits.as_deref(), state.runs.values());
        }
        // Under the lock under which whoever tells limits reads them, so that no older ones are told after these.
        if let Some(governing) = &self.governing {
            governing.governor().limit(tenant, agent, &loaded.limits.as_deref().copied().unwrap_or_default());
        }
        if let Some(slot) = state.agents.get_mut(&agent.unique()) {
            let sessions = slot.sessions.take();
            **slot = AgentSlot { sessions, ..loaded };
        }
        drop(state);
        if want != Want::Stopped {
            self.ticks.try_again(agent, self.clock.now());
        }
        Ok(())
    }

    /// Forgets agents that did nothing for a while.
    pub(super) fn forget_idle(&self) {
        let now = self.clock.now();
        for home in &self.partitions {
            let mut state = lock(&home.state);
            state
                .agents
                .retain(|_, slot| !slot.is_idle() || now.since(slot.used_at) < self.config.idle_after);
            if state.agents.capacity() > 64 && state.agents.len() < state.agents.capacity() / 4 {
                state.agents.shrink_to_fit();
            }
        }
    }
}
