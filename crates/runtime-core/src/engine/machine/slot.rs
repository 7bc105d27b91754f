//! What the agent asked for in this attempt, and what the log already knows of it.

use std::task::Waker;
use std::time::Duration;

use runtime_traits::agent::{Given, Outside};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::log::{
    Effect, Price, StepDispatched, StepKey, StepOpened, StepSort, StepUnknown, Usage, WaitId,
};
use runtime_traits::model::CalledModel;

use super::again::Between;

/// A step or timer that the agent asked for in this attempt.
#[derive(Debug)]
pub(super) struct SlotState {
    pub(super) key: StepKey,
    pub(super) what: What,
    pub(super) digest: Digest,
    pub(super) phase: Phase,
    /// When its work gave its last sign of life.
    pub(super) moved_at: UnixMillis,
    /// Whether it gave one since it was dispatched.
    pub(super) heard: bool,
    /// What the dispatch under way used so far.
    pub(super) used: Usage,
    /// What that cost, as far as anybody knows.
    pub(super) cost: Price,
    pub(super) between: Between,
    /// It was dropped before anything of it began.
    pub(super) never_began: bool,
    /// What calls used and cost that broke off, of which the log does not tell yet.
    pub(super) unsaid: (Usage, Price),
    waker: Option<Waker>,
    /// Wakes the work that asks to make its call once more.
    again: Option<Waker>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) enum What {
    Step(Box<AskedStep>),
    Timer { after: Duration },
}

/// A step that was asked for.
#[derive(Debug)]
pub(super) struct AskedStep {
    pub(super) sort: StepSort,
    pub(super) effect: Effect,
    pub(super) request: Payload,
    pub(super) within: Option<Duration>,
    pub(super) silence: Option<Duration>,
    /// What a call of it takes at most, as the agent says; `reserves` is what is held for it.
    pub(super) asks: Usage,
    pub(super) reserves: Usage,
    pub(super) model: Option<CalledModel>,
    /// What `reserves` costs.
    pub(super) micros: Option<u64>,
    pub(super) says: bool,
    pub(super) approval: bool,
    pub(super) reconciles: bool,
    pub(super) outside: Option<Outside>,
}

/// Where it is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not in the log: begins when the attempt is live.
    Asked,
    /// In the log from an earlier attempt: what the log says of it comes.
    Recorded,
    /// It is being found out which agent it calls.
    Finding,
    /// It waits to be let through under limits; a wait that is in the log may let its run park.
    Admitting { try_no: u32, wait: Option<WaitId>, parks: bool },
    /// Somebody outside has to answer or consent, or another run to end.
    Waiting,
    /// The other side may be asked what became of a dispatch.
    Reconcile { try_no: u32 },
    /// The other side is asked.
    Reconciling { until: Option<UnixMillis> },
    /// Its dispatch is appended, and begins when that is committed.
    Opening { try_no: u32 },
    /// Its next dispatch has to wait until the older one can no longer be under way.
    Again { not_before: UnixMillis },
    /// The agent may do it.
    Execute { try_no: u32 },
    /// The agent does it.
    Executing { try_no: u32, until: Option<UnixMillis> },
    /// Its result is appended.
    Settling,
    /// Its deadline has passed, which is appended.
    TimingOut,
    /// A person has to say what becomes of it.
    Deciding,
    /// The timer runs.
    Running { wait: WaitId, wake_at: UnixMillis },
    /// The timer has run out, which is appended.
    Fired,
    /// The agent may take this.
    Done(Given),
    /// Nothing more comes: taken, dropped, or given up.
    Gone,
}

