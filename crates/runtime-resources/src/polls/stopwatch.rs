//! How long something takes.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Tells how much time has passed, finer than a [`Clock`](runtime_traits::Clock): polls take microseconds.
pub trait Stopwatch: fmt::Debug + Send + Sync + 'static {
    /// The time since some moment that stays the same; never less than before.
    fn now(&self) -> Duration;

    /// For how long a processor worked at this thread, since some moment.
    fn worked(&self) -> Duration;
}

/// The system's steady clock, and its count of what threads use.
#[derive(Clone, Copy, Debug)]
pub struct SystemStopwatch(Instant);

impl Default for SystemStopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "`Clock` counts milliseconds, and this is the one stopwatch"
    )]
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Stopwatch for SystemStopwatch {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn worked(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
    }
}
