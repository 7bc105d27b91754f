//! Schedules fire. Each has one `due/` cell, at its next tick; the batch that accepts a tick's run sets the cell to the tick after it, so
//! that a tick gets one run or none, whatever crashes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_codec::{Due, ScheduleRecord, encode};
use runtime_traits::bus::Happening;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{IdempotencyKey, Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RunRequest, RuntimeError, Want};
use runtime_traits::schedule::{Fire, HeldFire, Missed, Schedule, ScheduleView};
use runtime_traits::store::{Key, Revision, StateError, Then, When};
use tokio::sync::{Notify, Semaphore};

use super::accept::Origin;
use super::commit::Patience;
use super::inner::Inner;
use super::load::{PAGE, read};
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;
use crate::engine::schedule::{Gap, Times, Turn, late_at, times_of, turn};

/// How often the store is looked through for what comes next.
const ROUND: Duration = Duration::from_secs(30);
/// How far ahead that is. What lies beyond is found in the next round.
const AHEAD: Duration = Duration::from_secs(90);
/// How many schedules are seen to at once.
const AT_ONCE: usize = 64;
/// How many ticks of one schedule are seen to before others have their turn.
const IN_A_ROW: u32 = 16;
/// When what was refused is tried again, and then more and more rarely up to once in a round.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Which {
    pub(super) tenant: Tenant,
    pub(super) agent: AgentId,
    /// Folded.
    pub(super) name: Name,
}

/// When schedules are to be looked at. What is stored says when they fire; this only wakes whoever reads that.
#[derive(Debug)]
pub(super) struct Ticks {
    next: Mutex<BTreeSet<(UnixMillis, Which)>>,
    changed: Notify,
    /// Those that somebody is seeing to.
    busy: Mutex<HashSet<Which>>,
    /// Those whose fire was refused.
    held: Mutex<HashMap<Which, Held>>,
    room: Arc<Semaphore>,
}

/// A fire that was refused.
#[derive(Clone, Debug)]
struct Held {
    shown: HeldFire,
    pause: Duration,
}

