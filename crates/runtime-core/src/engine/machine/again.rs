//! A call that broke off inside a step: what it took is known, and the next one asks to be let through like the first.

use std::task::{Context, Poll};

use runtime_traits::agent::Slot;
use runtime_traits::log::{EntryKind, Price, StepUnknown, UnknownCause, Usage};
use runtime_traits::model::Repeat;
use runtime_traits::resource::Refused;

use super::slot::{Phase, Recorded};
use super::{MAX_ENTRIES, Over, ROOM_TO_END, RunMachine};

/// Whether a call of a step's work is under way; the work itself is with the agent all the while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Between {
    /// One is, or the step has no work under way.
    #[default]
    No,
    /// The last one broke off.
    Calls {
        /// Which try it was.
        tried: u32,
    },
    /// The next one asks to be let through.
    Asking {
        /// Which try the last one was.
        tried: u32,
    },
    /// It is not: this is the answer.
    Answered {
        /// Which try the last one was.
        tried: u32,
        /// What its work is told.
        repeat: Repeat,
    },
}

impl Between {
    /// Whether no call of the work is under way, though the work is.
    pub(super) fn is_idle(&self) -> bool {
        *self != Self::No
    }

    /// The try that broke off before the one that asks.
    pub(super) fn asks_after(&self) -> Option<u32> {
        if let Self::Asking { tried } = self { Some(*tried) } else { None }
    }
}

impl RunMachine {
    /// The call under way came to nothing, and cost this. What it used was told before.
    pub fn broke_off(&mut self, slot: Slot, cost: Price) {
        let at = slot.0;
        let Phase::Executing { try_no, .. } = self.slots[at].phase else { return };
        if self.over != Over::No || self.slots[at].is_pure() || self.slots[at].between.is_idle() {
            return;
        }
        self.know(at, try_no);
        let used = std::mem::take(&mut self.slots[at].used);
        self.slots[at].cost = Price::default();
        self.book(at, used);
        self.book_price(at, cost);
        self.unheld_over(at, try_no, used);
        let unsaid = self.slots[at].unsaid;
        self.slots[at].unsaid = (unsaid.0.plus(used), unsaid.1.plus(cost));
        self.slots[at].between = Between::Calls { tried: try_no };
    }

    /// Keeps of a step that this attempt opened what is kept of those of earlier ones.
    fn know(&mut self, slot: usize, try_no: u32) {
        let key = self.slots[slot].key.clone();
        if self.recorded.contains_key(&key) {
            return;
        }
        let opened = self.log.iter().rev().find_map(|entry| match &entry.kind {
            EntryKind::StepOpened(opened) if opened.key == key => Some(Recorded::opened(opened, entry.at)),
            _ => None,
        });
        if let Some(mut recorded) = opened {
            recorded.tries = try_no;
            self.recorded.insert(key, recorded);
        }
    }

    /// Whether the work of a step asks to make its call once more.
    pub fn asks_again(&self, slot: Slot) -> bool {
        self.slots[slot.0].between.asks_after().is_some()
    }

    /// Whether the work of a step may make its call once more.
    pub fn poll_again(&mut self, slot: Slot, cx: &mut Context<'_>) -> Poll<Repeat> {
        if self.over != Over::No {
            return Poll::Ready(Repeat::Ends);
        }
        let (now, state) = (self.now, &mut self.slots[slot.0]);
        match (&state.between, &state.phase) {
            (Between::No, _) => return Poll::Ready(Repeat::Go),
            (Between::Answered { tried, repeat }, _) => {
                let (tried, repeat) = (*tried, repeat.clone());
                state.between = Between::Calls { tried };
                return Poll::Ready(repeat);
            }
            (Between::Asking { .. }, Phase::Execute { try_no }) => {
                let try_no = *try_no;
                let until = state.step().and_then(|step| step.within).map(|within| now.after(within));
                state.phase = Phase::Executing { try_no, until };
                state.begins_work(now);
                state.between = Between::No;
                return Poll::Ready(Repeat::Go);
            }
            (Between::Calls { tried }, Phase::Executing { .. }) => {
                state.between = Between::Asking { tried: *tried };
                state.phase = Phase::Recorded;
            }
            _ => {}
        }
        state.again_with(cx.waker());
        Poll::Pending
    }

    /// Lets the next call of a step's work ask, unless nothing may begin now.
    pub(super) fn begin_again(&mut self, slot: usize, tried: u32) {
        if self.is_held() || self.cancel_by.is_some() {
            return;
        }
        if self.log.len() + ROOM_TO_END > MAX_ENTRIES {
            return self.log_full();
        }
        if self.has_to_be_admitted(slot) {
            let waits = self.recorded.get(&self.slots[slot].key).and_then(|recorded| recorded.waiting);
            self.ask_to_be_admitted(slot, tried + 1, waits);
        } else {
            self.dispatch_again(slot);
        }
    }

    /// The next call of a step's work is not made: its work is told, and says what the step came to. `false`: none asks.
    pub(super) fn not_again(&mut self, slot: usize, repeat: Repeat) -> bool {
        let state = &mut self.slots[slot];
        let Some(tried) = state.between.asks_after() else { return false };
        state.phase = Phase::Executing { try_no: tried, until: None };
        state.between = Between::Answered { tried, repeat };
        state.wake();
        true
    }

    /// The run is to end: no further call is made. `true`: some work is told so.
    pub(super) fn call_nobody_again(&mut self) -> bool {
        let asks = |slot: &usize| {
            let state = &self.slots[*slot];
            let begins = matches!(state.phase, Phase::Recorded | Phase::Admitting { .. });
            state.between.asks_after().is_some() && begins
        };
        let asking: Vec<usize> = self.open.iter().copied().filter(asks).collect();
        for slot in &asking {
            let waits = self.recorded.get(&self.slots[*slot].key).and_then(|recorded| recorded.waiting);
            self.end_room_wait(*slot, waits, super::asks::DROPPED);
            self.not_again(*slot, Repeat::Ends);
        }
        !asking.is_empty()
    }

    /// A step whose last call broke off waits for room from here on: nothing of it is under way, and the log says so.
    pub(super) fn says_broke_off(&mut self, slot: usize) {
        let Some(try_no) = self.slots[slot].between.asks_after() else { return };
        let usage = self.book(slot, Usage::default());
        let price = Some(self.book_price(slot, Price::default()));
        self.slots[slot].unsaid = Default::default();
        let (key, cause) = (self.slots[slot].key.clone(), UnknownCause::Crash);
        self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price }));
    }

    /// The same, as the work of the step is told that a limit is in its way.
    pub(super) fn refused_again(&mut self, slot: usize, refused: &Refused) -> bool {
        self.not_again(slot, Repeat::Refused(refused.clone()))
    }
}
