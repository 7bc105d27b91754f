//! A circuit breaker: after failures nobody calls for a while, then a few try whether it works again.

mod guard;
mod pace;
mod recent;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::{Entropy, UnixMillis};
use thiserror::Error;

use crate::backoff::Backoff;
pub use guard::{BreakerGuard, Guarded, Permit};
pub use pace::{Pace, PaceRule};
use recent::Recent;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// How far back calls count. It moves in tenths of itself.
    pub window: Duration,
    /// So many failures within the window open it …
    pub failures: NonZeroU32,
    /// … if they are at least so many of a hundred calls within the window.
    pub percent: u8,
    /// So many failures open it, too, if none of the calls between them worked. `None`: failures are counted in hundredths only.
    pub in_a_row: Option<NonZeroU32>,
    /// So many calls at once try whether it works again, and so many must have worked to close it.
    pub probes: NonZeroU32,
    /// How long it stays open, by how often it opened in a row.
    pub pause: Backoff,
}

/// What a call says about the thing that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It works.
    Worked,
    /// It does not work.
    Failed,
    /// Nothing: the call was given up, or refused for what the caller had asked.
    Neutral,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No call goes through before `until`.
    Open {
        /// When the first call may try again.
        until: UnixMillis,
    },
    /// A few calls try whether it works again.
    HalfOpen {
        /// How many of them are under way.
        under_way: u32,
        /// How many of them have worked.
        worked: u32,
    },
}

/// That a breaker changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// 1 for a breaker's first, and so on: whoever is told of two out of order can tell.
    pub number: u64,
    /// How it stood.
    pub from: BreakerState,
    /// How it stands.
    pub to: BreakerState,
    /// When it changed.
    pub at: UnixMillis,
}

/// That a call may be made. [`Breaker::settle`] takes it back; one that never comes back keeps its place among the probes.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that was let through is settled"]
pub struct Ticket {
    /// The transitions there had been: what is settled later than the next one says nothing any more.
    era: u64,
}

/// A call that was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it failed too often of late: try again in {} ms", .retry_after.as_millis())]
pub struct Tripped {
    /// When it may be worth asking again; while the calls that try it out are under way, as [`Breaker::held_off`] says.
    pub retry_after: Duration,
}

/// A circuit breaker as a plain value: it reads no clock and draws no chance, it is told.
///
/// # Examples
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
///
/// use runtime_health::{Backoff, Breaker, BreakerRule, BreakerState, CallOutcome};
/// use runtime_traits::{Entropy, UnixMillis};
///
/// # #[derive(Debug)]
/// # struct Zeros;
/// # impl Entropy for Zeros { fn fill(&self, bytes: &mut [u8]) { bytes.fill(0) } }
/// # let entropy = Zeros;
/// let rule = BreakerRule {
///     failures: NonZeroU32::MIN,
///     probes: NonZeroU32::MIN,
///     pause: Backoff { base: Duration::from_secs(10), max: Duration::from_secs(60) },
///     ..BreakerRule::default()
/// };
/// let mut breaker = Breaker::new(rule);
/// let now = UnixMillis(1_800_000_000_000);
///
/// let (call, _) = breaker.admit(now)?;
/// let turned = breaker.settle(call, CallOutcome::Failed, now, &entropy).expect("one failure is enough");
/// assert!(matches!(turned.to, BreakerState::Open { .. }));
/// assert!(breaker.admit(now.after(Duration::from_secs(4))).is_err());
///
/// let later = now.after(Duration::from_secs(10));
/// let (probe, _) = breaker.admit(later)?;
/// assert!(breaker.admit(later).is_err(), "one is enough to try");
/// breaker.settle(probe, CallOutcome::Worked, later, &entropy);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), runtime_health::Tripped>(())
/// ```
#[derive(Clone, Debug)]
pub struct Breaker {
    rule: BreakerRule,
    state: BreakerState,
    recent: Recent,
    /// How many calls failed since one worked.
    row: u32,
    /// How often it opened since it was last closed.
    opened: u32,
    era: u64,
    /// When it changed last.
    turned: UnixMillis,
}

