//! Looking: agents, runs, the runtime itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use runtime_codec::{NameRecord, SpecRecord};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Payload;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Entry, EntryKind, Outcome, RunView, WaitOn};
use runtime_traits::meter::{ProcessStatus, ProcessUsage, mib};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::resource::{Limit, ResourceLimits, ResourceUsage, Used};
use runtime_traits::runtime::{
    AgentRef, AgentStatus, Finished, Joined, NodeStatus, Page, Readiness, RunFilter, RuntimeError, Stored,
};
use runtime_traits::store::{Key, StateError};

use super::accept::waits_for;
use super::govern::no_number;
use super::inner::{BUILD, Inner};
use super::load::read;
use super::register::parse_spec;
use super::run_slot::{RunSlot, Stage, lock};
use super::wake::other_version;
use crate::engine::keys;

const PAGE_DEFAULT: u32 = 100;

impl Inner {
    /// Waits for a run's outcome.
    pub(super) async fn join(
        &self,
        tenant: &Tenant,
        run: &RunId,
        within: Duration,
    ) -> Result<Joined, RuntimeError> {
        if let Some(slot) = self.open_slot(tenant, run)?
            && let Ok(finished) = tokio::time::timeout(within, self.outcome(&slot)).await
        {
            return Ok(Joined::Ended((*finished?).clone()));
        }
        let (log, view) = match self.tenant_log(tenant, run).await {
            Err(swept @ RuntimeError::RunSwept { .. }) => return self.join_swept(tenant, run, swept).await,
            read => read?,
        };
        match self.finished(tenant, &view, &log).await? {
            Some(finished) => Ok(Joined::Ended(finished)),
            None => Ok(Joined::Open(Box::new(view))),
        }
    }

    /// The outcome of a run's last successor, or its own.
    pub(super) async fn last_outcome(
        &self,
        tenant: &Tenant,
        mut finished: Arc<Finished>,
    ) -> Result<Arc<Finished>, RuntimeError> {
        while let Outcome::Continued(next) = finished.outcome {
            let joined = Box::pin(self.join(tenant, &next, Duration::MAX)).await?;
            let Joined::Ended(ended) = joined else { return Err(RuntimeError::UnknownRun { run: next }) };
            finished = Arc::new(ended);
        }
        Ok(finished)
    }

    /// A run's log, if the run is the tenant's: its agent says whose it is.
    pub(super) async fn tenant_log(
        &self,
        tenant: &Tenant,
        run: &RunId,
    ) -> Result<(Vec<Entry>, RunView), RuntimeError> {
        let (log, mut view) = match self.run_log(run).await {
            Err(RuntimeError::RunSwept(log)) if !self.has_agent(tenant, &log.agent).await? => {
                return Err(RuntimeError::UnknownRun { run: *run });
            }
            read => read?,
        };
        if !self.has_agent(tenant, &view.agent).await? {
            return Err(RuntimeError::UnknownRun { run: *run });
        }
        self.explain(tenant, &mut view, &log).await?;
        Ok((log, view))
    }

    /// A run, with all that its waits ask, up to a megabyte each.
    pub(super) async fn run_status(&self, tenant: &Tenant, run: &RunId) -> Result<RunView, RuntimeError> {
        const MOST: u64 = 1024 * 1024;
        let (log, mut view) = match self.tenant_log(tenant, run).await {
            Err(RuntimeError::RunSwept { .. }) => return self.run_view(run).await,
            read => read?,
        };
        for wait in &mut view.waits {
            if let Some(request) = asked(&log, &wait.on)
                && wait.asks.is_none()
                && request.len() <= MOST
            {
                wait.asks = Some(self.resolve(tenant, run.partition(), request).await?);
            }
        }
        Ok(view)
    }