impl Default for Ticks {
    fn default() -> Self {
        Self {
            next: Mutex::default(),
            changed: Notify::new(),
            busy: Mutex::default(),
            held: Mutex::default(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Ticks {
    fn look_at(&self, which: Which, at: UnixMillis) {
        if lock(&self.next).insert((at, which)) {
            self.changed.notify_one();
        }
    }

    fn pop_due(&self, now: UnixMillis) -> Option<Which> {
        let mut next = lock(&self.next);
        next.first().filter(|(at, _)| *at <= now)?;
        next.pop_first().map(|(_, which)| which)
    }

    fn next(&self) -> Option<UnixMillis> {
        lock(&self.next).first().map(|(at, _)| *at)
    }

    /// What keeps a schedule from firing.
    pub(super) fn held(&self, which: &Which) -> Option<HeldFire> {
        lock(&self.held).get(which).map(|held| held.shown.clone())
    }

    /// Nothing keeps it from firing any more.
    pub(super) fn let_go(&self, which: &Which) {
        lock(&self.held).remove(which);
    }

    /// Says why a schedule did not fire, and when it is tried again.
    fn hold(&self, which: &Which, reason: String, now: UnixMillis) -> (bool, UnixMillis) {
        let mut all = lock(&self.held);
        let is_new = all.get(which).is_none_or(|held| held.shown.reason != reason);
        let held = all.entry(which.clone()).or_insert_with(|| Held {
            shown: HeldFire { since: now, reason: String::new() },
            pause: FIRST_PAUSE / 2,
        });
        held.shown.reason = reason;
        held.pause = (held.pause * 2).min(ROUND);
        (is_new, now.after(held.pause))
    }

    /// Has all of an agent looked at that were refused, because it may take runs now.
    pub(super) fn try_again(&self, agent: &AgentId, now: UnixMillis) {
        let again: Vec<Which> =
            lock(&self.held).keys().filter(|which| which.agent == *agent).cloned().collect();
        again.into_iter().for_each(|which| self.look_at(which, now));
    }

    /// Forgets all of an agent that is deleted.
    pub(super) fn forget(&self, agent: &AgentId) {
        lock(&self.held).retain(|which, _| which.agent != *agent);
    }
}

/// Somebody sees to a schedule, as long as this is there.
struct Seeing<'a>(&'a Ticks, Which);

impl Drop for Seeing<'_> {
    fn drop(&mut self) {
        lock(&self.0.busy).remove(&self.1);
    }
}

impl Inner {
    /// Fires schedules at their moments until the runtime ends.
    pub(super) async fn keep_ticks(self: Arc<Self>) {
        loop {
            while let Some(which) = self.ticks.pop_due(self.clock.now()) {
                if self.is_draining() {
                    return;
                }
                if !lock(&self.ticks.busy).insert(which.clone()) {
                    self.ticks.look_at(which, self.clock.now().after(FIRST_PAUSE));
                    continue;
                }
                let permit = tokio::select! {
                    permit = Arc::clone(&self.ticks.room).acquire_owned() => permit,
                    () = self.ending.cancelled() => return,
                };
                let inner = Arc::clone(&self);
                self.spawn_work(async move {
                    let _permit = permit;
                    let seeing = Seeing(&inner.ticks, which);
                    tokio::select! {
                        () = inner.see_to_ticks(&seeing.1) => {}
                        // What is cut off here goes on where the store is opened next, as after a crash.
                        () = inner.ending.cancelled() => {}
                    }
                });
            }
            let pause = self.ticks.next().map_or(ROUND, |next| next.since(self.clock.now()));
            tokio::select! {
                () = tokio::time::sleep(pause.clamp(Duration::from_millis(1), ROUND)) => {}
                () = self.ticks.changed.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Finds the schedules that fire soon, every now and then until the runtime ends. Nothing else is done in between: what takes long
    /// would have ticks found when they are too late.
    pub(super) async fn keep_finding_ticks(self: Arc<Self>) {
        loop {
            for home in self.partitions.iter().filter(|home| home.owner.initialized()) {
                let found = tokio::select! {
                    found = self.find_ticks(home.partition, self.clock.now()) => found,
                    () = self.ending.cancelled() => return,
                };
                if let Err(error) = found {
                    tracing::warn!(partition = %home.partition, %error, "schedules could not be looked for; later again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Finds the schedules of a partition that fire soon, or should have.
    async fn find_ticks(&self, partition: Partition, now: UnixMillis) -> Result<(), RuntimeError> {
        let until = now.after(AHEAD);
        let mut after = None;
        loop {
            let page = self.store.scan(&keys::due_all(partition), after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                match keys::due_at(key) {
                    Some(at) if at <= until => {
                        if is_tick(key)
                            && let Ok(Due::Schedule { tenant, agent, name }) = read(key, cell)
                            && let Ok(name) = Name::new(&name)
                        {
                            let which = Which { tenant, agent, name };
                            // One that was refused has its own time.
                            if self.ticks.held(&which).is_none() {
                                self.ticks.look_at(which, at);
                            }
                        }
                    }
                    Some(_) => return Ok(()),
                    None => {}
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// Has a schedule looked at when it fires, if that is soon.
    pub(super) fn look_at_tick(&self, which: &Which, next: Option<UnixMillis>) {
        let until = self.clock.now().after(AHEAD);
        if let Some(at) = next.filter(|at| *at <= until)
            && !self.config.at_rest
        {
            self.ticks.look_at(which.clone(), at);
        }
    }

    /// Does what is to be done with a schedule now.
    async fn see_to_ticks(self: &Arc<Self>, which: &Which) {
        match self.do_ticks(which).await {
            Ok(next) => {
                self.ticks.let_go(which);
                self.look_at_tick(which, next);
            }
            Err(RuntimeError::ShuttingDown) => {}
            Err(error) => {
                let Which { agent, name, .. } = which;
                let (is_new, again) = self.ticks.hold(which, error.to_string(), self.clock.now());
                if is_new {
                    tracing::warn!(%agent, schedule = %name, %error, "a schedule did not fire; it is tried again");
                }
                let again = match error {
                    RuntimeError::NotStarted { .. } => self.again_before_start(which, again).await,
                    _ => Some(again),
                };
                if let Some(again) = again {
                    self.ticks.look_at(which.clone(), again);
                }
            }
        }
    }

    /// When a schedule whose agent is stopped is looked at before that starts, which has it looked at anyway: when its tick is left out.
    /// At `again`, where that is not known, or the agent started before anybody knew that the schedule is held.
    async fn again_before_start(&self, which: &Which, again: UnixMillis) -> Option<UnixMillis> {
        let left_out = async {
            let Some(at) = self.where_it_stands(which).await? else { return Ok(Some(again)) };
            let times = times_of(&at.schedule.timing, at.record.since)?;
            let late = late_at(&times, at.schedule.missed, at.record.upto, self.clock.now());
            let want = self.with_agent(&which.tenant, &which.agent, |slot, _| slot.want).await?;
            Ok::<_, RuntimeError>(if want == Want::Stopped { late } else { Some(again) })
        };
        left_out.await.unwrap_or(Some(again))
    }

    /// Does what is to be done with a schedule now, and says when it is to be looked at next.
    async fn do_ticks(self: &Arc<Self>, which: &Which) -> Result<Option<UnixMillis>, RuntimeError> {
        let mut in_a_row = 0;
        loop {
            let Some(at) = self.where_it_stands(which).await? else { return Ok(None) };
            let now = self.clock.now();
            let times = times_of(&at.schedule.timing, at.record.since)?;
            let done = match turn(&times, at.schedule.missed, at.record.upto, now) {
                Turn::Wait(next) if next == at.record.next => return Ok(next),
                // The rules of its time zone are others than when that was written.
                Turn::Wait(next) => {
                    let record = ScheduleRecord { next, ..at.record.clone() };
                    self.commit_tick(at.moved(which, record)).await
                }
                Turn::LeaveOut { gap, next } => {
                    let count = gap.count(&times);
                    let mut writes = at.moved(which, at.left_out(gap, count, next));
                    self.tell_missed(which, &at.schedule, (gap, count), &mut writes).await?;
                    self.commit_tick(writes).await
                }
                Turn::Fire { tick, gap, next } => {
                    Box::pin(self.fire(which, &at, &times, tick, gap, next)).await
                }
            };
            in_a_row += 1;
            match done {
                // Somebody else wrote it meanwhile: it is read anew.
                Ok(()) | Err(RuntimeError::Store(StateError::Conflict { .. })) if in_a_row < IN_A_ROW => {
                    self.ticks.let_go(which);
                }
                Ok(()) => return Ok(Some(self.clock.now())),
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins the run of a tick, in one batch with all else that is written of the tick.
    async fn fire(
        self: &Arc<Self>,
        which: &Which,
        at: &Standing,
        times: &Times,
        tick: UnixMillis,
        gap: Option<Gap>,
        next: Option<UnixMillis>,
    ) -> Result<(), RuntimeError> {
        let Which { tenant, agent, name } = which;
        let want = self.with_agent(tenant, agent, |slot, _| slot.want).await?;
        if want == Want::Stopped {
            return Err(RuntimeError::NotStarted { agent: agent.to_string(), want });
        }
        let gap = gap.map(|gap| (gap, gap.count(times)));
        let now = self.clock.now();
        let run = RunId::mint(agent.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let mut record = match gap {
            Some((gap, count)) => at.left_out(gap, count, next),
            None => at.record.clone(),
        };
        record.upto = tick;
        record.next = next;
        record.fired += 1;
        record.last.insert(0, Fire { tick, at: now, run });
        record.last.truncate(ScheduleView::FIRES);
        let mut beside = at.moved(which, record);
        if let Some(gap) = gap {
            self.tell_missed(which, &at.schedule, gap, &mut beside).await?;
        }
        let teller = self.teller(tenant, agent, Patience::OfCaller).await?;
        let fired = Happening::Fired { schedule: &at.schedule.name, tick, run: &run };
        teller.tell(&mut beside.told, &fired, Some(run), now);
        let key = IdempotencyKey::new(format!("schedule/{name}/{:016x}/{}", at.record.id, tick.0))?;
        let request = RunRequest { idempotency_key: Some(key), ..at.schedule.run.clone() };
        if self.is_behind() {
            self.until_let_go().await?;
        }
        let origin = Origin { run: Some(run), beside: Some(Box::new(beside)), ..Origin::default() };
        self.submit_of(tenant, &AgentRef::Id(*agent), request, origin).await.map(|_| ())
    }

    async fn tell_missed(
        &self,
        which: &Which,
        schedule: &Schedule,
        (gap, count): (Gap, u64),
        writes: &mut Writes,
    ) -> Result<(), RuntimeError> {
        let Gap { from, upto } = gap;
        let rule: Missed = schedule.missed;
        let missed = Happening::Missed { schedule: &schedule.name, from, upto, count, rule };
        let teller = self.teller(&which.tenant, &which.agent, Patience::OfCaller).await?;
        teller.tell(&mut writes.told, &missed, None, self.clock.now());
        Ok(())
    }

    async fn commit_tick(&self, writes: Writes) -> Result<(), RuntimeError> {
        let Some(partition) = writes.when.first().map(When::partition) else { return Ok(()) };
        self.commit_now(partition, writes).await?;
        Ok(())
    }

    /// A schedule and its `due/` cell; `None`: it is gone, paused or over.
    async fn where_it_stands(&self, which: &Which) -> Result<Option<Standing>, RuntimeError> {
        let cell = keys::schedule(&which.tenant, &which.agent, &which.name);
        let Some((record, schedule, revision)) = self.schedule_in(&cell).await? else { return Ok(None) };
        let Some(next) = record.next else { return Ok(None) };
        let due = keys::due_schedule(&which.agent, next, &which.name);
        let found = self.store.get(std::slice::from_ref(&due)).await?.pop().flatten();
        let due = (due, found.map(|found| found.revision));
        Ok(Some(Standing { record, schedule, cell: (cell, revision), due }))
    }

    /// Whether a schedule fires by this cell.
    pub(super) async fn is_tick(
        &self,
        due: &Key,
        tenant: &Tenant,
        agent: &AgentId,
        name: &str,
    ) -> Result<bool, RuntimeError> {
        let Ok(name) = Name::new(name) else { return Ok(false) };
        let record: Option<ScheduleRecord> = self.record(&keys::schedule(tenant, agent, &name)).await?;
        Ok(record.is_some_and(|record| record.next.is_some() && record.next == keys::due_at(due)))
    }

    /// What a schedule's cell says.
    pub(super) async fn schedule_in(
        &self,
        cell: &Key,
    ) -> Result<Option<(ScheduleRecord, Schedule, Revision)>, RuntimeError> {
        let Some(found) = self.store.get(std::slice::from_ref(cell)).await?.pop().flatten() else {
            return Ok(None);
        };
        let record: ScheduleRecord = read(cell, &found)?;
        let schedule = declared(cell, &record)?;
        Ok(Some((record, schedule, found.revision)))
    }
}

/// How a schedule is declared.
pub(super) fn declared(cell: &Key, record: &ScheduleRecord) -> Result<Schedule, RuntimeError> {
    serde_json::from_str(&record.schedule)
        .map_err(|error| RuntimeError::Damaged { what: format!("`{cell}` ({error})") })
}

/// A schedule, as it is stored now.
pub(super) struct Standing {
    pub(super) record: ScheduleRecord,
    pub(super) schedule: Schedule,
    pub(super) cell: (Key, Revision),
    /// Its `due/` cell, which damage may have taken.
    pub(super) due: (Key, Option<Revision>),
}

impl Standing {
    /// What is stored of it once these ticks are left out.
    fn left_out(&self, gap: Gap, count: u64, next: Option<UnixMillis>) -> ScheduleRecord {
        let missed = self.record.missed.saturating_add(count);
        ScheduleRecord { missed, next, upto: gap.upto, ..self.record.clone() }
    }

    /// Writes what it is from now on, and puts its `due/` cell where it fires next. Nothing of it holds if it was written meanwhile.
    fn moved(&self, which: &Which, record: ScheduleRecord) -> Writes {
        let (cell, revision) = &self.cell;
        let (due, found) = &self.due;
        let of_due = match found {
            Some(revision) => When::Revision(due.clone(), *revision),
            None => When::Absent(due.clone()),
        };
        let when = vec![When::Revision(cell.clone(), *revision), of_due];
        let mut then = vec![Then::Delete(due.clone())];
        then.extend(due_at(which, record.next));
        then.push(Then::Put(cell.clone(), encode(&record)));
        Writes::of(when, then)
    }
}

/// The `due/` cell of a schedule.
pub(super) fn due_at(which: &Which, next: Option<UnixMillis>) -> Option<Then> {
    let Which { tenant, agent, name } = which;
    let due = Due::Schedule { tenant: tenant.clone(), agent: *agent, name: name.as_str().to_owned() };
    Some(Then::Put(keys::due_schedule(agent, next?, name), encode(&due)))
}

fn is_tick(key: &Key) -> bool {
    key.path.as_bytes().splitn(4, |byte| *byte == b'/').nth(2) == Some(b"schedule")
}
