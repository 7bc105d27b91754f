//! Limits: a step that takes something is let through before it is recorded, and told over when it is.

use std::time::Duration;

use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{
    Entry, EntryKind, FailureKind, Outcome, Price, RunFailure, StepFailure, StepFailureKind, StepKey, Usage,
    WaitId, WaitOn, WaitOpened,
};
use runtime_traits::model::CalledModel;
use runtime_traits::resource::{CallId, Limit, Money, NoRoom, Refused, Turn, Whose};
use xxhash_rust::xxh3::Xxh3;

use super::slot::Phase;
use super::{Over, RunMachine, too_late};
use crate::engine::fork::{began, copied_steps, held_off_steps};

/// A step that asks to be let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Which step.
    pub slot: Slot,
    /// Which call.
    pub id: CallId,
    /// The model that it calls.
    pub model: Option<CalledModel>,
    /// What it takes at most.
    pub most: Usage,
    /// What was said before of its waiting.
    pub said: WaitSaid,
}

/// What was said of a call that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitSaid {
    /// Nothing.
    Nothing,
    /// That a limit is reached.
    Reached,
    /// That a budget is spent.
    Spent,
}

impl WaitSaid {
    /// What is said of a call that finds no room.
    pub const fn of(limit: Limit) -> Self {
        if limit.is_budget() { Self::Spent } else { Self::Reached }
    }
}

/// For how long a call waits for room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaits {
    /// When there will be room, if nobody takes it before, as far as is known.
    pub until: Option<UnixMillis>,
    /// Nothing but another limit makes room for it.
    pub only_by_limit: bool,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCall {
    /// Which call.
    pub id: CallId,
    /// Whether it was let through before: its step said what it takes at most.
    pub held: bool,
    /// The model that it called.
    pub model: Option<CalledModel>,
    /// What it took, as far as anybody knows.
    pub took: Usage,
}

/// How many steps a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MostSteps {
    most: u32,
    /// Those of the run that it is a copy of, in its log.
    copied: usize,
}

/// Why a wait for room ended.
pub(super) const ROOM: &str = "room";
pub(super) const UNDECIDED: &str = "to be decided first";
pub(super) const DONE: &str = "done";
const NO_ROOM: &str = "refused";
const STILL: &str = "still";

/// A wait that ends by itself later than this lets its run park, and one that nothing but another limit ends. One of which nobody knows
/// when it ends does not: it may end with the next call that is over.
const LONG_MILLIS: u64 = 120_000;

impl Awaits {
    /// What a call waits for that has this place.
    pub fn of(turn: &dyn Turn) -> Self {
        Self { until: turn.waits_for().until, only_by_limit: turn.only_by_limit() }
    }

    /// Whether its run parks.
    pub fn is_long(&self, now: UnixMillis) -> bool {
        self.only_by_limit || is_long(self.until, now)
    }
}

fn is_long(until: Option<UnixMillis>, now: UnixMillis) -> bool {
    until.is_some_and(|until| until.0 > now.0.saturating_add(LONG_MILLIS))
}

/// Where a run with this log waits with others, higher ones come first.
pub fn priority_of(log: &[Entry]) -> u8 {
    match log.first().map(|entry| &entry.kind) {
        Some(EntryKind::Accepted(accepted)) => accepted.priority.clamp(0, u8::MAX.into()) as u8,
        _ => 0,
    }
}

impl RunMachine {
    /// Lets each step that takes something ask before it begins.
    pub fn govern(&mut self, governed: bool) {
        self.governed = governed;
    }

    /// Bounds the run's steps and its time, from now on.
    pub fn hold_to(&mut self, most_steps: Option<u32>, most_time: Option<Duration>) {
        self.most_steps = most_steps.map(|most| MostSteps { most, copied: copied_steps(&self.log) });
        self.time_over = most_time.and_then(|most| began(&self.log).map(|began| began.after(most)));
    }

    /// The run that limits count.
    pub fn counted_as(&self) -> RunId {
        self.chain.map_or(self.facts.run, |chain| chain.first)
    }

    /// Where it waits with others, higher ones come first.
    pub fn priority(&self) -> u8 {
        priority_of(&self.log)
    }

