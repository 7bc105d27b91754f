//! Giving out what the log says, in its order, and beginning what it does not hold yet.

use runtime_traits::agent::{Given, Outside, Slot};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Effect, EntryKind, StepDispatched, StepFailure, StepFailureKind, StepOpened, StepUnknown, UnknownCause,
    Usage, Verdict, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::tool::Reconciled;

use super::admit::{ROOM, UNDECIDED};
use super::asks::{DROPPED, ELAPSED};
use super::outside::given;
use super::slot::{Phase, SlotState, What};
use super::{MAX_ENTRIES, Over, ROOM_TO_END, RunMachine, is_urgent};

/// What giving out one entry came to.
enum Step {
    /// Nothing that the agent sees.
    Passed,
    /// The agent may begin a step.
    Begins,
    /// The agent has a result, and has to see it before the next entry is given out.
    Seen,
    /// The agent has not asked for it yet.
    NotYet,
}

impl RunMachine {
    /// Moves on after the agent paused: gives out the next result, or begins what the agent asked for. An agent that
    /// yields looks like one that pauses, so what its branches do in between may come in another order in a replay.
    /// `true`: the agent has something to see, and is to be polled before the next turn.
    pub fn turn(&mut self, now: UnixMillis) -> bool {
        self.tick(now);
        while self.over == Over::No {
            if self.refuse() || self.give() {
                return true;
            }
            if !self.is_live() {
                return false;
            }
            if self.begin_asked() {
                return true;
            }
            // A timer of no time has run out already.
            if !self.fire_timers() {
                return false;
            }
        }
        false
    }

    /// Once the run is to end, what has not begun is refused: one step at a time and in the order of the keys, so that
    /// a replay sees the same.
    fn refuse(&mut self) -> bool {
        if !self.cancelled {
            return false;
        }
        if self.call_nobody_again() {
            return true;
        }
        let may_begin = |slot: &&usize| {
            let slot = &self.slots[**slot];
            let recorded = self.recorded.get(&slot.key);
            match slot.phase {
                Phase::Asked => matches!(slot.what, What::Step(_)),
                Phase::Finding => true,
                // In the log it may be that it waits, or not at all.
                Phase::Admitting { .. } => recorded.is_none_or(|recorded| !recorded.closed),
                Phase::Recorded
                | Phase::Again { .. }
                | Phase::Deciding
                | Phase::Waiting
                | Phase::Reconcile { .. }
                | Phase::Reconciling { .. } => recorded.is_some_and(|recorded| !recorded.closed),
                _ => false,
            }
        };
        let first = self.open.iter().filter(may_begin);
        let Some(slot) = first.min_by_key(|slot| &self.slots[**slot].key).copied() else {
            return false;
        };
        let recorded = self.recorded.get_mut(&self.slots[slot].key);
        if let Some(wait) = recorded.and_then(|recorded| recorded.deciding.take().or(recorded.waiting.take()))
        {
            self.close(wait, DROPPED);
        }
        self.slots[slot].phase = Phase::Done(Given::Cancelled);
        self.slots[slot].wake();
        true
    }

    /// Passes what comes before the agent's first look, so that every replay has the same time then. A wish to end the
    /// run comes after it, as it did when the agent was about to begin.
    pub(super) fn pass_begin(&mut self) {
        while let Some(entry) = self.log.get(self.given) {
            let (at, seen) = (entry.at, matches!(entry.kind, EntryKind::CancelRequested(_)));
            let cleared = entry.kind == EntryKind::Cleared;
            if seen || !matches!(self.give_entry(self.given), Step::Passed) {
                return;
            }
            self.given += 1;
            self.see(at, cleared);
        }
    }

    /// The agent's time goes on with the log, but for what comes into it at any moment beside the agent.
    fn see(&mut self, at: UnixMillis, cleared: bool) {
        if !cleared {
            self.seen_at = at;
        }
    }

