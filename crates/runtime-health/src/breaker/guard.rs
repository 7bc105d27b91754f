//! A breaker that several callers share.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime_traits::{Clock, Entropy};
use thiserror::Error;

use super::{Breaker, BreakerRule, BreakerState, CallOutcome, Ticket, Transition, Tripped};

/// A [`Breaker`] that callers share. A cheap handle: clones share the breaker.
///
/// A call that is dropped before it ended counts as the guard's `dropped` says; it never keeps its place.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use runtime_health::{BreakerGuard, BreakerRule, CallOutcome, Guarded};
/// # use runtime_testkit::fakes::{ManualClock, SeededEntropy};
/// # let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(1)));
/// # runtime_testkit::block_on(async {
/// let guard = BreakerGuard::new(BreakerRule::default(), clock, entropy);
/// let judge = |answer: &Result<u16, std::io::Error>| match answer {
///     Ok(500..) | Err(_) => CallOutcome::Failed,
///     Ok(400..) => CallOutcome::Neutral,
///     Ok(_) => CallOutcome::Worked,
/// };
/// let answer = guard.call(judge, async || Ok(200)).await;
/// assert!(matches!(answer, Ok(200)));
/// # });
/// ```
#[derive(Clone)]
pub struct BreakerGuard {
    shared: Arc<Shared>,
}

struct Shared {
    breaker: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    dropped: CallOutcome,
    told: Option<Box<dyn Fn(Transition) + Send + Sync>>,
}

/// That a call is under way. It counts when it is settled or dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once is no call"]
pub struct Permit {
    guard: BreakerGuard,
    /// There until it is settled.
    ticket: Option<Ticket>,
}

/// Why a guarded call gave no value.
#[derive(Debug, Error)]
pub enum Guarded<E: std::error::Error + 'static> {
    /// It was not made.
    #[error(transparent)]
    Tripped(Tripped),
    /// It was made, and failed.
    #[error(transparent)]
    Failed(E),
}

impl BreakerGuard {
    /// A closed breaker whose dropped calls say nothing.
    pub fn new(rule: BreakerRule, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self::with(rule, clock, entropy, CallOutcome::Neutral, None)
    }

    /// A closed breaker: as what a dropped call counts, and who is told of transitions.
    ///
    /// `told` is called by whoever made the call, outside of the breaker's lock; two that come close together may come out of
    /// order, their numbers tell.
    pub fn with(
        rule: BreakerRule,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        dropped: CallOutcome,
        told: Option<Box<dyn Fn(Transition) + Send + Sync>>,
    ) -> Self {
        let breaker = Mutex::new(Breaker::new(rule));
        Self { shared: Arc::new(Shared { breaker, clock, entropy, dropped, told }) }
    }

    /// How the breaker stands.
    pub fn state(&self) -> BreakerState {
        self.with_breaker(|breaker| breaker.state())
    }

    /// When it may be worth asking again, as of now: see [`Breaker::held_off`].
    pub fn held_off(&self) -> Option<Duration> {
        let now = self.shared.clock.now();
        self.with_breaker(|breaker| breaker.held_off(now))
    }

    /// Asks to call.
    ///
    /// # Errors
    /// [`Tripped`] when calls are held off.
    pub fn enter(&self) -> Result<Permit, Tripped> {
        let now = self.shared.clock.now();
        let (ticket, turned) = self.with_breaker(|breaker| breaker.admit(now))?;
        // From here on the ticket comes back, also if whoever is told panics.
        let permit = Permit { guard: self.clone(), ticket: Some(ticket) };
        self.tell(turned);
        Ok(permit)
    }

    /// Makes a call, if calls are not held off; `judge` says what its answer says about the thing that was called.
    ///
    /// # Errors
    /// [`Guarded`] when the call was not made, or when it failed.
    pub async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> CallOutcome,
        call: impl FnOnce() -> F,
    ) -> Result<T, Guarded<E>>
    where
        E: std::error::Error + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let permit = self.enter().map_err(Guarded::Tripped)?;
        let answer = call().await;
        permit.settle(judge(&answer));
        answer.map_err(Guarded::Failed)
    }

    fn with_breaker<T>(&self, act: impl FnOnce(&mut Breaker) -> T) -> T {
        // A breaker never panics between two of its changes.
        act(&mut self.shared.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, turned: Option<Transition>) {
        if let (Some(turned), Some(told)) = (turned, &self.shared.told) {
            told(turned);
        }
    }
}

impl Permit {
    /// Tells how the call ended.
    pub fn settle(mut self, outcome: CallOutcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: CallOutcome) {
        let Some(ticket) = self.ticket.take() else { return };
        let shared = &self.guard.shared;
        let now = shared.clock.now();
        let turned =
            self.guard.with_breaker(|breaker| breaker.settle(ticket, outcome, now, &*shared.entropy));
        self.guard.tell(turned);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count(self.guard.shared.dropped);
    }
}

impl fmt::Debug for BreakerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerGuard").field("state", &self.state()).finish_non_exhaustive()
    }
}
