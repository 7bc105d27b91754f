//! Giving out what the log says, in its order, and beginning what it does not hold yet.

use runtime_traits::agent::Given;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Effect, EntryKind, FailureKind, Outcome, RunFailure, StepDispatched, StepFailure, StepFailureKind,
    StepKey, StepOpened, StepUnknown, UnknownCause, Verdict, WaitId, WaitOn, WaitOpened,
};

use super::asks::{DROPPED, ELAPSED};
use super::slot::{Phase, What};
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
    /// Moves on after the agent paused: gives out the next result, or begins what the agent asked for.
    /// `true`: the agent has something to see, and is to be polled before the next turn.
    pub fn turn(&mut self, now: UnixMillis) -> bool {
        self.tick(now);
        if self.over != Over::No {
            return false;
        }
        self.give() || (self.is_live() && self.begin_asked())
    }

    /// Gives out entries up to and including the next that the agent sees.
    pub(super) fn give(&mut self) -> bool {
        let mut begun = false;
        while let Some(entry) = self.log.get(self.given) {
            if self.given >= self.durable && is_urgent(&entry.kind) {
                break;
            }
            let at = entry.at;
            let step = self.give_entry(self.given);
            if matches!(step, Step::NotYet) {
                break;
            }
            self.given += 1;
            self.seen_at = at;
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
            EntryKind::StepOpened(StepOpened { ref key, .. }) => match self.by_key.get(key) {
                Some(slot) if live => self.execute(*slot),
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
                let result = match &settled.result {
                    Ok(payload) => Ok(self.resolve(payload)),
                    Err(failure) => Err(failure.clone()),
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
                self.done(slot, Given::Result(Err(timed_out())))
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
                    Verdict::Repeat if live => {
                        let tries = self.tries(&decided.key.clone());
                        self.dispatch_again(slot, tries + 1);
                        Step::Passed
                    }
                    Verdict::Repeat => Step::Passed,
                }
            }
            EntryKind::StateSet(_) if live => Step::Passed,
            EntryKind::StateSet(_) if self.states_set > self.states_given => {
                self.states_given += 1;
                Step::Passed
            }
            EntryKind::StateSet(_) => Step::NotYet,
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
                Step::Seen
            }
            EntryKind::Accepted(_)
            | EntryKind::Started(_)
            | EntryKind::StepUnknown(_)
            | EntryKind::WaitOpened(_)
            | EntryKind::AttemptEnded(_)
            | EntryKind::Ended(_)
            | EntryKind::Unrecognised { .. } => Step::Passed,
        }
    }

    fn passes_when_gone(&self, slot: Option<usize>) -> Step {
        match slot.map(|slot| &self.slots[slot].phase) {
            Some(Phase::Gone) => Step::Passed,
            _ => Step::NotYet,
        }
    }

    fn execute(&mut self, slot: usize) -> Step {
        let state = &mut self.slots[slot];
        let Phase::Opening { try_no } = state.phase else {
            return Step::Passed;
        };
        state.phase = Phase::Execute { try_no };
        state.wake();
        Step::Begins
    }

    fn done(&mut self, slot: usize, given: Given) -> Step {
        let state = &mut self.slots[slot];
        if matches!(state.phase, Phase::Gone) {
            return Step::Passed;
        }
        state.phase = Phase::Done(given);
        state.wake();
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
                Phase::Recorded => self.begin_recorded(slot),
                Phase::Again { not_before } if not_before <= self.now && !self.paused => {
                    let tries = self.tries(&self.slots[slot].key.clone());
                    self.dispatch_again(slot, tries + 1);
                    false
                }
                _ => false,
            };
        }
        seen
    }

    fn begin_new(&mut self, slot: usize) -> bool {
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
            What::Step { .. } if self.cancelled => self.refuse(slot),
            What::Step { .. } if self.paused => false,
            What::Step { .. } if self.log.len() + ROOM_TO_END > MAX_ENTRIES => {
                let message = format!("the run's log is full: {MAX_ENTRIES} entries");
                self.give_up_steps(UnknownCause::Cancelled);
                self.end(Outcome::Failed(RunFailure { kind: FailureKind::LogFull, message }));
                false
            }
            What::Step { effect: Effect::Pure, .. } => {
                self.slots[slot].phase = Phase::Execute { try_no: 1 };
                self.slots[slot].wake();
                true
            }
            What::Step { sort, effect, request, .. } => {
                let (sort, effect, request) = (*sort, *effect, request.clone());
                self.slots[slot].phase = Phase::Opening { try_no: 1 };
                let opened = StepOpened { key, sort, effect, request, digest, reserved: 0, dispatched: true };
                self.append(EntryKind::StepOpened(opened));
                false
            }
        }
    }

    /// The log knows that the step began, and not how it ended: its effect rules.
    fn begin_recorded(&mut self, slot: usize) -> bool {
        let key = self.slots[slot].key.clone();
        let Some(recorded) = self.recorded.get(&key) else {
            return false;
        };
        if recorded.closed {
            return false;
        }
        if self.cancelled {
            return self.refuse(slot);
        }
        if self.paused {
            return false;
        }
        let (tries, repeat, deciding) = (recorded.tries, recorded.repeat, recorded.deciding);
        let (opened_at, dispatched_at) = (recorded.opened_at, recorded.dispatched_at);
        let may_repeat = match self.slots[slot].effect() {
            Some(Effect::Pure | Effect::Repeatable) => true,
            Some(Effect::Idempotent { window }) => self.now < opened_at.after(window),
            Some(Effect::AtMostOnce) | None => false,
        };
        if !repeat && !may_repeat {
            let wait = deciding.unwrap_or(WaitId(self.next_seq().0));
            let digest = self.slots[slot].digest;
            self.slots[slot].phase = Phase::Deciding { wait };
            if deciding.is_none() {
                let on = WaitOn::Decision(key);
                let opened = WaitOpened { wait, on, digest, wake_at: None, holds_session: true };
                self.append(EntryKind::WaitOpened(opened));
            }
            return false;
        }
        // An older dispatch of an idempotent step may still be under way until its deadline.
        let within = match self.slots[slot].what {
            What::Step { effect: Effect::Idempotent { .. }, within, .. } => within,
            _ => None,
        };
        match within.map(|within| dispatched_at.after(within)).filter(|end| *end > self.now) {
            Some(not_before) => self.slots[slot].phase = Phase::Again { not_before },
            None => self.dispatch_again(slot, tries + 1),
        }
        false
    }

    fn refuse(&mut self, slot: usize) -> bool {
        self.slots[slot].phase = Phase::Done(Given::Cancelled);
        self.slots[slot].wake();
        true
    }

    fn tries(&self, key: &StepKey) -> u32 {
        self.recorded.get(key).map_or(1, |recorded| recorded.tries)
    }

    fn dispatch_again(&mut self, slot: usize, try_no: u32) {
        let key = self.slots[slot].key.clone();
        self.slots[slot].phase = Phase::Opening { try_no };
        self.append(EntryKind::StepDispatched(StepDispatched { key, try_no }));
    }

    /// Lets timers run out and ends steps whose deadline has passed.
    pub(super) fn fire_timers(&mut self) {
        for slot in self.open.iter().copied().collect::<Vec<_>>() {
            let state = &mut self.slots[slot];
            if state.wake_at().is_none_or(|at| at > self.now) {
                continue;
            }
            match state.phase {
                Phase::Running { wait, .. } => {
                    state.phase = Phase::Fired;
                    self.close(wait, ELAPSED);
                }
                Phase::Executing { try_no, .. } => {
                    state.phase = Phase::TimingOut;
                    state.wake();
                    let key = state.key.clone();
                    let cause = UnknownCause::TimedOut;
                    self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause }));
                }
                _ => {}
            }
        }
    }
}

fn timed_out() -> StepFailure {
    StepFailure { kind: StepFailureKind::TimedOut, message: "its deadline passed".to_owned() }
}

fn decided_so() -> StepFailure {
    StepFailure { kind: StepFailureKind::Decided, message: "it was decided to take it as failed".to_owned() }
}

fn is_text(payload: &Payload, text: &str) -> bool {
    matches!(payload, Payload::Inline(content) if content.bytes == text.as_bytes())
}
