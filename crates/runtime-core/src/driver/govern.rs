//! Holding agents to their limits: what is used is told to whoever counts it, and kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Chain, Entry, Price, Usage};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, NoRoom, OnLimit, OpenUse, Past, Refused, ResourceGovernor,
    ResourceLimits, ResourceUsage, Turn, Waiting,
};
use runtime_traits::runtime::{AgentRef, RuntimeError};
use runtime_traits::store::{Key, StateError, Then};

use super::attempt::READ_AGAIN_AFTER;
use super::finish::accepted_of;
use super::inner::{AgentSlot, Inner};
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::{Place, Writes};
use crate::engine::fork::began;
use crate::engine::keys;
use crate::engine::machine::RunMachine;
use crate::engine::machine::admit::{Asking, WaitSaid};
use crate::engine::spent::{Spent, kept_until, past, spent, spent_so_far, stale, sums, with_open};

/// Writes in one batch of cells that nobody needs any more.
const GROUP: usize = 200;

/// As many go with the log of a run: no run writes more.
const WITH_A_LOG: usize = 64;

/// What the driver keeps about limits.
#[derive(Debug)]
pub(super) struct Governing {
    governor: Arc<dyn ResourceGovernor>,
    /// Cells of minutes and hours, by when nobody needs them any more.
    stale: Mutex<BTreeSet<(UnixMillis, Key)>>,
    /// Tenants whose use before this process was told.
    told: tokio::sync::Mutex<BTreeSet<Tenant>>,
}

/// A step that asks to be let through.
struct Asked {
    slot: Slot,
    id: CallId,
    model: Option<String>,
    most: Usage,
    /// What was used before is being read first.
    call: Option<BoxFuture<'static, Admission>>,
    turn: Option<Box<dyn Turn>>,
    since: UnixMillis,
    /// What was said of its waiting.
    said: WaitSaid,
}

/// The steps of an attempt that ask to be let through.
#[derive(Default)]
pub(super) struct Admitting(Vec<Asked>);

impl Governing {
    pub(super) fn new(governor: Arc<dyn ResourceGovernor>) -> Self {
        Self { governor, stale: Mutex::default(), told: tokio::sync::Mutex::default() }
    }

    pub(super) fn governor(&self) -> &Arc<dyn ResourceGovernor> {
        &self.governor
    }

