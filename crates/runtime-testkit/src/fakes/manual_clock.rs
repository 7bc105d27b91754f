//! Time that stands still until a test moves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime_traits::clock::{Clock, UnixMillis};

/// A [`Clock`] that a test moves.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use runtime_testkit::fakes::ManualClock;
/// use runtime_traits::clock::{Clock, UnixMillis};
///
/// let clock = ManualClock::at(UnixMillis(1_000));
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now(), UnixMillis(3_000));
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub const fn at(now: UnixMillis) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Moves the clock; a part of a millisecond is lost.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(by));
        // The function always answers, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// Moves the clock to `then`, unless it is past that: a clock never goes backwards.
    pub fn advance_to(&self, then: UnixMillis) {
        self.0.fetch_max(then.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A clock that shows 2027-01-15T08:00:00Z, so that no test gets used to zero.
    fn default() -> Self {
        Self::at(UnixMillis(1_800_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}
