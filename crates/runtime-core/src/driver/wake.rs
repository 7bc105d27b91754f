//! Time: parked runs are woken, and what has fallen due is done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_codec::Due;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Ended, Entry, EntryKind, Price, RunView, WaitOn};
use runtime_traits::name::Name;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{RuntimeError, Want};
use runtime_traits::store::{Cell, Key, StateError, Then, When};
use tokio::sync::Notify;
use uuid::Uuid;

use super::finish::accepted_of;
use super::inner::Inner;
use super::load::{PAGE, read};
use super::parking::{Look, waits_for_room};
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::{Place, Writes};
use crate::engine::claim::{Next, after_park};
use crate::engine::keys;
use crate::engine::machine::too_late;

/// How often what has fallen due is looked for. Runs are woken by their own timers, at the moment.
const ROUND: Duration = Duration::from_secs(30);
/// How long somebody who has a run in hand may need.
const MOMENT: Duration = Duration::from_secs(1);
/// Writes in one batch of what fell due.
const GROUP: usize = 200;

/// When parked runs are to be woken.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Mutex<BinaryHeap<Reverse<(UnixMillis, RunId)>>>,
    changed: Notify,
}

impl Timers {
    pub(super) fn add(&self, at: UnixMillis, run: RunId) {
        lock(&self.heap).push(Reverse((at, run)));
        self.changed.notify_one();
    }

    fn pop_due(&self, now: UnixMillis) -> Option<RunId> {
        let mut heap = lock(&self.heap);
        heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        heap.pop().map(|Reverse((_, run))| run)
    }

    fn next(&self) -> Option<UnixMillis> {
        lock(&self.heap).peek().map(|Reverse((at, _))| *at)
    }
}

impl Inner {
    /// Does what has fallen due, every now and then until the runtime ends: first what did while nobody was here.
    pub(super) async fn keep_due(self: Arc<Self>) {
        loop {
            // What is cut off here goes on where the store is opened next, as after a crash.
            tokio::select! {
                () = self.do_due(self.clock.now()) => {}
                () = self.ending.cancelled() => return,
            }
            self.forget_idle();
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Wakes parked runs at their moments until the runtime ends.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            while let Some(run) = self.timers.pop_due(now) {
                if let Some(slot) = self.run_slot(&run) {
                    self.spawn_control(Arc::clone(&self).wake(slot));
                }
            }
            let pause = self.timers.next().map_or(ROUND, |next| next.since(self.clock.now()));
            let pause = pause.clamp(Duration::from_millis(1), ROUND);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.timers.changed.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Gives a parked run its next attempt, if nothing else did; ends a run whose deadline has passed before its turn.
    async fn wake(self: Arc<Self>, slot: Arc<RunSlot>) {
        if self.is_draining() || self.config.at_rest || slot.is_parked_beyond(self.clock.now()) {
            return;
        }
        let (log, view) = match self.run_log(&slot.place.run).await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(run = %slot.place.run, %error, "the run cannot be read; later again");
                return self.timers.add(self.clock.now().after(ROUND), slot.place.run);
            }
        };
        let deadline = self.deadline_of(&slot.place, &log);
        let late = deadline.is_some_and(|deadline| deadline <= self.clock.now());
        let again = match slot.stage() {
            Stage::Queued if late && self.take_queued(&slot) => Stage::Queued,
            // It may have been given less time since it was accepted, or more.
            Stage::Queued if !late => {
                return deadline.into_iter().for_each(|deadline| self.timers.add(deadline, slot.place.run));
            }
            // The end of a pause looks at every parked run again.
            Stage::Parked(_) if late || !self.is_paused(&slot.place.agent) => match slot.take_parked() {
                Some(reason) => {
                    slot.parking.is_looked_at();
                    Stage::Parked(reason)
                }
                None => return self.later(&slot),
            },
            // A pause does not hold up its deadline, and no other timer is left.
            Stage::Parked(_) => {
                return deadline.into_iter().for_each(|deadline| self.timers.add(deadline, slot.place.run));
            }
            // Somebody else has it in hand, and may leave it as it was.
            Stage::Moving => return self.later(&slot),
            _ => return,
        };
        let moved = if late {
            let own = accepted_of(&log).and_then(|accepted| accepted.deadline);
            let outcome = too_late(own.is_some_and(|own| own <= self.clock.now()));
            let ended = Ended { outcome, usage: view.usage, price: Price::default() };
            self.go_on(&slot, log, &view, vec![EntryKind::Ended(ended)], Next::Over).await
        } else {
            let next = match after_park(&view, &log) {
                Next::Wait { .. } if waits_for_room(&view) => match self.look_for_room(&slot, &view).await {
                    Look::Room => Next::Start,
                    Look::None(next) => return self.park_without_room(&slot, again, &log, next),
                },
                Next::Wait { until: Some(at) } if at <= self.clock.now() => Next::Start,
                next => next,
            };
            self.go_on(&slot, log, &view, Vec::new(), next).await
        };
        if let Err(error) = moved {
            tracing::warn!(run = %slot.place.run, %error, "the run cannot be woken; later again");
            match again {
                Stage::Parked(reason) => self.park_again(&slot, reason),
                _ => self.queue_again(&slot),
            }
            self.timers.add(self.clock.now().after(ROUND), slot.place.run);
        }
    }

