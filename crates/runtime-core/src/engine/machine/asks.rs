//! What the agent's futures call.

use std::task::{Context, Poll};
use std::time::Duration;

use runtime_traits::agent::{Ask, Facts, Given, SetStateError, Slot, StepError};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest};
use runtime_traits::log::{
    DecidedBy, EntryKind, Price, StateSet, StepFailure, StepKey, StepSettled, StepSort, StepUnknown,
    UnknownCause, Usage, WaitClosed, WaitId, WaitOpened,
};
use runtime_traits::name::Name;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::said::said_elsewhere;
use super::slot::{AskedStep, Phase, SlotState, What};
use super::{MAX_ENTRIES, Over, RunMachine, shortened};
use crate::engine::fork::drawn_by;
use crate::engine::spent::believable;

/// The most bytes of an input, a request, a value, a state or an output.
pub const MAX_CONTENT: usize = 16 * 1024 * 1024;

/// What is held for a call of a model whose step does not say what it takes at most: the least that one takes. So a limit that is
/// reached holds it up like any other.
const LEAST_OF_A_MODEL: Usage =
    Usage { input_tokens: 0, output_tokens: 1, model_calls: 1, tool_calls: 0, estimated_tokens: 1 };

/// The answer of a timer that ran out.
pub(super) const ELAPSED: &str = "elapsed";
/// The answer of a wait whose future was dropped.
pub(crate) const DROPPED: &str = "dropped";

impl RunMachine {
    /// What is fixed for the attempt.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Counts a use of `name` in `scope`.
    pub fn count(&mut self, scope: &[Name], name: &Name) -> u32 {
        let count = self.counts.entry((scope.to_vec(), name.clone())).or_insert(0);
        *count += 1;
        *count
    }

    /// Asks for a step.
    ///
    /// # Errors
    /// [`StepError::TooLarge`] when the request is.
    pub fn ask(&mut self, ask: Ask) -> Result<Slot, StepError> {
        let Ask { key, sort, effect, request, within, silence, reserves, model, .. } = ask;
        let (says, approval, reconciles, outside) = (ask.says, ask.approval, ask.reconciles, ask.outside);
        if request.bytes.len() > MAX_CONTENT {
            let len = request.bytes.len();
            return Err(StepError::TooLarge {
                step: key.to_string(),
                what: "request",
                len,
                limit: MAX_CONTENT,
            });
        }
        let digest = request.digest();
        let calls_model = outside.is_none() && (sort == StepSort::Model || model.is_some());
        let reserves = match believable(reserves) {
            none if none.is_none() && self.governed && calls_model => LEAST_OF_A_MODEL,
            said => said,
        };
        let mut recorded = self.recorded.get(&key).map(|recorded| recorded.differs(sort, effect, digest));
        if self.recorded_timers.contains_key(&key) {
            recorded = Some(Some("a step instead of a timer".to_owned()));
        }
        let request = if recorded.is_none() && (effect != runtime_traits::Effect::Pure || approval) {
            self.keep(&request)
        } else {
            runtime_traits::Payload::Inline(Content::text(""))
        };
        let phase = if recorded.is_some() { Phase::Recorded } else { Phase::Asked };
        if let Some(Some(difference)) = recorded {
            self.diverged(format!("step `{key}`"), format!("`{key}` with {difference}"));
        }
        let step = AskedStep {
            sort,
            effect,
            request,
            within,
            silence,
            asks: reserves,
            reserves,
            model,
            micros: None,
            says,
            approval,
            reconciles,
            outside,
        };
        Ok(self.put(SlotState::new(key, What::Step(Box::new(step)), digest, phase)))
    }

    /// Asks to be woken.
    pub fn ask_timer(&mut self, key: StepKey, after: Duration) -> Slot {
        let digest = Digest::of(&after.as_nanos().to_le_bytes());
        let mut phase = Phase::Asked;
        if let Some((wait, opened)) = self.recorded_timer(&key) {
            let wake_at = opened.wake_at.unwrap_or(self.now);
            phase = Phase::Running { wait, wake_at };
            if opened.digest != digest {
                self.diverged(format!("timer `{key}`"), format!("`{key}` with another time"));
            }
        } else if self.recorded.contains_key(&key) {
            self.diverged(format!("step `{key}`"), format!("`{key}` as a timer"));
        }
        self.put(SlotState::new(key, What::Timer { after }, digest, phase))
    }

    fn recorded_timer(&self, key: &StepKey) -> Option<(WaitId, &WaitOpened)> {
        let wait = *self.recorded_timers.get(key)?;
        match self.log.get(wait.0 as usize - 1).map(|entry| &entry.kind) {
            Some(EntryKind::WaitOpened(opened)) => Some((wait, opened)),
            _ => None,
        }
    }

    fn put(&mut self, slot: SlotState) -> Slot {
        self.touched = self.now;
        let at = self.slots.len();
        self.by_key.insert(slot.key.clone(), at);
        self.slots.push(slot);
        self.open.insert(at);
        Slot(at)
    }