    /// Adds what the fold does not say of its waits: what they ask, which version of its kind is here instead, and what a
    /// run waits for that was called.
    async fn explain(&self, tenant: &Tenant, view: &mut RunView, log: &[Entry]) -> Result<(), RuntimeError> {
        let agent = view.agent;
        for wait in &mut view.waits {
            // What is kept beside the log is added where one run is looked at.
            if let Some(Payload::Inline(request)) = asked(log, &wait.on) {
                wait.asks = Some(request.clone());
            }
            if let WaitOn::CodeVersion(needed) = wait.on {
                let here =
                    self.with_agent(tenant, &agent, |slot, _| slot.agent.as_ref().map(|_| slot.kind_version));
                wait.note = here.await?.map(|here| other_version(needed, here));
            }
            if let WaitOn::Child { run, .. } = wait.on {
                wait.note = self.held_up(run).await?;
            }
        }
        view.room = self.waits_for_room(&view.run);
        view.stands = self.stands(view);
        Ok(())
    }

    /// A run that was called, or its successor, with what it waits for, if it does: whoever looks at the caller has to know
    /// where to go on looking.
    async fn held_up(&self, mut run: RunId) -> Result<Option<String>, RuntimeError> {
        loop {
            if let Some(slot) = self.run_slot(&run) {
                return Ok(waits_for(&slot).map(|what| format!("`{run}`, which waits for {what}")));
            }
            match self.run_view(&run).await {
                Ok(RunView { outcome: Some(Outcome::Continued(next)), .. }) => run = next,
                Ok(_) | Err(RuntimeError::UnknownRun { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The agents of a tenant: the names are the list. A page ends with a partition's names.
    pub(super) async fn agents(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<AgentStatus>, RuntimeError> {
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(1_000) } as usize;
        let (mut index, mut cell) = cursor(self, after)?;
        let mut items = Vec::new();
        while index < Partition::COUNT {
            let partition = Partition { pool: self.pool, index };
            let room = (limit - items.len()) as u32;
            let page = self.store.scan(&keys::names_all(partition, tenant), cell.as_ref(), room).await?;
            let full = page.len() == room as usize;
            for (key, found) in page {
                let status = match read::<NameRecord>(&key, &found) {
                    Ok(record) => self.agent_status(tenant, &record.agent).await,
                    Err(error) => Err(error),
                };
                match status {
                    Ok(status) => items.push(status),
                    // Deleted since the page was read.
                    Err(RuntimeError::UnknownAgent { .. }) => {}
                    // The others are listed all the same.
                    Err(error @ (RuntimeError::Damaged { .. } | RuntimeError::Newer { .. })) => {
                        tracing::warn!(name = %key, %error, "an agent cannot be read, and is not listed");
                    }
                    Err(error) => return Err(error),
                }
                cell = Some(key);
            }
            if full {
                items.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(Page { items, next: cell.map(|cell| written(&cell)) });
            }
            index += 1;
            cell = None;
        }
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Page { items, next: None })
    }

    /// One agent.
    pub(super) async fn agent(&self, tenant: &Tenant, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        match self.agent_status(tenant, &id).await {
            // It was deleted since somebody looked: what the store says of the name counts.
            Err(RuntimeError::UnknownAgent { .. }) if self.forget_name_of(&id) => {
                let id = self.find(tenant, agent).await?;
                self.agent_status(tenant, &id).await
            }
            status => status,
        }
    }

    async fn agent_status(&self, tenant: &Tenant, id: &AgentId) -> Result<AgentStatus, RuntimeError> {
        let cells = [keys::spec(tenant, id), keys::want(tenant, id)];
        let mut found = self.store.get(&cells).await?.into_iter();
        let (Some(spec), Some(want)) = (found.next().flatten(), found.next().flatten()) else {
            return Err(RuntimeError::UnknownAgent { agent: id.to_string() });
        };
        let record: SpecRecord = read(&cells[0], &spec)?;
        let want: runtime_codec::WantRecord = read(&cells[1], &want)?;
        let spec = parse_spec(&record)?;
        let hosted = self.kind(&spec.kind).is_some() || lock(&self.attached).contains_key(id);
        let (mut running, mut queued) = (0, 0);
        let counted = {
            let state = lock(&self.home(id.partition()).state);
            for slot in state.runs.values().filter(|run| run.place.agent == *id) {
                match slot.stage() {
                    Stage::Queued | Stage::Accepting => queued += 1,
                    Stage::Working(_) | Stage::Parked(_) | Stage::Moving => running += 1,
                    Stage::Ended(_) | Stage::Left(_) => {}
                }
            }
            state.agents.get(&id.unique()).map(|agent| super::queued::queued(id, agent, &state.runs))
        };
        let (mut usage, damage) = match self.usage_of(tenant, id, &spec.limits).await {
            Err(error @ (RuntimeError::Damaged { .. } | RuntimeError::Store(StateError::Damaged { .. }))) => {
                (ResourceUsage::default(), Some(error.to_string()))
            }
            usage => {
                let damaged = self.damaged_books.of(tenant, id, self.clock.now());
                let damaged = damaged.map(|cell| RuntimeError::Damaged { what: no_number(&cell) });
                (usage?, damaged.map(|damaged| damaged.to_string()))
            }
        };
        let process = self.meter.used(id);
        of_process(&mut usage, &spec.limits, process.as_ref(), counted.unwrap_or(queued));
        Ok(AgentStatus {
            id: *id,
            name: spec.name,
            kind: spec.kind,
            description: spec.description,
            limits: spec.limits,
            usage,
            damage,
            want: want.want,
            hosted,
            revision: record.revision,
            declared_at: record.at,
            running,
            queued,
            stored: Stored {
                soft: spec.storage.soft,
                hard: spec.storage.hard,
                ..self.stored(tenant, id).await?
            },
            process,
        })
    }

    /// Runs, partition by partition, oldest first in each.
    pub(super) async fn runs(
        &self,
        tenant: &Tenant,
        filter: RunFilter,
    ) -> Result<Page<RunView>, RuntimeError> {
        let limit = if filter.limit == 0 { PAGE_DEFAULT } else { filter.limit.min(1_000) } as usize;
        let after = filter.after.as_deref().map(|run| run.parse::<RunId>()).transpose()?;
        let partitions = match filter.agent {
            Some(agent) if !self.checked(agent.partition()) => Vec::new(),
            Some(agent) => vec![agent.partition()],
            None => {
                let mut partitions = self.store.partitions().await?;
                partitions.retain(|partition| self.checked(*partition));
                partitions.sort();
                partitions
            }
        };
        let mut items = Vec::new();
        for partition in partitions {
            if after.is_some_and(|after| partition < after.partition()) {
                continue;
            }
            let runs = self.runs_in(tenant, partition, &filter).await?;
            for run in runs.into_iter().filter(|run| after.is_none_or(|after| *run > after)) {
                // A run that was let go since the page was read is no longer there.
                match self.tenant_log(tenant, &run).await {
                    Ok((_, view)) if filter.quarantined && !view.is_quarantined() => {}
                    Ok((_, view)) => items.push(view),
                    Err(RuntimeError::RunSwept { .. }) => items.push(self.run_view(&run).await?),
                    Err(RuntimeError::UnknownRun { .. }) => {}
                    Err(error) => return Err(error),
                }
                if items.len() == limit {
                    return Ok(Page { items, next: Some(run.to_string()) });
                }
            }
        }
        Ok(Page { items, next: None })
    }

    async fn runs_in(
        &self,
        tenant: &Tenant,
        partition: Partition,
        filter: &RunFilter,
    ) -> Result<Vec<RunId>, RuntimeError> {
        let id_of = |key: &Key| {
            let unique = keys::last_part(key).and_then(|id| uuid::Uuid::try_parse(id).ok())?;
            Some(RunId::from_parts(partition, unique))
        };
        let mut runs = Vec::new();
        for (key, cell) in self.cells(&keys::open_all(partition)).await? {
            let open: runtime_codec::OpenRun = read(&key, &cell)?;
            if open.tenant == *tenant && filter.agent.is_none_or(|agent| agent == open.agent) {
                runs.extend(id_of(&key));
            }
        }
        if filter.quarantined {
            // All open runs are in memory.
            let aside =
                |run: &RunId| self.run_slot(run).is_some_and(|slot| slot.aside.load(Ordering::Relaxed));
            runs.retain(aside);
        }
        if filter.open || filter.quarantined {
            runs.sort();
            return Ok(runs);
        }
        let under = match &filter.agent {
            Some(agent) => keys::ended_all(tenant, agent),
            None => keys::agents_all(partition, tenant),
        };
        for (key, _) in self.cells(&under).await? {
            if key.path.as_bytes().windows(7).any(|part| part == b"/ended/") {
                runs.extend(id_of(&key));
            }
        }
        // A run that ended between the two scans stands in both.
        runs.sort();
        runs.dedup();
        Ok(runs)
    }

    /// The runtime itself, as a tenant may see it.
    pub(super) fn node_status(&self, tenant: &Tenant) -> NodeStatus {
        let readiness = match self.store_trouble() {
            Some(cause) => Readiness::StoreFailed(cause.to_string()),
            None if self.is_draining() => Readiness::Draining,
            None => Readiness::Ready,
        };
        let last_progress = self.last_progress.load(Ordering::Relaxed);
        NodeStatus {
            node: self.node,
            build: BUILD.to_owned(),
            store: self.store.profile(),
            since: self.since,
            readiness,
            open_runs: self.open_runs.load(Ordering::Relaxed),
            active_agents: self.partitions.iter().map(|home| lock(&home.state).agents.len() as u64).sum(),
            last_progress: (last_progress > 0).then_some(UnixMillis(last_progress)),
            suspects: self.trials.suspects(),
            scrub: self.scrub.as_ref().map(|scrub| scrub.status()),
            process: ProcessStatus {
                unattributed_mb: self.meter.unattributed().map(mib),
                long_polls: self.long_polls(tenant),
            },
            telling: self.announcing.as_ref().map(|announcing| announcing.status()),
            breakers: self.breakers.as_ref().map(|breakers| breakers.standing()).unwrap_or_default(),
            health: None,
        }
    }

    /// A run's outcome, when it has it. A runtime that ends works it no further: the next one does.
    pub(super) async fn outcome(&self, slot: &RunSlot) -> Result<Arc<Finished>, RuntimeError> {
        let outcome = slot.until(|stage| match stage {
            Stage::Ended(finished) => Some(Ok(Arc::clone(finished))),
            Stage::Left(error) => Some(Err(error.clone())),
            _ => None,
        });
        tokio::select! {
            biased;
            outcome = outcome => outcome,
            () = self.ending.cancelled() => Err(RuntimeError::ShuttingDown),
        }
    }
}

/// Where a page of agents begins: partition and cell.
pub(super) fn cursor(inner: &Inner, after: Option<&str>) -> Result<(u16, Option<Key>), RuntimeError> {
    let Some(after) = after else { return Ok((0, None)) };
    let wrong = || runtime_traits::NameError::new("page", after, "what the last page's `next` said");
    let (partition, path) = after.split_once('/').ok_or_else(wrong)?;
    let partition: Partition = partition.parse()?;
    if !inner.checked(partition) {
        return Err(wrong().into());
    }
    let key = Key::new(partition, path.as_bytes().to_vec()).map_err(|_| wrong())?;
    Ok((partition.index, Some(key)))
}

pub(super) fn written(cell: &Key) -> String {
    format!("{}/{}", cell.partition, String::from_utf8_lossy(cell.path.as_bytes()))
}

/// What the step asks that waits, as its run's log has it. A wait for a moment asks nothing.
fn asked<'a>(log: &'a [Entry], on: &WaitOn) -> Option<&'a Payload> {
    let step = on.step().filter(|_| !matches!(on, WaitOn::Time(_)))?;
    log.iter().find_map(|entry| match &entry.kind {
        EntryKind::StepOpened(opened) if opened.key == *step => Some(&opened.request),
        _ => None,
    })
}

/// Adds what the governor of an agent does not count: what it takes of its process, and how many of its runs wait for their turn.
fn of_process(
    usage: &mut ResourceUsage,
    limits: &ResourceLimits,
    process: Option<&ProcessUsage>,
    queued: u32,
) {
    let memory = process.and_then(|process| process.memory_mb).map(|mib| mib.ceil() as u64);
    usage.memory_mb = usage.memory_mb.or(memory);
    let measured = [
        (Limit::MaxMemoryMb, usage.memory_mb),
        (Limit::MaxCpuPercent, process.map(|process| process.cpu_percent.round() as u64)),
        (Limit::MaxQueued, Some(u64::from(queued))),
    ];
    for (limit, used) in measured {
        let told = usage.limits.iter().any(|told| told.limit == limit);
        if let (Some(used), Some(max), false) = (used, limits.of(limit), told) {
            usage.limits.push(Used { limit, used, max: Some(max) });
        }
    }
}
