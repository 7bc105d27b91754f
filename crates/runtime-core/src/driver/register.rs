//! Registration: a name, an id, a declaration with its revisions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{Due, NameRecord, SpecRecord, WantRecord, encode};
use runtime_traits::agent::{Agent, AgentSpec, SpecError};
use runtime_traits::bus::Happening;
use runtime_traits::clock::UnixMillis;
use runtime_traits::error::Cause;
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::{AgentRef, RuntimeError, Want};
use runtime_traits::store::{Key, Revision, StateError, Then, When};

use super::commit::Patience;
use super::inner::Inner;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// After this an agent whose name was not written is taken for the leftover of a crash, and removed.
pub(super) const NAMED_WITHIN: Duration = Duration::from_secs(600);

/// An agent that is declared, and has no name yet.
#[derive(Debug)]
pub(super) struct Declared {
    /// Holds until it is removed.
    pub(super) is_there: When,
    /// When that is, by which cell, and what is in it.
    pub(super) at: UnixMillis,
    pub(super) cell: Key,
    /// Of the commit that wrote the cell.
    pub(super) revision: Revision,
    pub(super) due: Bytes,
}

impl Inner {
    /// Registers an agent by its declaration, stopped; or attaches to the agent of that name.
    pub(super) async fn register(
        self: &Arc<Self>,
        tenant: &Tenant,
        spec: &AgentSpec,
        value: Option<Arc<dyn Agent>>,
    ) -> Result<AgentId, RuntimeError> {
        if value.is_none() {
            let kind = self.kind(&spec.kind).ok_or_else(|| self.unknown_kind(&spec.kind))?;
            kind.check(spec)?;
        }
        if let Some(fault) = spec.storage.fault() {
            let (agent, cause) = (spec.name.to_string(), Cause::says(fault));
            return Err(SpecError::Config { agent, cause }.into());
        }
        self.check_care(spec)?;
        self.hold_tenants(&BTreeSet::from([tenant.clone()])).await?;
        self.check_spec_limits(tenant, spec, value.as_deref())?;
        let agent = loop {
            if let Some(agent) = self.named(tenant, &spec.name).await? {
                match self.redeclare(tenant, &agent, spec).await {
                    Ok(()) => break agent,
                    // Somebody else declared it meanwhile: look again.
                    Err(RuntimeError::Store(StateError::Conflict { .. })) => continue,
                    // It was deleted since somebody looked: what the store says of the name counts.
                    Err(RuntimeError::UnknownAgent { .. }) if self.forget_name_of(&agent) => continue,
                    Err(error) => return Err(error),
                }
            }
            if let Some(agent) = self.create(tenant, spec).await? {
                break agent;
            }
        };
        if let Some(value) = value {
            lock(&self.attached).insert(agent, value);
        }
        self.reload_agent(tenant, &agent).await?;
        if self.governing.is_some() {
            self.hold_runs(&agent);
        }
        self.begin_all(tenant, &agent).await?;
        Ok(agent)
    }

    /// Whether what an agent may use can be kept here, and lets anything through: also by what all agents of its tenant may, which was
    /// read before.
    fn check_spec_limits(
        &self,
        tenant: &Tenant,
        spec: &AgentSpec,
        value: Option<&dyn Agent>,
    ) -> Result<(), RuntimeError> {
        let limits = &spec.limits;
        let refused = |cause: Cause| SpecError::Config { agent: spec.name.to_string(), cause };
        limits.check().map_err(|error| refused(Cause::of(&error)))?;
        self.meter.check(limits.into())?;
        let Some(governing) = &self.governing else {
            if limits.is_none() {
                return Ok(());
            }
            let says = "`limits`: nobody holds agents to limits here; give the runtime a governor, or leave `limits` out";
            return Err(refused(Cause::says(says)).into());
        };
        if limits.is_none() && !governing.governor().limits_tenant(tenant) {
            return Ok(());
        }
        let least = match value {
            Some(value) => value.least_call(),
            None => match self.kind(&spec.kind) {
                Some(kind) => kind.build(spec)?.least_call(),
                None => None,
            },
        };
        let least = least.as_ref().map(|(model, usage)| (model, *usage));
        governing.governor().check(tenant, limits, least).map_err(|error| refused(Cause::of(&error)))?;
        Ok(())
    }