    /// Gives out entries up to and including the next that the agent sees.
    pub(super) fn give(&mut self) -> bool {
        let mut begun = false;
        while let Some(entry) = self.log.get(self.given) {
            if self.given >= self.durable && is_urgent(&entry.kind) {
                break;
            }
            let (at, cleared) = (entry.at, entry.kind == EntryKind::Cleared);
            let step = self.give_entry(self.given);
            if matches!(step, Step::NotYet) {
                break;
            }
            self.given += 1;
            self.see(at, cleared);
            match step {
                Step::Seen => return true,
                Step::Begins => begun = true,
                Step::Passed | Step::NotYet => {}
            }
        }
        begun
    }

    fn give_entry(&mut self, at: usize) -> Step {
        let live = at >= self.history;
        match self.log[at].kind {
            EntryKind::StepOpened(StepOpened { ref key, dispatched, .. }) => match self.by_key.get(key) {
                // What only waits is begun by the entry that dispatches it, and not before that is committed.
                Some(slot) if live && dispatched => self.execute(*slot),
                Some(_) => Step::Passed,
                None => Step::NotYet,
            },
            EntryKind::StepDispatched(StepDispatched { ref key, .. }) => match self.by_key.get(key) {
                Some(slot) if live => self.execute(*slot),
                _ => Step::Passed,
            },
            EntryKind::StepSettled(ref settled) => {
                let Some(slot) = self.by_key.get(&settled.key).copied() else {
                    return Step::NotYet;
                };
                let result = match (&settled.result, settled.messages) {
                    (Ok(_), Some((_, end))) => Ok(self.said.content(end)),
                    (Ok(payload), None) => Ok(self.resolve(payload)),
                    (Err(failure), _) => Err(failure.clone()),
                };
                self.done(slot, Given::Result(result))
            }
            EntryKind::StepUnknown(StepUnknown { ref key, cause: UnknownCause::Dropped, .. }) => {
                self.passes_when_gone(self.by_key.get(key).copied())
            }
            EntryKind::StepUnknown(StepUnknown { ref key, cause: UnknownCause::TimedOut, .. }) => {
                let Some(slot) = self.by_key.get(key).copied() else {
                    return Step::NotYet;
                };
                let failure = self.why_given_up(at);
                self.done(slot, Given::Result(Err(failure)))
            }
            EntryKind::StepDecided(ref decided) => {
                let Some(slot) = self.by_key.get(&decided.key).copied() else {
                    return Step::NotYet;
                };
                match &decided.verdict {
                    Verdict::Assume(value) => {
                        let value = self.resolve(value);
                        self.done(slot, Given::Result(Ok(value)))
                    }
                    Verdict::Fail => self.done(slot, Given::Result(Err(decided_so()))),
                    Verdict::Repeat => Step::Passed,
                }
            }
            EntryKind::StateSet(_) if live => Step::Passed,
            EntryKind::StateSet(_) if self.states_set > self.states_given => {
                self.states_given += 1;
                Step::Passed
            }
            EntryKind::StateSet(_) => Step::NotYet,
            EntryKind::WaitOpened(WaitOpened { ref on, .. }) if on.is_restart() => Step::Passed,
            EntryKind::WaitOpened(WaitOpened { on: WaitOn::Time(ref key), .. }) => {
                if self.by_key.contains_key(key) { Step::Passed } else { Step::NotYet }
            }
            EntryKind::WaitClosed(ref closed) => {
                let Some(key) = self.timers.get(&closed.wait) else {
                    return Step::Passed;
                };
                let slot = self.by_key.get(key).copied();
                if is_text(&closed.answer, DROPPED) {
                    return self.passes_when_gone(slot);
                }
                let Some(slot) = slot else {
                    return Step::NotYet;
                };
                self.done(slot, Given::Result(Ok(Content::text(""))))
            }
            EntryKind::CancelRequested(_) => {
                self.cancelled = true;
                self.cancel_wakers.drain(..).for_each(std::task::Waker::wake);
                self.interrupt_pure_steps();
                Step::Seen
            }
            EntryKind::Accepted(_)
            | EntryKind::Started(_)
            | EntryKind::StepUnknown(_)
            | EntryKind::WaitOpened(_)
            | EntryKind::AttemptEnded(_)
            | EntryKind::Ended(_)
            | EntryKind::Cleared
            | EntryKind::Unrecognised { .. } => Step::Passed,
        }
    }

