//! Holding agents to their limits: what is used is told to whoever counts it, and kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Chain, Entry, EntryKind, Price};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::resource::{
    Inside, Known, OnLimit, OpenUse, Past, Refused, ResourceGovernor, ResourceLimits, ResourceUsage, Waiting,
};
use runtime_traits::runtime::{AgentRef, RuntimeError};
use runtime_traits::store::{Key, StateError, Then};

use super::attempt::READ_AGAIN_AFTER;
use super::finish::accepted_of;
use super::inner::{AgentSlot, Inner};
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::{Place, Writes};
use crate::engine::counters;
use crate::engine::keys;
use crate::engine::machine::RunMachine;
use crate::engine::spent::{
    MOST_AT_ONCE, Spent, kept_until, past, spent, spent_so_far, stale, sums, with_open,
};

/// Writes in one batch of cells that nobody needs any more.
const GROUP: usize = 200;

/// As many go with the log of a run: no run writes more.
const WITH_A_LOG: usize = 32;

/// What the driver keeps about limits.
#[derive(Debug)]
pub(super) struct Governing {
    governor: Arc<dyn ResourceGovernor>,
    /// Cells of minutes and hours, by when nobody needs them any more.
    stale: Mutex<BTreeSet<(UnixMillis, Key)>>,
    /// Tenants whose use before this process was told.
    pub(super) told: tokio::sync::Mutex<BTreeSet<Tenant>>,
    /// Tenants of whom it is known what the store says that their agents may use together.
    pub(super) read: Mutex<BTreeSet<Tenant>>,
    /// Tenants of whose use before this process some is being read, each as often as somebody reads.
    pub(super) reading: Mutex<Vec<Tenant>>,
}

/// What is known of the calls of runs that are worked in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderWay {
    /// Whoever counts was asked for none of them yet: they count with what their logs say.
    Unknown,
    /// It was asked for each, and counts it.
    Held,
}

impl Governing {
    pub(super) fn new(governor: Arc<dyn ResourceGovernor>) -> Self {
        let (stale, read, reading) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { governor, stale, told: tokio::sync::Mutex::default(), read, reading }
    }

    pub(super) fn governor(&self) -> &Arc<dyn ResourceGovernor> {
        &self.governor
    }

    /// A cell is of no use from a moment on.
    pub(super) fn keep_until(&self, until: UnixMillis, cell: Key) {
        lock(&self.stale).insert((until, cell));
    }

    /// Takes some of the cells of a partition that nobody needs any more.
    fn take_stale(&self, partition: Partition, now: UnixMillis) -> Vec<(UnixMillis, Key)> {
        let mut stale = lock(&self.stale);
        let of = stale.iter().take_while(|(until, _)| *until <= now);
        let taken: Vec<_> = of.filter(|(_, key)| key.partition == partition).take(GROUP).cloned().collect();
        for cell in &taken {
            stale.remove(cell);
        }
        taken
    }
}

impl Inner {
    /// Sees that whoever counts what an agent uses knows what it used before. What it may use.
    ///
    /// A store that is away is asked again. Damage is not read again: nothing is let through of what is limited.
    pub(super) async fn see_to_book(&self, place: &Place) -> Result<ResourceLimits, Refused> {
        let Some(governing) = &self.governing else { return Ok(ResourceLimits::default()) };
        loop {
            let error = match self.recall(governing, &place.tenant, &place.agent).await {
                Ok(limits) => return Ok(limits),
                Err(error) => error,
            };
            if matches!(&error, RuntimeError::Store(error) if error.is_transient()) {
                tracing::warn!(agent = %place.agent, %error, "what the agent used cannot be read yet; it is read again");
                tokio::time::sleep(READ_AGAIN_AFTER).await;
                continue;
            }
            tracing::error!(agent = %place.agent, %error, "what the agent used cannot be read");
            let limits = self.limits_of(&place.tenant, &place.agent).await;
            return match limits {
                Ok(limits) if limits.is_none() && !governing.may_limit(&place.tenant) => Ok(limits),
                _ => Err(Refused::Unreadable { what: error.to_string() }),
            };
        }
    }

