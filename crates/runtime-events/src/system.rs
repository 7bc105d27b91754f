//! Time and chance for a bus that is given none.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use runtime_traits::clock::{Clock, Entropy, UnixMillis};

/// The time of day at the bus's start, and a steady clock since.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
    at_start: UnixMillis,
}

/// The kernel's random numbers, some at a time: every event has an id.
#[derive(Default)]
pub(crate) struct SystemEntropy(Mutex<Vec<u8>>);

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a bus that is given no clock reads the system's")]
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), at_start: UnixMillis(0).after(since) }
    }
}

/// The time that passes, for leases: these run out whatever a clock shows.
#[expect(
    clippy::disallowed_methods,
    reason = "a lease is about the time that passes, also where a test stops the clock"
)]
pub(crate) fn steady_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        self.at_start.after(self.start.elapsed())
    }
}

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "a bus that is given no entropy draws the system's")]
    fn fill(&self, bytes: &mut [u8]) {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            *byte = drawn.pop().unwrap_or_else(|| {
                drawn.resize(1_024, 0);
                getrandom::fill(&mut drawn).expect("Linux gives random bytes once it has booted");
                drawn.pop().expect("1,024 were drawn")
            });
        }
    }
}

impl fmt::Debug for SystemEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemEntropy")
    }
}