    fn passes_when_gone(&self, slot: Option<usize>) -> Step {
        match slot.map(|slot| &self.slots[slot].phase) {
            Some(Phase::Gone) => Step::Passed,
            _ => Step::NotYet,
        }
    }

    /// The log does not know of pure steps under way: they count as not begun.
    fn interrupt_pure_steps(&mut self) {
        for slot in &self.open {
            let state = &mut self.slots[*slot];
            if state.is_pure() && matches!(state.phase, Phase::Execute { .. } | Phase::Executing { .. }) {
                state.phase = Phase::Asked;
                state.wake();
            }
        }
    }

    fn execute(&mut self, slot: usize) -> Step {
        let state = &self.slots[slot];
        let Phase::Opening { try_no } = state.phase else {
            return Step::Passed;
        };
        if !state.between.is_idle() && self.is_too_late(state) {
            // The commit took longer than the other side remembers the key. Nobody has begun it; now nobody does.
            let (key, cause) = (state.key.clone(), UnknownCause::Crash);
            let (usage, price) = self.book_given_up(slot, try_no);
            let price = Some(price);
            self.slots[slot].phase = Phase::Recorded;
            self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price }));
            return Step::Passed;
        }
        let state = &mut self.slots[slot];
        state.phase = Phase::Execute { try_no };
        state.wake();
        self.touched = self.now;
        Step::Begins
    }

    /// Whether a further try comes after the window in which it may be repeated without a decision.
    fn is_too_late(&self, slot: &SlotState) -> bool {
        let Some(Effect::Idempotent { window }) = slot.effect() else {
            return false;
        };
        self.recorded
            .get(&slot.key)
            .is_some_and(|recorded| !recorded.repeat && self.now >= recorded.opened_at.after(window))
    }

    fn done(&mut self, slot: usize, given: Given) -> Step {
        let state = &mut self.slots[slot];
        if matches!(state.phase, Phase::Gone) {
            return Step::Passed;
        }
        state.phase = Phase::Done(given);
        state.wake();
        self.touched = self.now;
        Step::Seen
    }

    fn resolve(&self, payload: &Payload) -> Content {
        match payload {
            Payload::Inline(content) => content.clone(),
            Payload::Blob { hash, .. } => self
                .contents
                .get(hash)
                .cloned()
                .expect("the contents of a log are loaded before its attempt begins, and those of the attempt are kept"),
        }
    }

    /// Begins what the agent asked for and the log does not hold. `true`: the agent has something to see.
    fn begin_asked(&mut self) -> bool {
        let mut seen = false;
        for slot in self.open.iter().copied().collect::<Vec<_>>() {
            if self.over != Over::No {
                return false;
            }
            seen |= match self.slots[slot].phase {
                Phase::Asked => self.begin_new(slot),
                Phase::Recorded if let Some(tried) = self.slots[slot].between.asks_after() => {
                    self.begin_again(slot, tried);
                    false
                }
                Phase::Recorded => self.begin_recorded(slot),
                Phase::Again { not_before } if not_before <= self.now => self.begin_recorded(slot),
                _ => false,
            };
        }
        seen
    }

    fn begin_new(&mut self, slot: usize) -> bool {
        if self.log.len() + ROOM_TO_END > MAX_ENTRIES {
            self.log_full();
            return false;
        }
        let state = &self.slots[slot];
        let key = state.key.clone();
        let digest = state.digest;
        match &state.what {
            What::Timer { after } => {
                let wake_at = self.seen_at.after(*after);
                let wait = WaitId(self.next_seq().0);
                self.timers.insert(wait, key.clone());
                self.slots[slot].phase = Phase::Running { wait, wake_at };
                let on = WaitOn::Time(key);
                let opened = WaitOpened { wait, on, digest, wake_at: Some(wake_at), holds_session: true };
                self.append(EntryKind::WaitOpened(opened));
                false
            }
            What::Step(_) if self.is_held() || self.cancel_by.is_some() => false,
            What::Step(_) if self.is_one_too_many() => {
                self.too_many_steps();
                false
            }
            What::Step(step) if matches!(step.outside, Some(Outside::Call(_))) => {
                // An agent's name is looked up first: nothing here knows it.
                self.slots[slot].phase = Phase::Finding;
                self.seeking.push(slot);
                false
            }
            What::Step(step) if step.approval || step.outside.is_some() => {
                let answer = matches!(step.outside, Some(Outside::Answer));
                let on = if answer { WaitOn::Answer(key) } else { WaitOn::Approval(key) };
                self.open_wait(slot, on);
                false
            }
            What::Step(_) if state.is_pure() => {
                self.slots[slot].phase = Phase::Execute { try_no: 1 };
                self.slots[slot].wake();
                true
            }
            What::Step(_) if self.has_to_be_admitted(slot) => {
                self.ask_to_be_admitted(slot, 1, None);
                false
            }
            What::Step(_) => {
                self.open_step(slot, true);
                self.slots[slot].phase = Phase::Opening { try_no: 1 };
                false
            }
        }
    }

    /// The log knows that the step began, and not how it ended: its effect rules.
    /// `true`: the agent has something to see.
    fn begin_recorded(&mut self, slot: usize) -> bool {
        let waits = self.recorded.get(&self.slots[slot].key).and_then(|recorded| recorded.waiting);
        let room = waits.filter(|wait| self.waits_for_room(*wait));
        let held = self.is_held();
        let state = &mut self.slots[slot];
        // Its time may have come while it may not begin: then it has no time any more.
        state.phase = Phase::Recorded;
        let recorded = self.recorded.get_mut(&state.key);
        let Some(recorded) = recorded.filter(|recorded| !recorded.closed) else {
            return false;
        };
        if self.cancel_by.is_some() {
            return false;
        }
        if waits.is_some() && room.is_none() {
            state.phase = Phase::Waiting;
            return false;
        }
        if room.is_none() && recorded.tries == 0 && state.step().is_some_and(|step| step.outside.is_some()) {
            // The consent itself was asked for, and is there.
            self.settle_outside(slot, Ok(given(Content::text(""))), Usage::default());
            return false;
        }
        // Consent is there, and nothing was dispatched.
        let consented = recorded.tries == 0;
        let may_repeat = match state.effect() {
            Some(Effect::Pure | Effect::Repeatable) => true,
            Some(Effect::Idempotent { window }) => self.now < recorded.opened_at.after(window),
            Some(Effect::AtMostOnce) | None => false,
        };
        // Once a person is asked, only the answer counts: another owner's clock may see the window open again.
        if !consented && !recorded.repeat && (recorded.deciding.is_some() || !may_repeat) {
            let reconciles = state.step().is_some_and(|step| step.reconciles);
            if reconciles && recorded.deciding.is_none() && !recorded.reconciled {
                if held {
                    return false;
                }
                state.phase = Phase::Reconcile { try_no: recorded.tries };
                state.wake();
                return true;
            }
            state.phase = Phase::Deciding;
            if recorded.deciding.is_none() {
                // It waited for room for a further call, when its work was there to make it.
                self.end_room_wait(slot, room, UNDECIDED);
                self.open_decision(slot);
            }
            return false;
        }
        if held {
            return false;
        }
        // An older dispatch of an idempotent step may still be under way until its deadline.
        let idempotent = matches!(state.effect(), Some(Effect::Idempotent { .. })) && !consented;
        let within = state.step().filter(|_| idempotent).and_then(|step| step.within);
        let older = within.map(|within| recorded.dispatched_at.after(within));
        if let Some(not_before) = older.filter(|end| *end > self.now) {
            state.phase = Phase::Again { not_before };
            return false;
        }
        let try_no = recorded.tries + 1;
        if self.has_to_be_admitted(slot) {
            self.ask_to_be_admitted(slot, try_no, room);
            return false;
        }
        self.end_room_wait(slot, room, ROOM);
        self.dispatch_again(slot);
        false
    }

    /// Asks a person what becomes of a step.
    fn open_decision(&mut self, slot: usize) {
        let wait = WaitId(self.next_seq().0);
        let state = &self.slots[slot];
        let (key, digest) = (state.key.clone(), state.digest);
        if let Some(recorded) = self.recorded.get_mut(&key) {
            recorded.deciding = Some(wait);
        }
        let on = WaitOn::Decision(key);
        let opened = WaitOpened { wait, on, digest, wake_at: None, holds_session: true };
        self.append(EntryKind::WaitOpened(opened));
    }

    /// Records a further dispatch.
    pub(super) fn dispatch_again(&mut self, slot: usize) {
        let state = &mut self.slots[slot];
        let Some(recorded) = self.recorded.get_mut(&state.key) else { return };
        recorded.dispatched(recorded.tries + 1, self.now);
        let (key, try_no) = (state.key.clone(), recorded.tries);
        state.phase = Phase::Opening { try_no };
        let (broke_off, broke_off_price) = std::mem::take(&mut state.unsaid);
        let (reserved_usage, reserved) =
            state.step().map_or_else(Default::default, |step| (step.reserves, step.micros.unwrap_or(0)));
        self.append(EntryKind::StepDispatched(StepDispatched {
            key,
            try_no,
            reserved,
            reserved_usage,
            broke_off,
            broke_off_price,
        }));
    }

    /// Lets timers run out and ends steps whose deadline has passed, in the order of their moments.
    /// `true`: there were some.
    pub(super) fn fire_timers(&mut self) -> bool {
        let due = |slot: &usize| {
            let state = &self.slots[*slot];
            let at = state.wake_at().filter(|at| *at <= self.now)?;
            Some((at, state.key.clone(), *slot))
        };
        let mut due: Vec<_> = self.open.iter().filter_map(due).collect();
        due.sort();
        let mut fired = false;
        for (_, key, slot) in due {
            let state = &mut self.slots[slot];
            match state.phase {
                Phase::Running { wait, .. } => {
                    state.phase = Phase::Fired;
                    self.close(wait, ELAPSED);
                    fired = true;
                }
                Phase::Executing { .. } if state.is_pure() => {
                    // Nothing in the log has opened it: its result is its only entry.
                    state.wake();
                    let cost = state.cost;
                    self.settle(Slot(slot), Err(timed_out()), cost);
                    fired = true;
                }
                Phase::Reconciling { .. } => {
                    state.wake();
                    self.reconciled(Slot(slot), Reconciled::Unknown);
                    fired = true;
                }
                Phase::Executing { try_no, .. } => {
                    let (usage, price) = self.book_given_up(slot, try_no);
                    let price = Some(price);
                    let state = &mut self.slots[slot];
                    state.phase = Phase::TimingOut;
                    state.wake();
                    let cause = UnknownCause::TimedOut;
                    self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price }));
                    fired = true;
                }
                _ => {}
            }
        }
        fired
    }
}

pub(super) fn timed_out() -> StepFailure {
    StepFailure { kind: StepFailureKind::TimedOut, message: "its deadline passed".to_owned() }
}

fn decided_so() -> StepFailure {
    StepFailure { kind: StepFailureKind::Decided, message: "it was decided to take it as failed".to_owned() }
}

fn is_text(payload: &Payload, text: &str) -> bool {
    matches!(payload, Payload::Inline(content) if content.bytes == text.as_bytes())
}