    /// A cell is of no use from a moment on.
    fn keep_until(&self, until: UnixMillis, cell: Key) {
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

impl Admitting {
    /// Asks for the steps that ask, and looks after those that wait. Whether one of them moved.
    pub(super) fn poll(
        &mut self,
        inner: &Arc<Inner>,
        run: &RunSlot,
        machine: &Mutex<RunMachine>,
        now: UnixMillis,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(governing) = &inner.governing else { return false };
        self.settle_over(inner, machine, now);
        let (asking, counted) = {
            let mut machine = lock(machine);
            (machine.take_asking(), machine.counted_as())
        };
        for asking in asking {
            self.ask(inner, run, counted, asking, now);
        }
        let mut moved = false;
        self.0.retain_mut(|asked| {
            if !lock(machine).is_asking(asked.slot) {
                return false;
            }
            let Poll::Ready(admission) = asked.poll(now, cx) else {
                if let Some(no_room) = asked.turn.as_ref().map(|turn| turn.no_room())
                    && let Some(no_room) = asked.says(inner, &run.place, no_room)
                {
                    inner.tell_no_room(&run.place.tenant, &run.place.agent, Some(run.place.run), no_room);
                }
                if now >= asked.since.after(inner.config.park_after)
                    && let Some(turn) = &asked.turn
                {
                    asked.since = UnixMillis(u64::MAX);
                    let waiting = turn.waiting();
                    let model = asked.model.as_deref();
                    let price = model.and_then(|model| governing.governor.price(model, &asked.most).micros);
                    let mut machine = lock(machine);
                    machine.pass(now);
                    machine.waits_long(asked.slot, waiting, price);
                    moved = true;
                }
                return true;
            };
            moved = true;
            let refused =
                if let Admission::Refused(refused) = &admission { refused.no_room(now) } else { None };
            let untold = refused.and_then(|no_room| asked.says(inner, &run.place, no_room));
            let mut machine = lock(machine);
            machine.pass(now);
            match admission {
                Admission::Held { most, price } => {
                    if !machine.admitted(asked.slot, most, price) {
                        drop(machine);
                        governing.governor.settle(asked.id, Usage::default(), now);
                    }
                    false
                }
                Admission::Refused(refused) => {
                    machine.not_admitted(asked.slot, &refused, untold);
                    false
                }
                Admission::Waits(turn) => {
                    asked.turn = Some(turn);
                    true
                }
            }
        });
        moved
    }

    /// Tells of the calls that are over.
    pub(super) fn settle_over(&self, inner: &Inner, machine: &Mutex<RunMachine>, now: UnixMillis) {
        let Some(governing) = &inner.governing else { return };
        for call in lock(machine).take_over_calls() {
            governing.governor.settle(call.id, call.took, now);
        }
    }

    fn ask(&mut self, inner: &Arc<Inner>, run: &RunSlot, counted: RunId, asking: Asking, now: UnixMillis) {
        let Asking { slot, id, model, most, said } = asking;
        let place = run.place.clone();
        let inner = Arc::clone(inner);
        let named = model.clone();
        let call = Box::pin(async move {
            let limits = match inner.see_to_book(&place).await {
                Ok(limits) => limits,
                Err(refused) => return Admission::Refused(refused),
            };
            let Some(governing) = &inner.governing else {
                return Admission::Held { most, price: None };
            };
            let call = Call {
                id,
                tenant: place.tenant,
                agent: place.agent,
                run: counted,
                model,
                most,
                on_limit: limits.on_limit,
                priority: 0,
            };
            governing.governor.admit(call, inner.clock.now())
        });
        self.0.push(Asked { slot, id, model: named, most, call: Some(call), turn: None, since: now, said });
    }

    /// When one of them is to be looked at again.
    pub(super) fn wake_at(&self, park_after: Duration) -> Option<UnixMillis> {
        let turns = self.0.iter().filter_map(|asked| asked.turn.as_ref().map(|turn| (turn, asked.since)));
        turns
            .flat_map(|(turn, since)| {
                let long = (since.0 < u64::MAX).then(|| since.after(park_after));
                turn.until().into_iter().chain(long)
            })
            .min()
    }
}

impl Asked {
    /// What is to be said of finding no room, if that has not been said.
    fn says(&mut self, inner: &Inner, place: &Place, no_room: NoRoom) -> Option<NoRoom> {
        let said = WaitSaid::of(no_room.limit);
        if said <= self.said {
            return None;
        }
        self.said = said;
        Some(inner.with_allowed(place, no_room))
    }

    fn poll(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> Poll<Admission> {
        if let Some(call) = &mut self.call {
            match std::task::ready!(call.as_mut().poll(cx)) {
                Admission::Waits(turn) => {
                    self.call = None;
                    self.turn = Some(turn);
                }
                admission => return Poll::Ready(admission),
            }
        }
        match &mut self.turn {
            Some(turn) => turn.poll(now, cx),
            None => Poll::Pending,
        }
    }
}

impl Inner {
    /// Sees that whoever counts what an agent uses knows what it used before. What it may use.
    ///
    /// A store that is away is asked again. Damage is not read again: nothing is let through of what is limited.
    async fn see_to_book(&self, place: &Place) -> Result<ResourceLimits, Refused> {
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
                Ok(limits) if limits.is_none() && !governing.governor.limits_tenant(&place.tenant) => {
                    Ok(limits)
                }
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
        if governing.governor.limits_tenant(tenant) {
            let mut told = governing.told.lock().await;
            if !told.contains(tenant) {
                let past = self.past_of_tenant(tenant).await?;
                governing.governor.recall_tenant(tenant, &past, self.clock.now());
                told.insert(tenant.clone());
            }
        }
        let limits = self.limits_of(tenant, agent).await?;
        if governing.governor.limit(tenant, agent, &limits) == Known::No {
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
        let open = self.open_use(agent.partition(), mine).await?;
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
            let (tokens, micros) =
                used.iter().fold((before.tokens, before.micros), |(tokens, micros), used| {
                    (tokens + used.tokens, micros + used.micros)
                });
            past.open.push(OpenUse { run: before.first, tokens, micros });
        }
        Ok(past)
    }

    async fn past_of_tenant(&self, tenant: &Tenant) -> Result<Past, RuntimeError> {
        let now = self.clock.now();
        let mut sums: Vec<(String, u64)> = Vec::new();
        let mut open = Vec::new();
        for partition in self.store.partitions().await? {
            if !self.checked(partition) {
                continue;
            }
            open.extend(self.open_use(partition, |place| place.tenant == *tenant).await?);
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
            let log = match slot.machine() {
                Some(machine) => lock(&machine).log().to_vec(),
                None => self.entries(&slot.place.run, runtime_traits::store::Seq::FIRST).await?,
            };
            let (run, used) = (slot.place.run, spent_so_far(&log));
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
        let tokens: u64 = used.iter().map(|used| used.tokens).sum();
        let add = |writes: &mut Writes, key: Key, by: u64, until: Option<UnixMillis>| {
            if let (Some(governing), Some(until)) = (&self.governing, until) {
                governing.keep_until(until, key.clone());
            }
            writes.then.push(Then::Add(key, i64::try_from(by).unwrap_or(i64::MAX)));
        };
        // Nobody lets minutes and hours go where nobody counts.
        let counted = self.governing.is_some();
        for sum in sums(&used, now).into_iter().filter(|sum| counted || sum.until.is_none()) {
            let key = keys::usage(&place.tenant, &place.agent, &sum.what);
            add(writes, key, sum.by, sum.until);
            if of_tenant && !sum.shown {
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
    ) -> Option<BoxFuture<'static, Result<Inside, Refused>>> {
        let governing = self.governing.as_ref()?;
        let place = &run.place;
        let limits = self.in_agent(place, |agent| {
            let limits = agent.limits.as_deref().copied();
            let limits = limits.filter(|limits| limits.max_concurrent_requests.is_some());
            // Said under the lock under which that is changed: whoever limits it finds whom to count.
            if limits.is_none() {
                run.is_worked_uncounted();
            }
            limits
        });
        let limits = limits.flatten()?;
        governing.governor.limit(&place.tenant, &place.agent, &limits);
        Some(governing.governor.enter(&place.agent, counted))
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
            let enter = || governing.governor.enter(agent, &run.place.run).now_or_never()?.ok();
            run.count(enter);
        }
    }

    /// What one call costs, and that it is over.
    pub(super) fn settle_call(&self, machine: &Mutex<RunMachine>, slot: Slot, now: UnixMillis) -> Price {
        let Some(governing) = &self.governing else { return Price::default() };
        let call = lock(machine).call_under_way(slot);
        call.map_or_else(Price::default, |call| governing.governor.settle(call.id, call.took, now))
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
        match governing.governor.exhausted(tenant, agent, self.clock.now()) {
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

    /// Holds the runs of an agent to other limits: those that are worked from now on, those that wait when they look again,
    /// which is now.
    pub(super) fn hold_runs(&self, agent: &AgentId) {
        let state = lock(&self.home(agent.partition()).state);
        let limits = state.agents.get(&agent.unique()).and_then(|agent| agent.limits.as_deref());
        for slot in state.runs.values().filter(|slot| slot.place.agent == *agent) {
            match slot.stage() {
                Stage::Parked(_) | Stage::Queued => self.timers.add(self.clock.now(), slot.place.run),
                Stage::Working(machine) => {
                    hold_to(&mut lock(&machine), limits);
                    slot.signal.raise();
                }
                _ => {}
            }
        }
    }

    /// When a run has to be over: by its own deadline, and by the time that its agent's limits give a run.
    pub(super) fn deadline_of(&self, place: &Place, log: &[Entry]) -> Option<UnixMillis> {
        let own = accepted_of(log)?.deadline;
        let most = self.in_agent(place, |agent| most_time(agent.limits.as_deref())).flatten();
        let limit = most.and_then(|most| began(log).map(|began| began.after(most)));
        own.into_iter().chain(limit).min()
    }
}

/// Bounds what a run that is worked may take by itself.
pub(super) fn hold_to(machine: &mut RunMachine, limits: Option<&ResourceLimits>) {
    machine.hold_to(limits.and_then(|limits| limits.max_steps_per_run), most_time(limits));
}

fn most_time(limits: Option<&ResourceLimits>) -> Option<Duration> {
    limits.and_then(|limits| limits.max_run_seconds).map(Duration::from_secs)
}

/// What a cell says that numbers are added to.
pub(super) fn number(key: &Key, value: &[u8]) -> Result<u64, RuntimeError> {
    let sum = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
    let sum = sum.and_then(|sum| u64::try_from(sum).ok());
    sum.ok_or_else(|| RuntimeError::Damaged { what: format!("`{key}` (no number)") })
}
