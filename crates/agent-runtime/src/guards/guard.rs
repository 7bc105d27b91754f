//! What guards one thing: a breaker, and the pace after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_health::{BreakerGuard, BreakerState, CallOutcome, Pace, Permit, Transition};
use runtime_traits::runtime::{BreakerPhase, BreakerStatus};
use runtime_traits::{Clock, Entropy, StepSort, UnixMillis};

use super::GuardRule;
use super::hearers::Hearers;

/// So many changes wait for somebody to tell them.
const UNTOLD: usize = 64;

/// What is guarded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct What {
    pub(super) sort: Sort,
    pub(super) name: String,
    /// Where it is.
    pub(super) at: Option<String>,
    /// Where the key is that its calls carry: shown to nobody.
    pub(super) key: Option<String>,
}

/// What sort of thing is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Model,
    Tool,
}

/// Guards one thing.
#[derive(Debug)]
pub(super) struct Guard {
    what: What,
    clock: Arc<dyn Clock>,
    breaker: BreakerGuard,
    turns: Arc<Turns>,
    hearers: Arc<Hearers>,
}

/// What follows from the changes of a breaker.
#[derive(Debug)]
struct Turns(Mutex<Turned>);

#[derive(Debug)]
struct Turned {
    pace: Pace,
    last: Option<Transition>,
    untold: VecDeque<Transition>,
}

/// That a call may be made. One that is dropped says nothing.
#[derive(Debug)]
#[must_use = "a call that may be made is settled"]
pub(super) struct Pass<'a> {
    guard: &'a Guard,
    permit: Permit,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Turned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, turned: Transition) {
        let mut all = self.lock();
        // What comes out of order is over.
        if all.last.is_some_and(|last| last.number > turned.number) {
            return;
        }
        match turned.to {
            BreakerState::Open { .. } => all.pace.opened(turned.at),
            BreakerState::Closed => all.pace.closed(turned.at),
            BreakerState::HalfOpen { .. } => {}
        }
        all.last = Some(turned);
        if all.untold.len() == UNTOLD {
            all.untold.pop_front();
        }
        all.untold.push_back(turned);
    }
}

impl Guard {
    pub(super) fn new(
        what: What,
        rule: GuardRule,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        hearers: Arc<Hearers>,
    ) -> Arc<Self> {
        let GuardRule { breaker, pace } = rule;
        let turned = Turned { pace: Pace::new(pace), last: None, untold: VecDeque::new() };
        let turns = Arc::new(Turns(Mutex::new(turned)));
        let told = {
            let (turns, what) = (Arc::clone(&turns), what.clone());
            move |turned: Transition| {
                let What { name, at, .. } = &what;
                tracing::warn!(name, at, number = turned.number, to = ?turned.to, "a circuit breaker changed");
                turns.take(turned);
            }
        };
        let breaker = BreakerGuard::with(
            breaker,
            Arc::clone(&clock),
            entropy,
            CallOutcome::Neutral,
            Some(Box::new(told)),
        );
        Arc::new(Self { what, clock, breaker, turns, hearers })
    }

    /// Asks to call; who may not is told when to come again, everybody another time.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Duration> {
        let entered = self.breaker.enter();
        let now = self.clock.now();
        let permit = match entered {
            Ok(permit) => permit,
            Err(tripped) => {
                return Err(self.turns.lock().pace.come_again(now.after(tripped.retry_after), now));
            }
        };
        // Calls that try it out are few, and held to no pace.
        if self.breaker.state() == BreakerState::Closed {
            self.turns.lock().pace.admit(now)?;
        }
        Ok(Pass { guard: self, permit })
    }

    /// How long calls are held off as of now.
    pub(super) fn held_off(&self) -> Option<Duration> {
        self.breaker.held_off()
    }

    /// Now, by the guard's clock.
    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Whether it would be as new if it were made anew.
    pub(super) fn rests(&self) -> bool {
        self.breaker.state() == BreakerState::Closed
    }

    /// Since when it stands as it does; `None`: it never changed.
    pub(super) fn since(&self) -> Option<UnixMillis> {
        self.turns.lock().last.map(|last| last.at)
    }

    pub(super) fn status(&self) -> BreakerStatus {
        let What { sort, name, at, .. } = self.what.clone();
        let since = self.since();
        let (state, until) = match self.breaker.state() {
            BreakerState::Closed => (BreakerPhase::Closed, None),
            BreakerState::Open { until } => (BreakerPhase::Open, Some(until)),
            BreakerState::HalfOpen { .. } => (BreakerPhase::HalfOpen, None),
        };
        BreakerStatus { sort: sort.into(), name, at, state, since, until }
    }

    /// Tells what changed to those who want to hear it. Nobody waits for it longer than a moment.
    pub(super) async fn tell(&self) {
        let untold = std::mem::take(&mut self.turns.lock().untold);
        if !untold.is_empty() {
            self.hearers.tell(&self.what, untold).await;
        }
    }
}

impl Pass<'_> {
    /// Tells how the call ended.
    pub(super) fn settle(self, outcome: CallOutcome) {
        self.guard.turns.lock().pace.ended(outcome, self.guard.clock.now());
        self.permit.settle(outcome);
    }
}

impl Sort {
    /// In a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tool => "tool",
        }
    }
}

impl From<Sort> for StepSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Model => Self::Model,
            Sort::Tool => Self::Tool,
        }
    }
}
