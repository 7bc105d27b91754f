//! What is wrong with a cell: what it holds, and what it needs.

use std::collections::{HashMap, HashSet};

use runtime_codec::{
    CellRecord, CellSort, CodecError, Due, EndedRun, OpenRun, ScheduleRecord, SweptRun, Whose, decode,
    decode_cell, decode_entry, keys, named_by_cell,
};
use runtime_traits::agent::AgentSpec;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{EntryKind, Head};
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, Seq, StateError, StateStore, Tail};

use super::chain::{Chain, Follow};
use super::contents::Contents;
use super::damage::Fault;
use super::snapshots;
use crate::pages::PAGE;

/// Agents whose names are not looked for, that are remembered. Beyond them nothing is said of names.
const REMEMBERED: usize = 100_000;

/// Looks at the cells of one partition.
pub(crate) struct Cells<'a> {
    store: &'a dyn StateStore,
    pub(crate) contents: Contents<'a>,
    /// Agents that get their name later, or are being deleted.
    unnamed: HashSet<AgentId>,
    /// Whose agents are that are no default tenant's.
    tenants: HashMap<AgentId, Tenant>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(store: &'a dyn StateStore, partition: Partition) -> Self {
        Self {
            store,
            contents: Contents::of(store, partition),
            unnamed: HashSet::new(),
            tenants: HashMap::new(),
        }
    }

    /// Remembers whose an agent is.
    pub(crate) fn note(&mut self, whose: &Whose) {
        if let (Some(tenant), Some(agent)) = (&whose.tenant, whose.agent)
            && *tenant != Tenant::default()
            && self.tenants.len() < REMEMBERED
        {
            self.tenants.insert(agent, tenant.clone());
        }
    }

    /// Whether an agent gets its name later, or is being deleted.
    pub(crate) fn is_unnamed(&self, agent: &AgentId) -> bool {
        self.unnamed.contains(agent)
    }

    /// Whose an agent is.
    pub(crate) fn tenant_of(&self, agent: &AgentId) -> Tenant {
        self.tenants.get(agent).cloned().unwrap_or_default()
    }

    /// What a cell holds.
    ///
    /// # Errors
    /// What is wrong with its value.
    pub(crate) fn read(&mut self, sort: CellSort, value: &[u8]) -> Result<CellRecord, CodecError> {
        let record = decode_cell(sort, value)?;
        if let CellRecord::Due(Due::Unnamed { agent, .. } | Due::Restore { agent, .. }) = &record
            && self.unnamed.len() < REMEMBERED
        {
            self.unnamed.insert(*agent);
        }
        Ok(record)
    }

    /// What is wrong with what the cell needs. While others write, it is asked again before it counts.
    pub(crate) async fn needs(
        &mut self,
        key: &Key,
        cell: &Cell,
        record: &CellRecord,
        whose: &Whose,
    ) -> Option<Fault> {
        let fault = self.look(record, whose).await?;
        // What has changed meanwhile was looked at in two halves.
        let now = self.store.get(std::slice::from_ref(key)).await;
        match now.map(|mut cells| cells.pop().flatten()) {
            Ok(Some(now)) if now.revision == cell.revision => {
                self.look(record, whose).await?;
                let is_half_there = match (whose.agent, record) {
                    // Its name comes last.
                    (Some(agent), CellRecord::Spec(..)) => self.comes_or_goes(&agent).await,
                    (Some(agent), _) => self.goes(&whose.tenant.clone().unwrap_or_default(), &agent).await,
                    (None, _) => false,
                };
                (!is_half_there).then_some(fault)
            }
            Ok(_) => None,
            Err(error) => Some(Fault::from(&error)),
        }
    }

    /// Whether an agent is being deleted: what somebody wants of it goes first.
    async fn goes(&self, tenant: &Tenant, agent: &AgentId) -> bool {
        let want = keys::want(tenant, agent);
        let want = self.store.get(std::slice::from_ref(&want)).await;
        matches!(want.as_deref(), Ok([None])) && self.comes_or_goes(agent).await
    }

    /// Whether an agent was made a moment ago, or is being deleted: a cell that falls due says so from the first moment to
    /// the last.
    async fn comes_or_goes(&self, agent: &AgentId) -> bool {
        let is_it = |due: Due| matches!(due, Due::Unnamed { agent: of, .. } if of == *agent);
        self.is_due(agent.partition(), is_it).await
    }

    /// Whether the log of a run is being let go: its stub says so. Or whether it is the begin of a copy that nobody ended:
    /// that has no outcome (it is not `over`), and a cell that falls due. Every run that is over has such a cell, which says
    /// nothing of it.
    pub(crate) async fn is_passing(&self, run: &RunId, over: bool) -> bool {
        let is_it = |due: Due| matches!(due, Due::Sweep { run: of, .. } if of == *run);
        self.is_swept(run).await || (!over && self.is_due(run.partition(), is_it).await)
    }

    async fn is_due(&self, partition: Partition, is_it: impl Fn(Due) -> bool + Send + Sync) -> bool {
        let under = keys::due_all(partition);
        let mut after = None;
        while let Ok(page) = self.store.scan(&under, after.as_ref(), PAGE).await {
            if page.iter().any(|(_, cell)| decode::<Due>(&cell.value).is_ok_and(&is_it)) {
                return true;
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return false,
            }
        }
        false
    }

    /// Whether there is a stub of a run whose log is let go.
    pub(crate) async fn is_swept(&self, run: &RunId) -> bool {
        let stub = keys::swept(run);
        matches!(self.store.get(std::slice::from_ref(&stub)).await.as_deref(), Ok([Some(_)]))
    }

    async fn look(&mut self, record: &CellRecord, whose: &Whose) -> Option<Fault> {
        let tenant = whose.tenant.clone().unwrap_or_default();
        let found = match (record, whose.agent) {
            (CellRecord::Open(open), _) => self.open(open, whose.run?).await,
            (CellRecord::Ended(ended), Some(agent)) => self.ended(ended, agent, whose.run?).await,
            (CellRecord::Swept(stub), _) => self.stub(stub, whose.run?).await,
            (CellRecord::Head(head), Some(_)) => {
                let chain = self.chain(whose, head).await;
                chain.map(|chain| chain.faults.into_iter().next().map(|(_, fault)| fault))
            }
            (CellRecord::Name(name), _) => self.spec(&tenant, &name.agent).await,
            (CellRecord::Want(_), Some(agent)) => self.spec(&tenant, &agent).await,
            (CellRecord::Schedule(record, schedule), Some(agent)) => {
                self.schedule(&tenant, &agent, record, &schedule.name).await
            }
            (CellRecord::Spec(_, spec), Some(agent)) => self.name(&tenant, agent, spec).await,
            (CellRecord::Snapshot(manifest), _) => {
                Ok(snapshots::manifest(&mut self.contents, &tenant, manifest).await)
            }
            (CellRecord::Due(Due::Restore { tenant, sessions, .. }), _) => {
                Ok(snapshots::conversations(&mut self.contents, tenant, sessions).await.err())
            }
            (record, _) => match named_by_cell(record) {
                Some(content) => Ok(self.contents.check(&tenant, &content).await),
                None => Ok(None),
            },
        };
        found.unwrap_or_else(|error| Some(Fault::from(&error)))
    }

    /// What is left of a conversation.
    pub(crate) async fn chain(&mut self, whose: &Whose, head: &Head) -> Result<Chain, StateError> {
        let (Some(tenant), Some(agent), Some(session)) = (&whose.tenant, &whose.agent, &whose.session) else {
            return Ok(Chain::default());
        };
        let log = keys::messages(tenant, agent, session);
        Ok(Follow::of(self.store, &log, tenant).await?.chain(head, &mut self.contents).await)
    }

    async fn open(&self, open: &OpenRun, run: RunId) -> Result<Option<Fault>, StateError> {
        let log = keys::run_log(&run);
        let accepted = match self.first(&log).await? {
            Some(EntryKind::Accepted(accepted)) => accepted,
            Some(_) => return Ok(None),
            None => return Ok(Some(Fault::dangling("the log of the open run is missing"))),
        };
        if (accepted.agent, &accepted.session) != (open.agent, &open.session) {
            return Ok(Some(Fault::dangling("the log of the open run is of another agent or session")));
        }
        self.spec(&open.tenant, &open.agent).await
    }

    async fn ended(&self, ended: &EndedRun, agent: AgentId, run: RunId) -> Result<Option<Fault>, StateError> {
        Ok(match self.first(&keys::run_log(&run)).await? {
            None if self.is_swept(&run).await => None,
            None => Some(Fault::dangling("the log of the ended run is missing")),
            Some(EntryKind::Accepted(accepted))
                if (accepted.agent, &accepted.session) != (agent, &ended.session) =>
            {
                Some(Fault::dangling("the log of the ended run is of another agent or session"))
            }
            Some(_) => None,
        })
    }

    /// A stub goes with its agent, which finds it by the cell that says that the run is over.
    async fn stub(&self, stub: &SweptRun, run: RunId) -> Result<Option<Fault>, StateError> {
        let ended = keys::ended(&stub.tenant, &stub.agent, &run);
        match self.store.get(std::slice::from_ref(&ended)).await {
            // Told at its own place.
            Err(StateError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(cells) if cells.iter().any(Option::is_some) => Ok(None),
            Ok(_) => Ok(Some(Fault::dangling("nothing but its stub says that the run is over"))),
        }
    }

    /// The first entry of a run's log. One that is no entry is told where the log is read.
    async fn first(&self, log: &Log) -> Result<Option<EntryKind>, StateError> {
        let Tail { first, next, entries } = match self.store.read(log, Seq::FIRST, 1).await {
            Err(StateError::Damaged { .. }) => return Ok(Some(EntryKind::Unrecognised { tag: 0 })),
            read => read?,
        };
        if next <= first {
            return Ok(None);
        }
        let read = entries.first().and_then(|bytes| decode_entry(first, bytes).ok());
        Ok(Some(read.map_or(EntryKind::Unrecognised { tag: 0 }, |entry| entry.kind)))
    }

    async fn spec(&self, tenant: &Tenant, agent: &AgentId) -> Result<Option<Fault>, StateError> {
        let key = keys::spec(tenant, agent);
        match self.store.get(std::slice::from_ref(&key)).await {
            // Told at its own place.
            Err(StateError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(cells) if cells.iter().any(Option::is_some) => Ok(None),
            Ok(_) => Ok(Some(Fault::dangling(format!("the declaration of `{agent}` is missing")))),
        }
    }

    /// A schedule fires by another cell, without which nobody would look at it.
    async fn schedule(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        record: &ScheduleRecord,
        name: &Name,
    ) -> Result<Option<Fault>, StateError> {
        let Some(next) = record.next else { return self.spec(tenant, agent).await };
        let due = keys::due_schedule(agent, next, name);
        match self.store.get(std::slice::from_ref(&due)).await {
            // Told at its own place.
            Err(StateError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(cells) if cells.iter().any(Option::is_some) => self.spec(tenant, agent).await,
            Ok(_) => Ok(Some(Fault::dangling(format!("nothing fires the schedule `{name}`")))),
        }
    }

    async fn name(
        &self,
        tenant: &Tenant,
        agent: AgentId,
        spec: &AgentSpec,
    ) -> Result<Option<Fault>, StateError> {
        if self.unnamed.contains(&agent) || self.unnamed.len() >= REMEMBERED {
            return Ok(None);
        }
        let key = keys::name(agent.partition().pool, tenant, &spec.name);
        match self.store.get(std::slice::from_ref(&key)).await {
            Err(StateError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(cells) if cells.iter().any(Option::is_some) => Ok(None),
            Ok(_) => Ok(Some(Fault::dangling(format!("nothing says who has the name `{}`", spec.name)))),
        }
    }
}
