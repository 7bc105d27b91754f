//! The system's clock and entropy.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, Entropy, UnixMillis};

/// The time of day at the process's start, and a steady clock since: an operator who sets the clock back moves nothing.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    started_at: UnixMillis,
}

/// The kernel's random numbers, drawn a page at a time.
pub struct SystemEntropy {
    page: Mutex<Page>,
}

struct Page {
    bytes: [u8; 1024],
    left: usize,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is told to use")]
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self { started: Instant::now(), started_at }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        self.started_at.after(self.started.elapsed())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self { page: Mutex::new(Page { bytes: [0; 1024], left: 0 }) }
    }
}

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the entropy that everybody else is told to use")]
    fn fill(&self, bytes: &mut [u8]) {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if page.left == 0 {
                getrandom::fill(&mut page.bytes)
                    .expect("Linux has getrandom(2), which does not fail once it is seeded");
                page.left = page.bytes.len();
            }
            page.left -= 1;
            let at = page.left;
            // A number that was given out is not kept.
            *byte = std::mem::take(&mut page.bytes[at]);
        }
    }
}

impl fmt::Debug for SystemEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemEntropy")
    }
}