    /// What there is for a step, in the order of the log.
    pub fn poll_step(&mut self, slot: Slot, cx: &mut Context<'_>) -> Poll<Given> {
        let (now, over) = (self.now, self.over != Over::No);
        let state = &mut self.slots[slot.0];
        if matches!(state.phase, Phase::Execute { .. } | Phase::Reconcile { .. } | Phase::Done(_)) {
            self.touched = now;
        }
        match state.phase {
            Phase::Execute { try_no } if !over => {
                let until = state.step().and_then(|step| step.within).map(|within| now.after(within));
                state.phase = Phase::Executing { try_no, until };
                state.begins_work(now);
                (state.used, state.cost) = Default::default();
                Poll::Ready(Given::Execute { try_no })
            }
            Phase::Reconcile { try_no } if !over => {
                let until = state.step().and_then(|step| step.within).map(|within| now.after(within));
                state.phase = Phase::Reconciling { until };
                state.begins_work(now);
                Poll::Ready(Given::Reconcile { try_no })
            }
            Phase::Done(_) => {
                let Phase::Done(given) = std::mem::replace(&mut state.phase, Phase::Gone) else {
                    return Poll::Pending;
                };
                self.open.remove(&slot.0);
                Poll::Ready(given)
            }
            _ => {
                state.wait_with(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Ready when the work of a step is no longer wanted.
    pub fn poll_given_up(&mut self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        let state = &mut self.slots[slot.0];
        if state.is_worked() {
            state.wait_with(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether a timer has run out, in the order of the log.
    pub fn poll_timer(&mut self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_step(slot, cx).map(|_| ())
    }

    /// Adds to what the dispatch under way used.
    pub fn used(&mut self, slot: Slot, usage: Usage) {
        let state = &mut self.slots[slot.0];
        if matches!(state.phase, Phase::Executing { .. }) {
            state.used = believable(state.used.plus(usage));
        }
    }

    /// What is held for the dispatch under way.
    pub fn reserved(&self, slot: Slot) -> Usage {
        self.slots[slot.0].step().map(|step| step.reserves).unwrap_or_default()
    }

    /// Records what a step's work came to, and what this try of it cost.
    pub fn settle(&mut self, slot: Slot, result: Result<Content, StepFailure>, cost: Price) {
        self.touched = self.now;
        let Phase::Executing { try_no, .. } = self.slots[slot.0].phase else {
            return;
        };
        if self.over != Over::No {
            return;
        }
        let result = match result {
            Ok(content) if content.bytes.len() > MAX_CONTENT => Err(StepFailure {
                kind: runtime_traits::log::StepFailureKind::Work,
                message: format!("its value has {} bytes; the limit is {MAX_CONTENT}", content.bytes.len()),
            }),
            Ok(content) => Ok(content),
            Err(StepFailure { kind, message }) => Err(StepFailure { kind, message: shortened(message) }),
        };
        let (result, messages) = match result {
            Ok(content) if self.slots[slot.0].step().is_some_and(|step| step.says) => {
                let sort = self.slots[slot.0].step().map(|step| step.sort);
                (Ok(said_elsewhere()), Some(self.say(sort, content)))
            }
            Ok(content) => (Ok(self.keep(&content)), None),
            Err(failure) => (Err(failure), None),
        };
        let usage = self.book(slot.0, self.slots[slot.0].used);
        let price = self.book_price(slot.0, cost);
        self.unheld_over(slot.0, try_no, self.slots[slot.0].used);
        self.slots[slot.0].phase = Phase::Settling;
        let settled = StepSettled {
            key: self.slots[slot.0].key.clone(),
            try_no,
            result,
            digest: self.slots[slot.0].digest,
            usage,
            price,
            messages,
        };
        self.append(EntryKind::StepSettled(settled));
    }

    /// The agent dropped a step or timer. If it is open, that is recorded before whatever comes next.
    pub fn give_up(&mut self, slot: Slot) {
        let at = slot.0;
        self.touched = self.now;
        self.open.remove(&at);
        let given_up = self.slots[at].given_up();
        let phase = std::mem::replace(&mut self.slots[at].phase, Phase::Gone);
        let unbegun = matches!(phase, Phase::Asked | Phase::Finding | Phase::Admitting { .. });
        self.slots[at].never_began = unbegun && !self.recorded.contains_key(&self.slots[at].key);
        if self.over != Over::No {
            return;
        }
        let open = self.recorded.get(&self.slots[at].key).filter(|recorded| !recorded.closed);
        match phase {
            Phase::Recorded
            | Phase::Again { .. }
            | Phase::Deciding
            | Phase::Waiting
            | Phase::Reconcile { .. }
            | Phase::Reconciling { .. }
            | Phase::Admitting { .. } => {
                if let Some(tries) = open.map(|recorded| recorded.tries) {
                    self.drop_step(at, tries, Default::default());
                }
            }
            Phase::Opening { try_no } | Phase::Execute { try_no } | Phase::Executing { try_no, .. }
                if !self.slots[at].is_pure() =>
            {
                self.call_over(at, try_no, given_up.0);
                self.drop_step(at, try_no, given_up);
            }
            // If the recorded log has the end of the wait, the replay comes to it.
            Phase::Running { wait, .. } if !self.closed_waits.contains(&wait) => {
                self.close(wait, DROPPED);
            }
            _ => {}
        }
    }

    fn drop_step(&mut self, slot: usize, try_no: u32, (used, cost): (Usage, Price)) {
        let price = Some(self.book_price(slot, cost));
        let usage = self.book(slot, used);
        let key = self.slots[slot].key.clone();
        let recorded = self.recorded.get_mut(&key);
        let deciding = recorded.and_then(|recorded| {
            recorded.closed = true;
            recorded.deciding.take().or(recorded.waiting.take())
        });
        // A run that was asked for is told.
        self.hurry |= deciding.is_some();
        let cause = UnknownCause::Dropped;
        self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price }));
        if let Some(wait) = deciding {
            self.close(wait, DROPPED);
        }
    }

    /// Adds what the last try of a step used to what those before it did, and to the run's sum. What all of them used.
    pub(super) fn book(&mut self, slot: usize, used: Usage) -> Usage {
        self.usage = self.usage.plus(used);
        match self.recorded.get_mut(&self.slots[slot].key) {
            Some(recorded) => {
                recorded.usage = recorded.usage.plus(used);
                recorded.usage
            }
            None => used,
        }
    }

    pub(super) fn close(&mut self, wait: WaitId, answer: &str) {
        let answer = runtime_traits::Payload::Inline(Content::text(answer));
        self.append(EntryKind::WaitClosed(WaitClosed { wait, by: DecidedBy::Policy, answer }));
    }

    /// The steps whose work is under way, in the order in which they were asked for.
    pub fn executing(&self) -> Vec<StepKey> {
        let slots = self.open.iter().map(|slot| &self.slots[*slot]);
        let busy =
            slots.filter(|slot| matches!(slot.phase, Phase::Executing { .. } | Phase::Reconciling { .. }));
        busy.map(|slot| slot.key.clone()).collect()
    }

    /// Whether somebody asked the run to end, or that is over.
    pub fn is_ending(&self) -> bool {
        self.over != Over::No || self.cancel_by.is_some()
    }

    /// Whether the run, or a step that is under way, has to be over by now.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        let steps = self.open.iter().map(|slot| &self.slots[*slot]).filter(|slot| slot.is_worked());
        let steps = steps.filter_map(SlotState::wake_at).filter(|_| self.is_live());
        steps.chain(self.deadline).chain(self.time_over).any(|by| by <= now)
    }

    /// Whether a run that was asked to end has used up its time to end by itself.
    pub fn is_cancel_due(&self, now: UnixMillis) -> bool {
        self.over == Over::No && self.cancel_by.is_some_and(|by| by <= now)
    }

    /// The time of the last entry that was given out.
    pub fn seen_at(&self) -> UnixMillis {
        self.seen_at
    }

    /// The next number of the stream of `scope`: fixed by the run, or the one that it is a copy of, the scope, and how
    /// many were drawn.
    pub fn random(&mut self, scope: &[Name]) -> u64 {
        let draw = self.draws.entry(scope.to_vec()).or_insert(0);
        *draw += 1;
        let mut of = drawn_by(self.facts.run, &self.log).to_string();
        for name in scope {
            of.push('/');
            of.push_str(name.as_str());
        }
        xxh3_64_with_seed(of.as_bytes(), *draw)
    }

    /// The session's state.
    pub fn state(&self) -> Option<Content> {
        self.state.clone()
    }

    /// Sets the session's state. In a replay the same value is set again, and nothing is appended.
    ///
    /// # Errors
    /// [`SetStateError::TooLarge`], in a replay as well: nothing is set or appended.
    pub fn set_state(&mut self, value: Content) -> Result<(), SetStateError> {
        let len = value.bytes.len();
        if len > MAX_CONTENT {
            return Err(SetStateError::TooLarge { len, limit: MAX_CONTENT });
        }
        self.touched = self.now;
        let digest = value.digest();
        let payload = self.keep(&value);
        self.state = Some(value);
        self.states_set += 1;
        match self.states_recorded.get(self.states_set - 1) {
            Some(recorded) if *recorded == digest => {}
            Some(_) => {
                self.diverged("the session's state set".to_owned(), "another state to be set".to_owned())
            }
            None if self.over != Over::No => {}
            None if self.log.len() >= MAX_ENTRIES => self.log_full(),
            None => {
                self.append(EntryKind::StateSet(StateSet { cell: String::new(), value: payload }));
            }
        }
        Ok(())
    }

    /// Ready when the log asks the run to end.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cancelled {
            return Poll::Ready(());
        }
        if !self.cancel_wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.cancel_wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