/// What the log of earlier attempts knows of a step.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) digest: Digest,
    /// Sort and effect; a pure step has only its result in the log.
    pub(super) opened: Option<(StepSort, Effect)>,
    pub(super) opened_at: UnixMillis,
    pub(super) dispatched_at: UnixMillis,
    pub(super) tries: u32,
    /// What its tries used that are over.
    pub(super) usage: Usage,
    /// What that cost.
    pub(super) price: Price,
    /// What is held for a try, in tokens and in money.
    pub(super) reserves: (Usage, u64),
    /// It has an end in the log: a result, a verdict that stands for one, a time-out, or it was dropped.
    pub(super) closed: bool,
    /// A verdict says that it is dispatched again.
    pub(super) repeat: bool,
    /// The open wait for a verdict.
    pub(super) deciding: Option<WaitId>,
    /// The open wait for an answer, for consent, or for another run.
    pub(super) waiting: Option<WaitId>,
    /// The other side was asked, and could not say.
    pub(super) reconciled: bool,
}

impl SlotState {
    pub(super) fn new(key: StepKey, what: What, digest: Digest, phase: Phase) -> Self {
        Self {
            key,
            what,
            digest,
            phase,
            moved_at: UnixMillis(0),
            heard: false,
            used: Usage::default(),
            cost: Price::default(),
            between: Between::No,
            never_began: false,
            unsaid: Default::default(),
            waker: None,
            again: None,
        }
    }

    /// Its work begins.
    pub(super) fn begins_work(&mut self, now: UnixMillis) {
        (self.moved_at, self.heard) = (now, false);
    }

    pub(super) fn wait_with(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// The work may be polled by somebody else than whoever polls the step.
    pub(super) fn again_with(&mut self, waker: &Waker) {
        if !self.again.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.again = Some(waker.clone());
        }
    }

    pub(super) fn wake(&mut self) {
        self.waker.take().into_iter().chain(self.again.take()).for_each(Waker::wake);
    }

    /// Whether its work is with the agent: nobody has given it up.
    pub(super) fn is_worked(&self) -> bool {
        match self.phase {
            Phase::Executing { .. } | Phase::Reconciling { .. } => true,
            Phase::Recorded | Phase::Admitting { .. } | Phase::Opening { .. } | Phase::Execute { .. } => {
                self.between.asks_after().is_some()
            }
            _ => false,
        }
    }

    pub(super) fn step(&self) -> Option<&AskedStep> {
        if let What::Step(step) = &self.what { Some(step) } else { None }
    }

    pub(super) fn step_mut(&mut self) -> Option<&mut AskedStep> {
        if let What::Step(step) = &mut self.what { Some(step) } else { None }
    }

    /// Whether it is a step that has begun in this attempt.
    pub(super) fn has_begun(&self) -> bool {
        let waits = matches!(self.phase, Phase::Asked | Phase::Recorded);
        !waits && !self.never_began && self.step().is_some()
    }

    pub(super) fn effect(&self) -> Option<Effect> {
        self.step().map(|step| step.effect)
    }

    /// Whether its result is its only entry.
    pub(super) fn is_pure(&self) -> bool {
        self.step().is_some_and(|step| step.effect == Effect::Pure && !step.approval)
    }

    /// Whether it waits for what ends a wait in the log.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(
            self.phase,
            Phase::Deciding
                | Phase::Waiting
                | Phase::Running { .. }
                | Phase::Admitting { wait: Some(_), parks: true, .. }
        )
    }

    /// Whether it waits to be let through.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Admitting { .. })
    }

    /// Whether it has not begun, or not again, so that a pause holds it.
    pub(super) fn is_to_begin(&self) -> bool {
        matches!(self.phase, Phase::Asked | Phase::Recorded | Phase::Again { .. } | Phase::Admitting { .. })
    }

    /// The try that is on its way out or under way, if it is recorded as such.
    pub(super) fn dispatched_try(&self) -> Option<u32> {
        match self.phase {
            Phase::Opening { try_no } | Phase::Execute { try_no } | Phase::Executing { try_no, .. }
                if !self.is_pure() =>
            {
                Some(try_no)
            }
            // What the last try used is not in the log yet.
            Phase::Recorded | Phase::Admitting { .. } => self.between.asks_after(),
            _ => None,
        }
    }

    /// What is booked for a dispatch that is given up, and what that costs: what it reported, and what is held for what it did not.
    pub(super) fn given_up(&self) -> (Usage, Price) {
        match (&self.phase, self.step()) {
            (Phase::Executing { .. }, _) if self.between.is_idle() => (self.used, self.cost),
            (Phase::Executing { .. }, Some(step)) => {
                let held = Price { micros: step.micros, wasted_micros: 0 };
                (self.used.plus(step.reserves), self.cost.plus(held))
            }
            // It has not begun.
            _ => Default::default(),
        }
    }

    /// When time moves it.
    pub(super) fn wake_at(&self) -> Option<UnixMillis> {
        match self.phase {
            Phase::Executing { until, .. } | Phase::Reconciling { until } => until,
            Phase::Running { wake_at, .. } => Some(wake_at),
            Phase::Again { not_before } => Some(not_before),
            _ => None,
        }
    }
}