    /// What becomes of it if it is not over by its deadline, or in the time that a limit gives it, and should be.
    pub(super) fn too_late(&self) -> Option<Outcome> {
        let passed = |by: Option<UnixMillis>| by.is_some_and(|by| by <= self.now);
        (passed(self.deadline) || passed(self.time_over)).then(|| too_late(passed(self.deadline)))
    }

    /// The steps that ask to be let through, each once.
    pub fn take_asking(&mut self) -> Vec<Asking> {
        let asking = std::mem::take(&mut self.admitting);
        asking.into_iter().filter_map(|slot| self.asking(slot)).collect()
    }

    fn asking(&self, slot: usize) -> Option<Asking> {
        let Phase::Admitting { try_no, wait, .. } = self.slots[slot].phase else { return None };
        let step = self.slots[slot].step()?;
        let id = self.call_id(&self.slots[slot].key, try_no);
        let said = match wait.and_then(|wait| self.opened_wait(wait)) {
            None => WaitSaid::Nothing,
            // Whoever waits for a known moment waits for room that time makes.
            Some(opened) if opened.wake_at.is_some() => WaitSaid::Reached,
            Some(_) => WaitSaid::Spent,
        };
        Some(Asking { slot: Slot(slot), id, model: step.model.clone(), most: step.asks, said })
    }

    /// Keeps which calls find no room, as the attempt ends. Of a step between two calls the next attempt may have to find out first
    /// what became of it, whether there is room or not: then nobody knows whether it asks.
    pub(super) fn keep_waited(&mut self) {
        let asks = || self.open.iter().copied().filter(|slot| self.slots[*slot].is_asking());
        if asks().all(|slot| self.slots[slot].between.asks_after().is_none()) {
            self.waited = asks().filter_map(|slot| self.asking(slot)).collect();
        }
    }

    /// The calls that found no room when the attempt ended.
    pub fn take_waited(&mut self) -> Vec<Asking> {
        std::mem::take(&mut self.waited)
    }

    /// The calls that ended since somebody asked last, and what they took.
    pub fn take_over_calls(&mut self) -> Vec<EndedCall> {
        std::mem::take(&mut self.over_calls)
    }

    /// Whether a step still asks to be let through.
    pub fn is_asking(&self, slot: Slot) -> bool {
        self.over == Over::No && matches!(self.slots[slot.0].phase, Phase::Admitting { .. })
    }

    /// A step is let through: this is held for it. `false`: it does not begin now, and nothing is to be held.
    pub fn admitted(&mut self, slot: Slot, most: Usage, price: Option<Money>) -> bool {
        let at = slot.0;
        if !self.is_asking(slot) {
            return false;
        }
        let Phase::Admitting { try_no, wait, .. } = self.slots[at].phase else { return false };
        if self.is_held() || self.cancel_by.is_some() {
            self.asks_no_more(at);
            return false;
        }
        if let Some(step) = self.slots[at].step_mut() {
            step.reserves = most;
            step.micros = price.map(Money::micros);
        }
        self.end_room_wait(at, wait, ROOM);
        if self.recorded.contains_key(&self.slots[at].key) {
            self.dispatch_again(at);
        } else {
            self.open_step(at, true);
            self.slots[at].phase = Phase::Opening { try_no };
        }
        true
    }

    /// No step waits to be let through any more. Each asks anew when it may begin.
    pub(super) fn ask_no_more(&mut self) {
        for at in self.open.iter().copied().collect::<Vec<_>>() {
            if self.slots[at].is_asking() {
                self.asks_no_more(at);
            }
        }
    }

    fn asks_no_more(&mut self, slot: usize) {
        let in_log = self.recorded.contains_key(&self.slots[slot].key);
        self.slots[slot].phase = if in_log { Phase::Recorded } else { Phase::Asked };
    }

    /// A step is not let through: it has failed. `untold`: the limit, if nobody has been told of that.
    pub fn not_admitted(&mut self, slot: Slot, refused: &Refused, untold: Option<NoRoom>) {
        let at = slot.0;
        if !self.is_asking(slot) {
            return;
        }
        let Phase::Admitting { wait, .. } = self.slots[at].phase else { return };
        self.end_room_wait(at, wait, NO_ROOM);
        if self.refused_again(at, refused) {
            return self.tell_with_next(untold);
        }
        if !self.recorded.contains_key(&self.slots[at].key) {
            self.open_step(at, false);
        }
        let failure = StepFailure { kind: StepFailureKind::Limit, message: refused.to_string() };
        self.tell_with_next(untold);
        self.settle_outside(at, Err(failure), Usage::default());
    }

