//! Where an attempt stands, since when, and what is done when that is too long.

use std::time::Duration;

use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    Effect, EntryKind, StepFailure, StepFailureKind, StepSettled, StepSort, StepUnknown, UnknownCause,
};
use runtime_traits::recovery::{Phase as At, StallBounds, Stands};
use runtime_traits::tool::Reconciled;

use super::give::timed_out;
use super::slot::{Phase, SlotState};
use super::{Over, RunMachine, is_urgent};

/// What keeps an agent's own code from moving that is nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    No,
    /// It waits to be worked.
    Outside,
    /// It used up its share of a processor: nothing of it is polled.
    Held {
        /// Since when.
        since: UnixMillis,
    },
    /// A thread works for it.
    Busy,
}

/// Something stands still for too long, or will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which step; `None`: the agent's own code.
    pub slot: Option<Slot>,
    /// At what it stands.
    pub phase: At,
    /// Since when.
    pub since: UnixMillis,
    /// How long it may.
    pub bound: Duration,
    /// How long it may by what it declares itself.
    pub declared: Duration,
}

impl Stall {
    /// When that is too long.
    pub fn until(&self) -> UnixMillis {
        self.since.after(self.bound)
    }

    /// In words.
    pub fn says(&self) -> String {
        let seconds = self.bound.as_secs_f64();
        match self.phase {
            At::FirstByte => format!("it stalled: the model sent nothing for {seconds} s (first byte)"),
            At::BetweenTokens => {
                format!("it stalled: the model sent nothing more for {seconds} s (between tokens)")
            }
            At::Tool => format!("it stalled: it gave no sign of life for {seconds} s (tool)"),
            At::Step | At::Queued | At::Wait => format!(
                "it stalled: the agent's own code waited {seconds} s for nothing that the runtime knows of (step)"
            ),
        }
    }
}

impl SlotState {
    /// At what its work stands, if it is under way and a call of it is.
    fn stands(&self, bounds: &StallBounds) -> Option<(At, Duration, Duration)> {
        let is_under_way = match self.phase {
            Phase::Executing { .. } => !self.between.is_idle(),
            Phase::Reconciling { .. } => true,
            _ => false,
        };
        let step = self.step().filter(|_| is_under_way)?;
        let calls_model = step.sort == StepSort::Model && !matches!(self.phase, Phase::Reconciling { .. });
        let at = match (calls_model, self.heard) {
            (true, false) => At::FirstByte,
            (true, true) => At::BetweenTokens,
            (false, _) => At::Tool,
        };
        let declared = step.silence.or(step.within).unwrap_or_default();
        bounds.of(at).map(|bound| (at, bound.max(declared), declared))
    }
}

impl RunMachine {
    /// Tells what keeps the agent's own code from moving. How long nothing of it was polled is no time of its own.
    pub fn is_kept(&mut self, kept: Kept, now: UnixMillis) {
        match (self.kept, kept) {
            (Kept::Held { .. }, Kept::Held { .. }) => return,
            (Kept::Held { since }, _) => self.was_held(now.since(since), now),
            _ => {}
        }
        self.kept = kept;
    }

    fn was_held(&mut self, lasted: Duration, now: UnixMillis) {
        let later = |then: UnixMillis| then.after(lasted).min(now).max(then);
        self.touched = later(self.touched);
        for slot in &self.open {
            self.slots[*slot].moved_at = later(self.slots[*slot].moved_at);
        }
    }

    /// Sets how long it may stand still.
    pub fn bound(&mut self, bounds: StallBounds) {
        self.bounds = bounds;
    }

    /// A step's work, or the agent's own code, gives a sign of life.
    pub fn moves(&mut self, slot: Option<Slot>, now: UnixMillis) {
        match slot.map(|slot| &mut self.slots[slot.0]) {
            Some(state) => (state.moved_at, state.heard) = (now.max(state.moved_at), true),
            None => self.touched = now.max(self.touched),
        }
    }

    /// What comes to be too long first, as it stands now.
    pub fn stalls(&self) -> Option<Stall> {
        let is_held = matches!(self.kept, Kept::Held { .. });
        if self.over != Over::No || self.cancel_by.is_some() || !self.is_live() || is_held {
            return None;
        }
        let of_step = |slot: &usize| {
            let state = &self.slots[*slot];
            let (phase, bound, declared) = state.stands(&self.bounds)?;
            Some(Stall { slot: Some(Slot(*slot)), phase, since: state.moved_at, bound, declared })
        };
        let own = self.bounds.of(At::Step).filter(|_| self.kept == Kept::No && self.is_its_turn());
        let (phase, since, declared) = (At::Step, self.touched, Duration::ZERO);
        let own = own.map(|bound| Stall { slot: None, phase, since, bound, declared });
        self.open.iter().filter_map(of_step).chain(own).min_by_key(Stall::until)
    }

