//! Steps that wait for somebody outside: for an answer, for consent, for another run; and effects whose other side is
//! asked what became of them.

use runtime_traits::agent::{CallRequest, Outside, Slot};
use runtime_traits::content::Content;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{
    DecidedBy, EntryKind, StepDecided, StepFailure, StepFailureKind, StepKey, StepOpened, StepSettled, Usage,
    Verdict, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::runtime::Reply;
use runtime_traits::tool::Reconciled;

use super::admit::DONE;
use super::slot::{Phase, Recorded};
use super::{Over, RunMachine};
use crate::engine::answer::{Unanswered, answer};

/// A run that a step asks another agent for.
#[derive(Clone, Debug)]
pub struct Calling {
    /// The step.
    pub step: StepKey,
    /// The agent.
    pub agent: AgentId,
    /// The run's id.
    pub run: RunId,
    /// What is asked.
    pub request: CallRequest,
}

/// The value of a step that was done from outside.
pub fn given(content: Content) -> Content {
    Content::json(&content).expect("texts, JSON and bytes can be written as JSON")
}

impl RunMachine {
    /// Which step a slot is of.
    pub fn key(&self, slot: Slot) -> &StepKey {
        &self.slots[slot.0].key
    }

    /// The agents that steps call and that are to be looked up, each once.
    pub fn take_seeking(&mut self) -> Vec<(Slot, CallRequest)> {
        let seeking = std::mem::take(&mut self.seeking);
        let request = |slot: usize| match self.slots[slot].step().and_then(|step| step.outside.as_ref()) {
            Some(Outside::Call(request)) => Some((Slot(slot), CallRequest::clone(request))),
            _ => None,
        };
        seeking.into_iter().filter_map(request).collect()
    }

    /// The called agent was found, and the run got an id; or there is none, for this reason.
    pub fn placed(&mut self, slot: Slot, found: Result<(AgentId, RunId), String>) {
        if self.over != Over::No || !matches!(self.slots[slot.0].phase, Phase::Finding) {
            return;
        }
        if self.is_held() || self.cancel_by.is_some() {
            self.slots[slot.0].phase = Phase::Asked;
            return;
        }
        let Some(Outside::Call(request)) = self.slots[slot.0].step().and_then(|step| step.outside.clone())
        else {
            return;
        };
        let step = self.slots[slot.0].key.clone();
        match found {
            Ok((agent, run)) => {
                self.keep(&request.input);
                self.calling.push(Calling { step: step.clone(), agent, run, request: *request });
                self.open_wait(slot.0, WaitOn::Child { step, run });
            }
            Err(message) => {
                self.open_step(slot.0, false);
                let failure = StepFailure { kind: StepFailureKind::Work, message };
                self.settle_outside(slot.0, Err(failure), Usage::default());
            }
        }
    }

    /// Takes what somebody says to a step that waits for it.
    ///
    /// # Errors
    /// [`Unanswered`]; then nothing is recorded.
    pub fn answer(&mut self, key: &StepKey, by: DecidedBy, reply: Reply) -> Result<(), Unanswered> {
        if self.over != Over::No {
            return Err(Unanswered::Nothing);
        }
        let wait = self.recorded.get(key).and_then(|recorded| recorded.waiting);
        let opened = wait.and_then(|wait| self.opened_wait(wait)).ok_or(Unanswered::Nothing)?;
        let (closed, result) = answer(opened, by, reply)?;
        self.end_wait(key);
        self.append(EntryKind::WaitClosed(closed));
        if let Some(result) = result {
            self.settle_by_key(key, result, Usage::default());
        }
        Ok(())
    }

    /// The run that a step waits for is over, or its last successor. `false`: the step waits for none, or no longer.
    pub fn child_over(&mut self, key: &StepKey, result: Result<Content, StepFailure>, usage: Usage) -> bool {
        let wait = self.recorded.get(key).and_then(|recorded| recorded.waiting);
        let opened = wait.and_then(|wait| self.opened_wait(wait));
        let waits = matches!(opened, Some(WaitOpened { on: WaitOn::Child { .. }, .. }));
        let Some(wait) = wait.filter(|_| waits && self.over == Over::No) else {
            return false;
        };
        self.end_wait(key);
        self.close(wait, OVER);
        self.settle_by_key(key, result.map(given), usage);
        true
    }

    pub(super) fn opened_wait(&self, wait: WaitId) -> Option<&WaitOpened> {
        match self.log.get(wait.0 as usize - 1).map(|entry| &entry.kind) {
            Some(EntryKind::WaitOpened(opened)) => Some(opened),
            _ => None,
        }
    }

    /// The wait of a step is over: what comes of it comes in the order of the log.
    fn end_wait(&mut self, key: &StepKey) {
        if let Some(recorded) = self.recorded.get_mut(key) {
            recorded.waiting = None;
        }
        if let Some(slot) = self.by_key.get(key) {
            self.slots[*slot].phase = Phase::Recorded;
        }
    }

    /// Reports what the other side said of a dispatch whose end nobody knew.
    pub fn reconciled(&mut self, slot: Slot, what: Reconciled<Content>) {
        if self.over != Over::No || !matches!(self.slots[slot.0].phase, Phase::Reconciling { .. }) {
            return;
        }
        let (key, digest) = (self.slots[slot.0].key.clone(), self.slots[slot.0].digest);
        self.slots[slot.0].phase = Phase::Recorded;
        let verdict = match what {
            Reconciled::Done(value) => Some(Verdict::Assume(self.keep(&value))),
            Reconciled::NotDone => Some(Verdict::Repeat),
            Reconciled::Unknown => None,
        };
        let mut room = None;
        if let Some(recorded) = self.recorded.get_mut(&key) {
            recorded.reconciled = true;
            recorded.repeat = verdict == Some(Verdict::Repeat);
            recorded.closed |= matches!(verdict, Some(Verdict::Assume(_)));
            room = recorded.waiting.filter(|_| recorded.closed);
        }
        // It waited for room for a further call, and needs none.
        self.end_room_wait(slot.0, room, DONE);
        if let Some(verdict) = verdict {
            let by = DecidedBy::Reconcile;
            self.append(EntryKind::StepDecided(StepDecided { key, by, verdict, digest }));
        }
    }

    /// Records that a step was asked for.
    pub(super) fn open_step(&mut self, slot: usize, dispatched: bool) {
        let state = &self.slots[slot];
        let Some(step) = state.step() else { return };
        let opened = StepOpened {
            key: state.key.clone(),
            sort: step.sort,
            effect: step.effect,
            request: step.request.clone(),
            digest: state.digest,
            reserved: step.micros.unwrap_or(0),
            reserved_usage: step.reserves,
            dispatched,
        };
        if !dispatched {
            self.recorded.insert(opened.key.clone(), Recorded::opened(&opened, self.now));
        }
        self.append(EntryKind::StepOpened(opened));
    }

    /// Records that a step was asked for, and what it waits for.
    pub(super) fn open_wait(&mut self, slot: usize, on: WaitOn) {
        self.open_step(slot, false);
        let wait = WaitId(self.next_seq().0);
        let state = &mut self.slots[slot];
        state.phase = Phase::Waiting;
        let (digest, key) = (state.digest, state.key.clone());
        if let Some(recorded) = self.recorded.get_mut(&key) {
            recorded.waiting = Some(wait);
        }
        self.append(EntryKind::WaitOpened(WaitOpened {
            wait,
            on,
            digest,
            wake_at: None,
            holds_session: true,
        }));
    }

    /// Records the result of a step that the agent did not do itself.
    pub(super) fn settle_outside(&mut self, slot: usize, result: Result<Content, StepFailure>, usage: Usage) {
        let key = self.slots[slot].key.clone();
        self.settle_by_key(&key, result, usage);
    }

    pub(super) fn settle_by_key(
        &mut self,
        key: &StepKey,
        result: Result<Content, StepFailure>,
        usage: Usage,
    ) {
        let result = result.map(|content| self.keep(&content));
        let Some(recorded) = self.recorded.get_mut(key) else { return };
        recorded.closed = true;
        recorded.usage = recorded.usage.plus(usage);
        let (digest, try_no, all, price) = (recorded.digest, recorded.tries, recorded.usage, recorded.price);
        if let Some(slot) = self.by_key.get(key) {
            self.slots[*slot].phase = Phase::Settling;
        }
        self.usage = self.usage.plus(usage);
        let (messages, key) = (None, key.clone());
        self.append(EntryKind::StepSettled(StepSettled {
            key,
            try_no,
            result,
            digest,
            usage: all,
            price,
            messages,
        }));
    }
}

/// The answer of a wait for another run that is over.
pub(crate) const OVER: &str = "over";