impl Recorded {
    pub(super) fn opened(opened: &StepOpened, at: UnixMillis) -> Self {
        Self {
            opened: Some((opened.sort, opened.effect)),
            tries: u32::from(opened.dispatched),
            closed: false,
            reserves: (opened.reserved_usage, opened.reserved),
            ..Self::pure(opened.digest, at)
        }
    }

    /// It is dispatched for the how-many-eth time. What it waited for before the first one does not count.
    pub(super) fn dispatched(&mut self, try_no: u32, at: UnixMillis) {
        if self.tries == 0 {
            self.opened_at = at;
        }
        self.tries = try_no;
        self.dispatched_at = at;
    }

    /// The log says what all its tries used so far.
    pub(super) fn book(&mut self, run: &mut Usage, usage: Usage) {
        *run = run.minus(self.usage).plus(usage);
        self.usage = usage;
    }

    /// The log has its result, and what all its tries used and cost.
    pub(super) fn end(&mut self, run: &mut Usage, cost: &mut Price, usage: Usage, price: Price) {
        self.book(run, usage);
        *cost = cost.minus(self.price).plus(price);
        self.price = price;
        self.closed = true;
    }

    /// The log says what a call used and cost that broke off before this one.
    pub(super) fn broke_off(&mut self, run: &mut Usage, cost: &mut Price, dispatched: &StepDispatched) {
        self.book(run, self.usage.plus(dispatched.broke_off));
        *cost = cost.plus(dispatched.broke_off_price);
        self.price = self.price.plus(dispatched.broke_off_price);
    }

    /// The log says that nobody knows how a try ended, and what all tries used and cost; if it does not say that, the last one cost what
    /// was held for it, if it took tokens.
    pub(super) fn unknown(&mut self, run: &mut Usage, cost: &mut Price, unknown: &StepUnknown) {
        let price = unknown.price.unwrap_or_else(|| {
            let took = unknown.usage.tokens() != self.usage.tokens();
            let micros = Some(self.reserves.1).filter(|held| *held > 0 && took);
            self.price.plus(Price { micros, wasted_micros: 0 })
        });
        *cost = cost.minus(self.price).plus(price);
        self.price = price;
        self.book(run, unknown.usage);
    }

    pub(super) fn pure(digest: Digest, at: UnixMillis) -> Self {
        Self {
            digest,
            opened: None,
            opened_at: at,
            dispatched_at: at,
            tries: 1,
            usage: Usage::default(),
            price: Price::default(),
            reserves: (Usage::default(), 0),
            closed: true,
            repeat: false,
            deciding: None,
            waiting: None,
            reconciled: false,
        }
    }

    /// Why a step that was asked for now cannot be the recorded one, if it cannot.
    pub(super) fn differs(&self, sort: StepSort, effect: Effect, digest: Digest) -> Option<String> {
        if self.digest != digest {
            return Some("another request".to_owned());
        }
        match self.opened {
            None if effect != Effect::Pure => Some(format!("the effect {effect:?} instead of Pure")),
            Some((recorded, _)) if recorded != sort => {
                Some(format!("the sort {sort:?} instead of {recorded:?}"))
            }
            Some((_, recorded)) if recorded != effect => {
                Some(format!("the effect {effect:?} instead of {recorded:?}"))
            }
            _ => None,
        }
    }
}