    /// The next entry says that something is refused because of a limit.
    pub fn tell_with_next(&mut self, refused: Option<NoRoom>) {
        let seq = self.next_seq();
        self.refused.extend(refused.map(|no_room| (seq, no_room)));
    }

    /// A step has waited for room for a while: the log says so from here on, and for which moment.
    /// `price`: what the call costs at most.
    pub fn waits_long(&mut self, slot: Slot, waiting: Awaits, price: Option<u64>) {
        let at = slot.0;
        if !self.is_asking(slot) || self.is_held() || self.cancel_by.is_some() {
            return;
        }
        if let Some(step) = self.slots[at].step_mut() {
            step.micros = step.micros.or(price);
        }
        let Phase::Admitting { try_no, wait: before, .. } = self.slots[at].phase else { return };
        let parks = waiting.is_long(self.now);
        if let Some(before) = before {
            let ends = self.opened_wait(before).and_then(|opened| opened.wake_at);
            // The log says for about which moment it parks.
            let may_park_now = is_long(waiting.until, self.now) && !is_long(ends, self.now);
            let same = ends.is_none_or(|ends| ends > self.now) && waiting.until.is_some() == ends.is_some();
            if same && !may_park_now {
                // There may be room earlier than the log says: then it does not give up its place.
                self.slots[at].phase = Phase::Admitting { try_no, wait: Some(before), parks };
                return;
            }
            self.end_room_wait(at, Some(before), STILL);
        } else {
            self.says_broke_off(at);
        }
        if !self.recorded.contains_key(&self.slots[at].key) {
            self.open_step(at, false);
        }
        let wait = WaitId(self.next_seq().0);
        let (key, digest) = (self.slots[at].key.clone(), self.slots[at].digest);
        if let Some(recorded) = self.recorded.get_mut(&key) {
            recorded.waiting = Some(wait);
        }
        self.slots[at].phase = Phase::Admitting { try_no, wait: Some(wait), parks };
        let on = WaitOn::Budget(key);
        let wake_at = waiting.until;
        self.append(EntryKind::WaitOpened(WaitOpened { wait, on, digest, wake_at, holds_session: true }));
    }

    /// A step that the log says waits for room still does. Whether that is another matter now: its run may park, or may not any more.
    pub fn still_waits(&mut self, slot: Slot, waiting: Awaits) -> bool {
        let parked = matches!(self.slots[slot.0].phase, Phase::Admitting { wait: Some(_), parks: true, .. });
        let other = parked != waiting.is_long(self.now);
        if other {
            self.waits_long(slot, waiting, None);
        }
        other
    }

    pub(super) fn end_room_wait(&mut self, slot: usize, wait: Option<WaitId>, answer: &str) {
        let Some(wait) = wait else { return };
        if let Some(recorded) = self.recorded.get_mut(&self.slots[slot].key) {
            recorded.waiting = None;
        }
        self.close(wait, answer);
    }

    /// Whether a wait is one for room under a limit.
    pub(super) fn waits_for_room(&self, wait: WaitId) -> bool {
        matches!(self.opened_wait(wait), Some(WaitOpened { on: WaitOn::Budget(_), .. }))
    }

    pub(super) fn has_to_be_admitted(&self, slot: usize) -> bool {
        let state = &self.slots[slot];
        self.governed && !state.is_pure() && state.step().is_some_and(|step| !step.reserves.is_none())
    }

    pub(super) fn ask_to_be_admitted(&mut self, slot: usize, try_no: u32, wait: Option<WaitId>) {
        self.slots[slot].phase = Phase::Admitting { try_no, wait, parks: false };
        self.admitting.push(slot);
    }