    /// Where it stands, for people and checks.
    pub fn stands(&self) -> Stands {
        if let Some(stall) = self.stalls() {
            let declared_ms = u64::try_from(stall.declared.as_millis()).unwrap_or(u64::MAX);
            return Stands {
                phase: stall.phase,
                since: stall.since,
                until: Some(stall.until()),
                declared_ms,
            };
        }
        let phase = match self.kept {
            Kept::Outside => At::Queued,
            Kept::Held { .. } | Kept::Busy => At::Step,
            Kept::No => At::Wait,
        };
        Stands { phase, since: self.touched, until: None, declared_ms: 0 }
    }

    /// Whether nothing moves before the agent's own code does.
    fn is_its_turn(&self) -> bool {
        let is_its = |slot: &usize| {
            matches!(
                self.slots[*slot].phase,
                Phase::Done(_) | Phase::Execute { .. } | Phase::Reconcile { .. }
            )
        };
        self.sent == self.durable
            && !self.log[self.sent..].iter().any(|entry| is_urgent(&entry.kind))
            && self.open.iter().all(is_its)
            && !self.waits_for_cancel()
    }

    /// Whether all it waits for is somebody who asks it to end.
    fn waits_for_cancel(&self) -> bool {
        self.open.is_empty() && !self.cancel_wakers.is_empty()
    }

    /// Whether an attempt that ends now costs none of the other steps under way: each may be done once more.
    pub fn others_may_repeat(&self, stalled: Option<Slot>) -> bool {
        let others = self.open.iter().filter(|slot| Some(Slot(**slot)) != stalled);
        others
            .map(|slot| &self.slots[*slot])
            .filter(|state| state.dispatched_try().is_some())
            .all(|state| matches!(state.effect(), Some(Effect::Pure | Effect::Repeatable)))
    }

    /// Gives a stalled step up: its agent is told that it failed, and how long it had stood.
    pub fn give_up_stalled(&mut self, stall: &Stall) {
        let Some(Slot(at)) = stall.slot else { return };
        let failure = StepFailure { kind: StepFailureKind::TimedOut, message: stall.says() };
        match self.slots[at].phase {
            Phase::Reconciling { .. } => {
                self.slots[at].wake();
                self.reconciled(Slot(at), Reconciled::Unknown);
            }
            Phase::Executing { .. } if self.slots[at].is_pure() => {
                self.slots[at].wake();
                let cost = self.slots[at].cost;
                self.settle(Slot(at), Err(failure), cost);
            }
            Phase::Executing { try_no, .. } => {
                let (usage, price) = self.book_given_up(at, try_no);
                let state = &mut self.slots[at];
                let (key, digest) = (state.key.clone(), state.digest);
                let may_repeat = state.effect() == Some(Effect::Repeatable);
                state.phase = if may_repeat { Phase::Settling } else { Phase::TimingOut };
                state.wake();
                self.append(if may_repeat {
                    let (result, messages) = (Err(failure), None);
                    EntryKind::StepSettled(StepSettled {
                        key,
                        try_no,
                        result,
                        digest,
                        usage,
                        price,
                        messages,
                    })
                } else {
                    // Nobody knows whether it took effect: the log says so.
                    let (cause, price) = (UnknownCause::TimedOut, Some(price));
                    EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price })
                });
            }
            _ => {}
        }
    }

    /// Why the log gives a step up at this entry: its deadline passed, or it stalled before that. A replay comes to the same words.
    pub(super) fn why_given_up(&self, entry: usize) -> StepFailure {
        let (at, EntryKind::StepUnknown(unknown)) = (self.log[entry].at, &self.log[entry].kind) else {
            return timed_out();
        };
        let dispatched = self.log[..entry].iter().rev().find(|entry| match &entry.kind {
            EntryKind::StepOpened(opened) => opened.dispatched && opened.key == unknown.key,
            EntryKind::StepDispatched(dispatched) => dispatched.key == unknown.key,
            _ => false,
        });
        let within = self.by_key.get(&unknown.key).and_then(|slot| self.slots[*slot].step()?.within);
        let (Some(dispatched), false) =
            (dispatched, within.is_some_and(|within| dispatched.is_some_and(|d| at >= d.at.after(within))))
        else {
            return timed_out();
        };
        let seconds = at.since(dispatched.at).as_secs_f64();
        let message = format!(
            "it stalled, and was given up {seconds} s after it was sent: nobody knows whether it took effect (tool)"
        );
        StepFailure { kind: StepFailureKind::TimedOut, message }
    }
}