    /// Changes what an agent may use, from now on, for runs that had begun as well.
    pub(super) async fn set_limits(
        self: &Arc<Self>,
        tenant: &Tenant,
        called: &AgentRef,
        limits: impl Fn(ResourceLimits) -> ResourceLimits,
    ) -> Result<(), RuntimeError> {
        let agent = self.find(tenant, called).await?;
        self.hold_tenants(&BTreeSet::from([tenant.clone()])).await?;
        loop {
            let record = self.record::<SpecRecord>(&keys::spec(tenant, &agent)).await?;
            let record = record.ok_or_else(|| RuntimeError::UnknownAgent { agent: called.to_string() })?;
            let spec = parse_spec(&record)?;
            let changed = limits(spec.limits);
            let spec = spec.limited(changed);
            let value = lock(&self.attached).get(&agent).cloned();
            self.check_spec_limits(tenant, &spec, value.as_deref())?;
            match self.redeclare(tenant, &agent, &spec).await {
                // Somebody else declared it meanwhile: look again.
                Err(RuntimeError::Store(StateError::Conflict { .. })) => {}
                other => break other?,
            }
        }
        self.reload_agent(tenant, &agent).await?;
        self.hold_runs(&agent);
        Ok(())
    }

    /// Which agent has the name.
    pub(super) async fn named(&self, tenant: &Tenant, name: &Name) -> Result<Option<AgentId>, RuntimeError> {
        let known = (tenant.clone(), name.folded());
        if let Some(agent) = lock(&self.names).get(&known) {
            return Ok(Some(*agent));
        }
        let record = self.record::<NameRecord>(&keys::name(self.pool, tenant, name)).await?;
        let Some(record) = record else { return Ok(None) };
        let mut names = lock(&self.names);
        // A copy that may be dropped at any time; this keeps it small.
        if names.len() >= 65_536 {
            names.clear();
        }
        names.insert(known, record.agent);
        Ok(Some(record.agent))
    }

    /// Forgets which name an agent had that is no more. `false`: no name of it was known.
    pub(super) fn forget_name_of(&self, agent: &AgentId) -> bool {
        let mut names = lock(&self.names);
        let known = names.len();
        names.retain(|_, of| of != agent);
        names.len() < known
    }

    /// Makes a new agent. `None`: somebody else took the name meanwhile.
    async fn create(&self, tenant: &Tenant, spec: &AgentSpec) -> Result<Option<AgentId>, RuntimeError> {
        let mut draw = [0; 8];
        self.entropy.fill(&mut draw);
        let partition = Partition::of_hash(self.pool, u64::from_le_bytes(draw));
        let agent = AgentId::mint(partition, self.clock.as_ref(), self.entropy.as_ref());
        let unnamed = self.declare(tenant, &agent, spec, Want::Stopped).await?;
        if self.write_name(tenant, &agent, &spec.name).await? {
            self.say_registered(tenant, &agent, unnamed, None).await;
            return Ok(Some(agent));
        }
        self.purge(tenant, &agent).await?;
        Ok(None)
    }

    /// Writes an agent's first declaration. Until its name is written it is nobody's; a cell that falls due sees to it
    /// that a crash in between leaves nothing.
    pub(super) async fn declare(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        spec: &AgentSpec,
        want: Want,
    ) -> Result<Declared, RuntimeError> {
        let now = self.clock.now();
        let record = self.spec_record(1, spec)?;
        let due =
            encode(&Due::Unnamed { tenant: tenant.clone(), agent: *agent, name: spec.name.to_string() });
        let (at, cell) = unnamed(agent, now);
        let first = keys::spec(tenant, agent);
        let writes = Writes::of(
            vec![When::Absent(first.clone())],
            vec![
                Then::Put(first, encode(&record)),
                Then::Put(keys::spec_revision(tenant, agent, 1), encode(&record)),
                Then::Put(keys::want(tenant, agent), encode(&WantRecord { want, generation: 1 })),
                Then::Put(cell.clone(), due.clone()),
                // Whatever is written from here on is counted.
                Then::Add(keys::size(tenant, agent, keys::DAYS_BEFORE), 0),
            ],
        );
        let revision = self.commit_now(agent.partition(), writes).await?.revision;
        let is_there = When::Revision(keys::want(tenant, agent), revision);
        Ok(Declared { is_there, revision, due, at, cell })
    }