    async fn recall(
        &self,
        governing: &Governing,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<ResourceLimits, RuntimeError> {
        self.hold_tenant(governing, tenant).await?;
        if governing.governor.limits_tenant(tenant) {
            let _reading = governing.reading(tenant);
            let told = &mut *governing.told.lock().await;
            self.tell_of_tenant(governing, tenant, told, UnderWay::Unknown).await?;
        }
        // Told under the lock under which they are changed: what was read before a change must not be told after it.
        let told = self.with_agent(tenant, agent, |slot, _| {
            let limits = slot.limits.as_deref().copied().unwrap_or_default();
            (limits, governing.governor.limit(tenant, agent, &limits))
        });
        let (limits, known) = told.await?;
        if known == Known::No {
            let _reading = governing.reading(tenant);
            // One of those who read tells it; what the others read is dropped.
            let past = self.past_of(governing, tenant, agent).await?;
            governing.governor.recall(agent, &past, self.clock.now());
        }
        Ok(limits)
    }

    /// What an agent may use.
    pub(super) async fn limits_of(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<ResourceLimits, RuntimeError> {
        let limits = self.with_agent(tenant, agent, |slot, _| slot.limits.as_deref().copied()).await?;
        Ok(limits.unwrap_or_default())
    }

    /// What an agent used, as the store has it: in cells what runs used that are over, in their logs what open ones did.
    async fn past_of(
        &self,
        governing: &Governing,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<Past, RuntimeError> {
        let now = self.clock.now();
        // Open runs first: one that ends meanwhile may count twice, and is not forgotten.
        let mine = |place: &Place| place.agent == *agent;
        let open = self.open_use(agent.partition(), mine, UnderWay::Unknown).await?;
        let cells = self.cells(&keys::usage(tenant, agent, "")).await?;
        let mut sums = Vec::with_capacity(cells.len());
        for (key, cell) in &cells {
            let what = keys::last_part(key).unwrap_or_default();
            if let Some(until) = kept_until(what) {
                governing.keep_until(until, key.clone());
            }
            sums.push((what, number(key, &cell.value)?));
        }
        let mut past = past(sums, now);
        for (before, used) in open {
            with_open(&mut past, &used, now);
            let Chain { first: run, tokens, micros, .. } = before;
            let before = Spent { tokens, micros, ..Spent::default() };
            let Spent { tokens, micros, .. } = used.into_iter().fold(before, Spent::plus);
            past.open.push(OpenUse { run, tokens, micros });
        }
        Ok(past)
    }

    /// What the agents of a tenant used together, as the store has it.
    pub(super) async fn past_of_tenant(
        &self,
        tenant: &Tenant,
        under_way: UnderWay,
    ) -> Result<Past, RuntimeError> {
        let now = self.clock.now();
        let mut sums: Vec<(String, u64)> = Vec::new();
        let mut open = Vec::new();
        for partition in self.store.partitions().await? {
            if !self.checked(partition) {
                continue;
            }
            open.extend(self.open_use(partition, |place| place.tenant == *tenant, under_way).await?);
            for (key, cell) in self.cells(&keys::used(partition, tenant, "")).await? {
                let what = keys::last_part(&key).unwrap_or_default();
                if let (Some(until), Some(governing)) = (kept_until(what), &self.governing) {
                    governing.keep_until(until, key.clone());
                }
                sums.push((what.to_owned(), number(&key, &cell.value)?));
            }
        }
        let mut past = past(sums.iter().map(|(what, sum)| (what.as_str(), *sum)), now);
        for (_, used) in open {
            with_open(&mut past, &used, now);
        }
        Ok(past)
    }

    /// What open runs used that were here before anybody counted, and what those took from which they go on.
    pub(super) async fn open_use(
        &self,
        partition: Partition,
        wanted: impl Fn(&Place) -> bool,
        under_way: UnderWay,
    ) -> Result<Vec<(Chain, Vec<Spent>)>, RuntimeError> {
        let slots: Vec<Arc<RunSlot>> = {
            let state = lock(&self.home(partition).state);
            state.runs.values().filter(|slot| wanted(&slot.place)).cloned().collect()
        };
        let mut open = Vec::new();
        for slot in slots {
            if matches!(slot.stage(), Stage::Accepting) {
                continue;
            }
            let machine = slot.machine();
            let is_held = machine.is_some() && under_way == UnderWay::Held;
            let mut log = machine.map(|machine| lock(&machine).log().to_vec()).unwrap_or_default();
            // The log of an attempt that is over is taken out of its machine, and is in the store.
            if log.is_empty() {
                log = self.entries(&slot.place.run, runtime_traits::store::Seq::FIRST).await?;
                // What a run used that is over is in cells, which are read after this.
                if matches!(log.last().map(|entry| &entry.kind), Some(EntryKind::Ended(_))) {
                    continue;
                }
            }
            let used = if is_held { spent(&log) } else { spent_so_far(&log) };
            let run = slot.place.run;
            let first = Chain { first: run, began: UnixMillis(0), steps: 0, tokens: 0, micros: 0 };
            let before = accepted_of(&log).and_then(|accepted| accepted.chain).unwrap_or(first);
            if !used.is_empty() || before != first {
                open.push((before, used));
            }
        }
        Ok(open)
    }

    /// Adds to the batch of a run's end what the run used, by minutes, hours and months.
    pub(super) fn keep_use(&self, writes: &mut Writes, place: &Place, log: &[Entry]) {
        let used = spent(log);
        if used.is_empty() {
            return;
        }
        let now = self.clock.now();
        let of_tenant = self.governing.as_ref().is_some_and(|g| g.governor.limits_tenant(&place.tenant));
        let tokens = used.iter().copied().fold(Spent::default(), Spent::plus).tokens;
        let add = |writes: &mut Writes, key: Key, by: u64, until: Option<UnixMillis>| {
            if let (Some(governing), Some(until)) = (&self.governing, until) {
                governing.keep_until(until, key.clone());
            }
            writes.then.push(Then::Add(key, by.min(MOST_AT_ONCE) as i64));
        };
        // Nobody lets minutes and hours go where nobody counts.
        let counted = self.governing.is_some();
        for sum in sums(&used, now).into_iter().filter(|sum| counted || sum.until.is_none()) {
            let key = keys::usage(&place.tenant, &place.agent, &sum.what);
            add(writes, key, sum.by, sum.until);
            if of_tenant && !sum.told {
                let key = keys::used(place.run.partition(), &place.tenant, &sum.what);
                add(writes, key, sum.by, sum.until);
            }
        }
        if of_tenant && tokens > 0 {
            add(writes, keys::used(place.run.partition(), &place.tenant, "tokens"), tokens, None);
        }
    }

    /// Lets cells go of minutes and hours that nobody needs any more.
    pub(super) async fn let_use_go(&self, partition: Partition, now: UnixMillis) -> Result<(), StateError> {
        let Some(governing) = &self.governing else { return Ok(()) };
        loop {
            let taken = governing.take_stale(partition, now);
            if taken.is_empty() {
                return Ok(());
            }
            let then = taken.iter().map(|(_, key)| Then::Delete(key.clone())).collect();
            if let Err(error) = self.commit(partition, Writes::of(Vec::new(), then)).await {
                lock(&governing.stale).extend(taken);
                return Err(error);
            }
        }
    }

    /// Lets cells go of minutes and hours of an agent that nobody needs any more, with the log of one of its runs. Where the agent is
    /// used they go in time; those of an agent that nobody used since a restart have been left.
    pub(super) async fn stale_use(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<Vec<Then>, RuntimeError> {
        let cells = self.cells(&keys::usage(tenant, agent, "")).await?;
        let names = cells.iter().filter_map(|(key, _)| keys::last_part(key));
        let stale: BTreeSet<&str> = stale(names, self.clock.now()).take(WITH_A_LOG).collect();
        let is_stale = |key: &&Key| keys::last_part(key).is_some_and(|name| stale.contains(name));
        Ok(cells.iter().map(|(key, _)| key).filter(is_stale).cloned().map(Then::Delete).collect())
    }

    /// What a run waits for before it is worked, where its agent is limited in how many are worked at once.
    pub(super) fn entering(
        &self,
        run: &RunSlot,
        counted: &RunId,
        priority: u8,
    ) -> Option<BoxFuture<'static, Result<Inside, Refused>>> {
        let governing = self.governing.as_ref()?;
        let place = &run.place;
        // Said under the lock under which that is changed: whoever limits it finds whom to count.
        let counts = self.in_agent(place, |agent| {
            let limits = agent.limits.as_deref().filter(|limits| limits.max_concurrent_requests.is_some());
            match limits {
                Some(limits) => _ = governing.governor.limit(&place.tenant, &place.agent, limits),
                None => run.is_worked_uncounted(),
            }
            limits.is_some()
        });
        counts.filter(|counts| *counts)?;
        Some(governing.governor.enter(&place.agent, counted, priority))
    }

    /// Counts the runs of an agent that are worked, as it is about to be limited in how many are: those that began before that
    /// count as well. Called while nobody else has heard of the limit.
    pub(super) fn count_worked<'a>(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        before: Option<&ResourceLimits>,
        runs: impl Iterator<Item = &'a Arc<RunSlot>>,
    ) {
        let Some(governing) = &self.governing else { return };
        governing.governor.limit(tenant, agent, &before.copied().unwrap_or_default());
        for run in runs.filter(|run| run.place.agent == *agent) {
            let enter = || governing.governor.enter(agent, &run.place.run, 0).now_or_never()?.ok();
            run.count(enter);
        }
    }

    /// What one call costs, and that it is over.
    pub(super) fn settle_call(&self, machine: &Mutex<RunMachine>, slot: Slot, now: UnixMillis) -> Price {
        let Some(governing) = &self.governing else { return Price::default() };
        let Some(call) = lock(machine).call_under_way(slot) else { return Price::default() };
        match call.model {
            _ if call.held => governing.governor.settle(call.id, call.took, now),
            // It is told when the log says so.
            Some(model) if !call.took.is_none() => governing.governor.price(&model.name, &call.took),
            _ => Price::default(),
        }
    }

    /// What a run waits for under a limit.
    pub(super) fn waits_for_room(&self, run: &RunId) -> Option<Waiting> {
        let governing = self.governing.as_ref()?;
        let machine = self.run_slot(run)?.machine()?;
        let counted = lock(&machine).counted_as();
        governing.governor.waiting(&counted)
    }

    /// Refuses a run of an agent that does not wait, when nothing more would be let through for it.
    pub(super) async fn check_limits(
        self: &Arc<Self>,
        tenant: &Tenant,
        called: &AgentRef,
        agent: &AgentId,
    ) -> Result<(), RuntimeError> {
        let Some(governing) = &self.governing else { return Ok(()) };
        let limits = self.limits_of(tenant, agent).await?;
        if limits.on_limit != OnLimit::Refuse {
            return Ok(());
        }
        self.recall(governing, tenant, agent).await?;
        let kind = self.with_agent(tenant, agent, |slot, _| slot.agent.clone()).await?;
        let least = kind.and_then(|kind| kind.least_call());
        let least = least.as_ref().map(|(model, usage)| (model, *usage));
        match governing.governor.exhausted(tenant, agent, least, self.clock.now()) {
            Some(refused) => {
                self.tell_refused(tenant, agent, &limits, &refused);
                Err(RuntimeError::AtLimit { agent: called.to_string(), refused })
            }
            None => Ok(()),
        }
    }

    /// What an agent uses. One that did nothing in this process is read, and neither loaded nor remembered: there may be many.
    pub(super) async fn usage_of(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        limits: &ResourceLimits,
    ) -> Result<ResourceUsage, RuntimeError> {
        let Some(governing) = &self.governing else { return Ok(ResourceUsage::default()) };
        let now = self.clock.now();
        if let Some(usage) = governing.governor.usage(agent, now) {
            return Ok(usage);
        }
        let past = self.past_of(governing, tenant, agent).await?;
        Ok(governing.governor.usage_from(limits, &past, now))
    }

    /// Whether an agent that is in memory waits for room, so that none of its runs is refused for a limit.
    pub(super) fn waits_at_limits(&self, agent: &AgentId) -> bool {
        let state = lock(&self.home(agent.partition()).state);
        let waits = |slot: &AgentSlot| slot.limits.as_ref().is_none_or(|l| l.on_limit == OnLimit::Wait);
        self.governing.is_none() || state.agents.get(&agent.unique()).is_some_and(|slot| waits(slot))
    }
}

/// What a cell says that numbers are added to.
pub(super) fn number(key: &Key, value: &[u8]) -> Result<u64, RuntimeError> {
    let sum = counters::number(value).and_then(|sum| u64::try_from(sum).ok());
    sum.ok_or_else(|| RuntimeError::Damaged { what: no_number(key) })
}

/// What is said of a counter that is damaged.
pub(super) fn no_number(counter: &Key) -> String {
    format!("`{counter}` (no number)")
}