    /// Somebody has a run in hand, and may not know why it was to be looked at.
    pub(super) fn later(&self, slot: &RunSlot) {
        self.look_now(slot);
        self.timers.add(self.clock.now().after(MOMENT), slot.place.run);
    }

    fn is_paused(&self, agent: &AgentId) -> bool {
        let state = lock(&self.home(agent.partition()).state);
        state.agents.get(&agent.unique()).is_some_and(|slot| slot.want == Want::Paused)
    }

    /// Does what has fallen due in the partitions that this process owns.
    async fn do_due(self: &Arc<Self>, now: UnixMillis) {
        for home in self.partitions.iter().filter(|home| home.owner.initialized()) {
            match self.do_due_in(home.partition, now).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(partition = %home.partition, %error, "what has fallen due could not be done; later again");
                }
            }
        }
    }

    async fn do_due_in(self: &Arc<Self>, partition: Partition, now: UnixMillis) -> Result<(), RuntimeError> {
        // Some of it takes names of contents away. Where these are looked for, it waits for the next round.
        self.let_use_go(partition, now).await?;
        let Ok(_names) = self.home(partition).names.try_read() else { return Ok(()) };
        let mut after = None;
        loop {
            let page = self.store.scan(&keys::due_all(partition), after.as_ref(), PAGE).await?;
            let fell =
                page.iter().take_while(|(key, _)| keys::due_at(key).is_some_and(|at| at <= now)).count();
            self.do_fallen(partition, &page[..fell]).await?;
            if fell < PAGE as usize || self.ending.is_cancelled() {
                return Ok(());
            }
            after = page.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// Does what cells say that fell due. One that cannot be done is left, and keeps none of the others; only a store that
    /// takes nothing ends this, and what was done before is written all the same.
    async fn do_fallen(
        self: &Arc<Self>,
        partition: Partition,
        fallen: &[(Key, Cell)],
    ) -> Result<(), RuntimeError> {
        let mut done = Effects::default();
        for (key, cell) in fallen {
            if self.ending.is_cancelled() {
                return Ok(());
            }
            match self.effect_of(partition, key, cell).await {
                Ok(effect) => done.join(effect),
                // Something of it went with the end of its run meanwhile: the next round finds the rest.
                Err(RuntimeError::Store(StateError::Conflict { .. })) => {}
                Err(error) if keeps_all(&error) => {
                    self.commit_done(partition, done).await?;
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%partition, %key, %error, "what fell due cannot be done; it stays");
                }
            }
            if done.writes.then.len() >= GROUP {
                self.commit_done(partition, std::mem::take(&mut done)).await?;
            }
        }
        self.commit_done(partition, done).await
    }

    async fn commit_done(&self, partition: Partition, done: Effects) -> Result<(), RuntimeError> {
        if done.writes.then.is_empty() {
            return Ok(());
        }
        match self.commit(partition, done.writes).await {
            Ok(_) => done.without_keys.iter().for_each(|place| self.note_ended(place)),
            // The next round finds what is still to be done.
            Err(StateError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What is written because a cell fell due, its own end included.
    async fn effect_of(
        self: &Arc<Self>,
        partition: Partition,
        key: &Key,
        cell: &Cell,
    ) -> Result<Effects, RuntimeError> {
        let mut without_keys = Vec::new();
        let mut writes =
            Writes::of(vec![When::Revision(key.clone(), cell.revision)], vec![Then::Delete(key.clone())]);
        let due = read::<Due>(key, cell)?;
        if !is_of(key, &due) {
            return Err(RuntimeError::Damaged {
                what: format!("`{key}` (it says something else than its path)"),
            });
        }
        match due {
            Due::Wake { run } => {
                // The cell goes in the batch of the wait's end; until then the timer in memory sees to it.
                if self.run_slot(&run).is_some() {
                    self.timers.add(self.clock.now(), run);
                    return Ok(Effects::default());
                }
            }
            Due::ForgetKey { cell } => {
                if let Ok(cell) = Key::new(partition, cell)
                    && let Some((revision, place)) = self.forget_key(&cell, key).await?
                {
                    without_keys.extend(place);
                    writes.when.push(When::Revision(cell.clone(), revision));
                    writes.then.push(Then::Delete(cell));
                }
            }
            Due::Sweep { tenant, agent, session, run } => {
                let place = Place { tenant, agent, session, run };
                return Ok(self.sweep_run(&place, key, cell.revision).await?.into());
            }
            Due::SweepContents { tenant } => {
                // The cell goes when that is done.
                self.begin_sweeping(key, cell.revision, tenant);
                return Ok(Effects::default());
            }
            Due::Restore { tenant, agent, .. } => {
                // The cell goes in the last batch of that.
                self.finish_restoring_in_time(&tenant, &agent).await;
                return Ok(Effects::default());
            }
            // Whoever fires schedules sees to it; one that nobody has any more goes.
            Due::Schedule { tenant, agent, name } => {
                if self.is_tick(key, &tenant, &agent, &name).await? {
                    return Ok(Effects::default());
                }
            }
            Due::Unnamed { tenant, agent, name } => {
                let named = match Name::new(&name) {
                    Ok(name) => {
                        self.record::<runtime_codec::NameRecord>(&keys::name(self.pool, &tenant, &name))
                            .await?
                    }
                    Err(_) => None,
                };
                if named.is_none_or(|record| record.agent != agent) {
                    // Whoever writes into it for long puts this off.
                    let now = self.store.get(std::slice::from_ref(key)).await?.pop().flatten();
                    if now.is_none_or(|now| now.revision != cell.revision) {
                        return Ok(Effects::default());
                    }
                    self.purge(&tenant, &agent).await?;
                } else if let Ok(name) = Name::new(&name)
                    && self.is_withdrawn(&tenant, &agent).await?
                {
                    // Whoever deleted it did not come to the end.
                    self.unname(&tenant, &agent, &name).await?;
                    self.purge(&tenant, &agent).await?;
                } else {
                    // Whoever registered it did not come to say so.
                    self.tell_registered(&mut writes, &tenant, &agent, None).await?;
                    writes.told.heard.clear();
                }
            }
        }
        Ok(Effects { writes, without_keys })
    }
}

/// Whether it is what its path says. Damage may leave a record of something else, with which nothing would be found to do.
fn is_of(key: &Key, due: &Due) -> bool {
    let path = std::str::from_utf8(key.path.as_bytes()).unwrap_or_default();
    let mut parts = path.split('/').skip(2);
    let (sort, of) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is = |it: &str, unique: Uuid| sort == it && *of == *unique.simple().to_string();
    match due {
        Due::Wake { run } => is("wake", run.unique()),
        Due::ForgetKey { cell } => {
            let cell = Key::new(key.partition, cell.clone());
            sort == "key" && cell.is_ok_and(|cell| keys::of_idem(&cell).is_some())
        }
        Due::Unnamed { agent, .. } => is("unnamed", agent.unique()),
        Due::Restore { agent, .. } => is("restore", agent.unique()),
        Due::Sweep { run, .. } => is("sweep", run.unique()),
        Due::Schedule { agent, .. } => is("schedule", agent.unique()),
        Due::SweepContents { tenant } => sort == "contents" && of == tenant.as_str(),
    }
}

/// What comes of cells that fell due.
#[derive(Default)]
struct Effects {
    writes: Writes,
    /// Runs that have no idempotency key any more, once this is written.
    without_keys: Vec<Place>,
}

impl Effects {
    fn join(&mut self, other: Self) {
        self.writes.join(other.writes);
        self.without_keys.extend(other.without_keys);
    }
}

impl From<Writes> for Effects {
    fn from(writes: Writes) -> Self {
        Self { writes, without_keys: Vec::new() }
    }
}

/// Whether it is the store, which takes nothing else either.
fn keeps_all(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Store(error) => {
            error.is_transient() || matches!(error, StateError::Fenced | StateError::Poisoned { .. })
        }
        _ => false,
    }
}

/// What a run waits for that began with another version of its kind than the one that is here.
pub(super) fn other_version(needed: u32, here: u32) -> String {
    format!("version {needed} of its kind, with which it began; version {here} is here")
}

/// What a run waits for, in words.
pub(super) fn reason(log: &[Entry]) -> String {
    let Some(Entry { kind: EntryKind::Accepted(accepted), .. }) = log.first() else { return String::new() };
    // The id does not matter to the fold.
    let run = RunId::from_parts(accepted.agent.partition(), Uuid::nil());
    let waits = RunView::of(run, log).map(|view| view.waits).unwrap_or_default();
    match waits.first().map(|wait| &wait.on) {
        None => "its next attempt".to_owned(),
        Some(WaitOn::Decision(step)) => format!("a decision on step `{step}`"),
        Some(on) if on.is_restart() => "its next attempt, after a pause: its last one failed".to_owned(),
        Some(WaitOn::Time(step)) => format!("its timer `{step}`"),
        Some(WaitOn::Diverged { recorded, asked }) => {
            format!("a person, because it diverged: the log has {recorded}, and {asked}")
        }
        Some(WaitOn::Operator { why }) => format!("an operator, because it is in quarantine: {why}"),
        Some(WaitOn::Kind(kind)) => format!("a process that hosts the kind `{kind}`"),
        Some(WaitOn::CodeVersion(version)) => format!("version {version} of its kind"),
        Some(WaitOn::Approval(step)) => format!("consent to `{step}`"),
        Some(WaitOn::Answer(step)) => format!("an answer to `{step}`"),
        Some(WaitOn::Budget(step)) => format!("room in the budget for `{step}`"),
        Some(WaitOn::Child { step, .. }) => format!("the run that `{step}` started"),
        Some(WaitOn::Event(step)) => format!("the event of `{step}`"),
    }
}