impl Default for BreakerRule {
    /// Opens after 5 failures within 30 s that are half of the calls; 2 calls try it out, after 5 s at first and 2 min at most.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            failures: NonZeroU32::MIN.saturating_add(4),
            percent: 50,
            in_a_row: None,
            probes: NonZeroU32::MIN.saturating_add(1),
            pause: Backoff { base: Duration::from_secs(5), max: Duration::from_secs(120) },
        }
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(rule: BreakerRule) -> Self {
        let recent = Recent::new(rule.window);
        Self { rule, state: BreakerState::Closed, recent, row: 0, opened: 0, era: 0, turned: UnixMillis(0) }
    }

    /// How it stands.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// When it may be worth asking again, as of now; `None` while it is closed.
    ///
    /// While a few calls try it out that is the shortest pause, or as long as they try already, up to the longest pause: who waits
    /// for a call that hangs asks seldom.
    pub fn held_off(&self, now: UnixMillis) -> Option<Duration> {
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Open { until } => Some(until.since(now)),
            BreakerState::HalfOpen { .. } => {
                let Backoff { base, max } = self.rule.pause;
                Some((base / 2).max(now.since(self.turned)).min(max))
            }
        }
    }

    /// Asks to call, and says whether that changed how it stands.
    ///
    /// # Errors
    /// [`Tripped`] while it is open, and while as many calls as may try it out are under way.
    pub fn admit(&mut self, now: UnixMillis) -> Result<(Ticket, Option<Transition>), Tripped> {
        let mut turned = None;
        match self.state {
            BreakerState::Closed => {}
            BreakerState::Open { until } if now < until => {
                return Err(Tripped { retry_after: until.since(now) });
            }
            BreakerState::Open { .. } => {
                turned = Some(self.turn(BreakerState::HalfOpen { under_way: 1, worked: 0 }, now));
            }
            BreakerState::HalfOpen { under_way, worked } => {
                // Calls that would not be needed if those under way work are not made.
                if under_way + worked >= self.rule.probes.get() {
                    return Err(Tripped { retry_after: self.held_off(now).unwrap_or_default() });
                }
                self.state = BreakerState::HalfOpen { under_way: under_way + 1, worked };
            }
        }
        Ok((Ticket { era: self.era }, turned))
    }

    /// Tells how a call ended, and says whether that changed how it stands.
    ///
    /// A call that was let through before the last change says nothing any more.
    pub fn settle(
        &mut self,
        ticket: Ticket,
        outcome: CallOutcome,
        now: UnixMillis,
        entropy: &dyn Entropy,
    ) -> Option<Transition> {
        if ticket.era != self.era {
            return None;
        }
        match self.state {
            BreakerState::Closed => {
                self.recent.count(outcome, now);
                let (failed, all) = self.recent.counts(now);
                let is_enough = failed >= u64::from(self.rule.failures.get());
                let is_share = failed * 100 >= all * u64::from(self.rule.percent);
                self.row = match outcome {
                    CallOutcome::Failed => self.row.saturating_add(1),
                    CallOutcome::Worked => 0,
                    CallOutcome::Neutral => self.row,
                };
                let is_row = self.rule.in_a_row.is_some_and(|most| self.row >= most.get());
                let trips = outcome == CallOutcome::Failed && (is_enough && is_share || is_row);
                trips.then(|| self.open(now, entropy))
            }
            BreakerState::HalfOpen { under_way, worked } => {
                let under_way = under_way.saturating_sub(1);
                match outcome {
                    CallOutcome::Failed => Some(self.open(now, entropy)),
                    CallOutcome::Worked if worked + 1 >= self.rule.probes.get() => {
                        self.opened = 0;
                        self.recent = Recent::new(self.rule.window);
                        Some(self.turn(BreakerState::Closed, now))
                    }
                    CallOutcome::Worked => {
                        self.state = BreakerState::HalfOpen { under_way, worked: worked + 1 };
                        None
                    }
                    CallOutcome::Neutral => {
                        self.state = BreakerState::HalfOpen { under_way, worked };
                        None
                    }
                }
            }
            // Nothing is let through while it is open, so no ticket is of this era.
            BreakerState::Open { .. } => None,
        }
    }

    fn open(&mut self, now: UnixMillis, entropy: &dyn Entropy) -> Transition {
        let until = now.after(self.rule.pause.draw_long(self.opened, entropy));
        self.opened = self.opened.saturating_add(1);
        self.row = 0;
        self.turn(BreakerState::Open { until }, now)
    }

    fn turn(&mut self, to: BreakerState, at: UnixMillis) -> Transition {
        self.era += 1;
        self.turned = at;
        let from = std::mem::replace(&mut self.state, to);
        Transition { number: self.era, from, to, at }
    }
}