    /// Whether the run has had as many steps as it may.
    pub(super) fn is_one_too_many(&self) -> bool {
        let begun = self.recorded.len() + self.slots.iter().filter(|slot| slot.has_begun()).count();
        // Those of earlier attempts are counted once, by what the log knows of them.
        let again =
            self.slots.iter().filter(|slot| slot.has_begun() && self.recorded.contains_key(&slot.key));
        let before = self.chain.map_or(0, |chain| chain.steps as usize);
        let own = before + begun - again.count();
        let reaches =
            |own: usize| self.most_steps.is_some_and(|steps| own >= steps.most as usize + steps.copied);
        // The log is looked through by those alone for whom it matters.
        reaches(own) && reaches(own.saturating_sub(held_off_steps(&self.log)))
    }

    pub(super) fn too_many_steps(&mut self) {
        let most = self.most_steps.map_or(0, |steps| steps.most);
        let (limit, whose, allowed) = (Limit::MaxStepsPerRun, Whose::Run, Some(u64::from(most)));
        self.tell_with_next(Some(NoRoom { limit, whose, allowed, waits: false, until: None }));
        let message = format!(
            "`max_steps_per_run` is {most} and reached; raise it with `agent-runtime agents limit`, or let the agent do with fewer steps"
        );
        self.end_for(FailureKind::Limit, message);
    }

    pub(super) fn end_for(&mut self, kind: FailureKind, message: String) {
        self.give_up_steps(runtime_traits::log::UnknownCause::Cancelled);
        self.end(Outcome::Failed(RunFailure { kind, message }));
    }

    /// What the dispatch under way used so far cost this.
    pub fn costs(&mut self, slot: Slot, cost: Price) {
        let state = &mut self.slots[slot.0];
        // Of two that are told at once the one counts that knows of both.
        if matches!(state.phase, Phase::Executing { .. }) && cost.micros > state.cost.micros {
            state.cost = cost;
        }
    }

    /// Which call a try of a step is, and what it used, while it is under way.
    pub fn call_under_way(&self, slot: Slot) -> Option<EndedCall> {
        let state = &self.slots[slot.0];
        let Phase::Executing { try_no, .. } = state.phase else { return None };
        if state.between.is_idle() {
            return None;
        }
        self.governed.then(|| self.call(slot.0, try_no, state.used))
    }

    fn call(&self, slot: usize, try_no: u32, took: Usage) -> EndedCall {
        let id = self.call_id(&self.slots[slot].key, try_no);
        let model = self.slots[slot].step().and_then(|step| step.model.clone());
        EndedCall { id, held: self.has_to_be_admitted(slot), model, took }
    }

    /// A try is over, and took this.
    pub(super) fn call_over(&mut self, slot: usize, try_no: u32, took: Usage) {
        if self.has_to_be_admitted(slot) {
            self.over_calls.push(self.call(slot, try_no, took));
        } else {
            self.unheld_over(slot, try_no, took);
        }
    }

    /// A try is over for which nothing was held: who counts hears of it only now.
    pub(super) fn unheld_over(&mut self, slot: usize, try_no: u32, took: Usage) {
        if self.governed && !took.is_none() && !self.has_to_be_admitted(slot) {
            self.over_calls.push(self.call(slot, try_no, took));
        }
    }

    /// Books what is known of a try that is given up. What all tries of its step used and cost.
    pub(super) fn book_given_up(&mut self, slot: usize, try_no: u32) -> (Usage, Price) {
        let (used, cost) = self.slots[slot].given_up();
        self.call_over(slot, try_no, used);
        let price = self.book_price(slot, cost);
        (self.book(slot, used), price)
    }

    /// Adds what the last try of a step cost to what those before it did, and to the run's sum. What all of them cost.
    pub(super) fn book_price(&mut self, slot: usize, cost: Price) -> Price {
        self.price = self.price.plus(cost);
        match self.recorded.get_mut(&self.slots[slot].key) {
            Some(recorded) => {
                recorded.price = recorded.price.plus(cost);
                recorded.price
            }
            None => cost,
        }
    }

    fn call_id(&self, key: &StepKey, try_no: u32) -> CallId {
        let mut hasher = Xxh3::new();
        hasher.update(self.facts.run.unique().as_bytes());
        hasher.update(key.to_string().as_bytes());
        hasher.update(&try_no.to_le_bytes());
        CallId(hasher.digest128())
    }
}