    /// Writes the name, last. `false`: it is taken.
    pub(super) async fn write_name(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        name: &Name,
    ) -> Result<bool, RuntimeError> {
        let cell = keys::name(self.pool, tenant, name);
        let record = NameRecord { agent: *agent, name: name.to_string() };
        let writes =
            Writes::of(vec![When::Absent(cell.clone())], vec![Then::Put(cell.clone(), encode(&record))]);
        match self.commit_unfenced(cell.partition, writes).await {
            Ok(_) => Ok(true),
            Err(StateError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A declaration that differs from the stored one becomes the next revision.
    async fn redeclare(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        spec: &AgentSpec,
    ) -> Result<(), RuntimeError> {
        let cell = keys::spec(tenant, agent);
        let before = self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten();
        let Some(before) = before else {
            return Err(RuntimeError::UnknownAgent { agent: spec.name.to_string() });
        };
        let record: SpecRecord = super::load::read(&cell, &before)?;
        let stored = parse_spec(&record)?;
        if stored.kind != spec.kind {
            let (name, kind) = (spec.name.to_string(), stored.kind.to_string());
            return Err(RuntimeError::NameTaken { name, kind });
        }
        if stored.same_as(spec) {
            return Ok(());
        }
        let record = self.spec_record(record.revision + 1, spec)?;
        let revision = keys::spec_revision(tenant, agent, record.revision);
        let writes = Writes::of(
            vec![When::Revision(cell.clone(), before.revision)],
            vec![Then::Put(cell, encode(&record)), Then::Put(revision, encode(&record))],
        );
        let mut writes = writes;
        if let Some(announcing) = &self.announcing {
            announcing.note_name(*agent, &spec.name);
        }
        let teller = self.teller(tenant, agent, Patience::OfCaller).await?;
        let revised = Happening::Revised { revision: record.revision };
        teller.tell(&mut writes.told, &revised, None, self.clock.now());
        self.commit_now(agent.partition(), writes).await?;
        Ok(())
    }

    /// Announces an agent that has its name, in the batch that takes away the cell which would look after it. Where nobody
    /// wants to know there is no batch. After a crash, or a failure, it is announced when that cell falls due.
    pub(super) async fn say_registered(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        Declared { cell, revision, .. }: Declared,
        restored: Option<&StateId>,
    ) {
        let mut writes = Writes::of(vec![When::Revision(cell.clone(), revision)], vec![Then::Delete(cell)]);
        let told = match self.tell_registered(&mut writes, tenant, agent, restored).await {
            Ok(()) if writes.told.is_empty() => return,
            Ok(()) => self.commit_now(agent.partition(), writes).await.map_err(RuntimeError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(%agent, %error, "that the agent was registered is announced later");
        }
    }

    /// Adds to a batch that an agent was registered, and what is wanted of it if it was made to be at work.
    pub(super) async fn tell_registered(
        &self,
        writes: &mut Writes,
        tenant: &Tenant,
        agent: &AgentId,
        restored: Option<&StateId>,
    ) -> Result<(), RuntimeError> {
        let teller = self.teller(tenant, agent, Patience::OfCaller).await?;
        if teller.is_silent() {
            return Ok(());
        }
        let Some(record) = self.record::<SpecRecord>(&keys::spec(tenant, agent)).await? else {
            return Ok(());
        };
        let kind = parse_spec(&record)?.kind;
        let at = self.clock.now();
        teller.tell(&mut writes.told, &Happening::Registered { kind: &kind }, None, at);
        if let Some(state) = restored {
            teller.tell(&mut writes.told, &Happening::Restored { state, in_place: false }, None, at);
        }
        let want = self.record::<WantRecord>(&keys::want(tenant, agent)).await?;
        if let Some(WantRecord { want: want @ Want::Active, generation: generation @ 1 }) = want {
            teller.tell(&mut writes.told, &Happening::Wanted { want, generation }, None, at);
        }
        Ok(())
    }

    fn spec_record(&self, revision: u32, spec: &AgentSpec) -> Result<SpecRecord, RuntimeError> {
        let spec = serde_json::to_string(spec).map_err(|error| {
            RuntimeError::Spec(SpecError::Config { agent: spec.name.to_string(), cause: Cause::of(&error) })
        })?;
        const LIMIT: usize = 256 * 1024;
        if spec.len() > LIMIT {
            let what = "the agent's declaration".to_owned();
            return Err(RuntimeError::TooLarge { what, size: spec.len() as u64, limit: LIMIT as u64 });
        }
        Ok(SpecRecord { revision, at: self.clock.now(), spec })
    }

    pub(super) fn unknown_kind(&self, kind: &Name) -> RuntimeError {
        let kinds = self.kinds.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut known: Vec<_> = kinds.keys().map(|name| format!("`{name}`")).collect();
        known.sort();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        RuntimeError::UnknownKind { kind: kind.to_string(), known }
    }
}

/// The declaration in a record.
pub(super) fn parse_spec(record: &SpecRecord) -> Result<AgentSpec, RuntimeError> {
    serde_json::from_str(&record.spec)
        .map_err(|error| RuntimeError::Damaged { what: format!("an agent's declaration ({error})") })
}

/// When an agent without a name is removed, and the cell that falls due then.
pub(super) fn unnamed(agent: &AgentId, now: UnixMillis) -> (UnixMillis, Key) {
    let at = now.after(NAMED_WITHIN);
    (at, keys::due(agent.partition(), at, &format!("unnamed/{}", agent.unique().simple())))
}
