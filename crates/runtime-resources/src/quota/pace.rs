//! How fast what a minute holds is spent.

use std::time::Duration;

use runtime_traits::UnixMillis;

const MINUTE: Duration = Duration::from_secs(60);
/// After a pause, what so much time brings may be spent at once: a sixth of a minute's.
const BURST: u64 = 10_000_000;

/// Spends a minute's limit evenly, and what was saved up to a sixth of it at once. (The generic cell rate algorithm, in microseconds.)
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When nothing is owed any more.
    clear: u64,
}

impl Pace {
    /// When so much may be spent: now, or when enough of what is owed is paid off. What is larger than a burst waits until nothing is
    /// owed.
    pub(super) fn ready(self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let earliest = self.clear.saturating_add(takes(amount, limit)).saturating_sub(BURST);
        now.max(UnixMillis(earliest.min(self.clear).div_ceil(1_000)))
    }

    /// When the last of so much is spent that is spent in pieces.
    pub(super) fn spent(self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let from = self.clear.max(now.0.saturating_mul(1_000));
        let spent = from.saturating_add(takes(amount, limit)).saturating_sub(BURST);
        now.max(UnixMillis(spent.div_ceil(1_000)))
    }

    pub(super) fn charge(&mut self, now: UnixMillis, amount: u64, limit: u64) {
        self.clear = self.clear.max(now.0.saturating_mul(1_000)).saturating_add(takes(amount, limit));
    }

    /// Nothing was saved until now.
    pub(super) fn save_nothing(&mut self, now: UnixMillis) {
        self.clear = self.clear.max(now.0.saturating_mul(1_000).saturating_add(BURST));
    }

    /// Whether nothing is owed.
    pub(super) fn is_clear(self, now: UnixMillis) -> bool {
        self.clear <= now.0.saturating_mul(1_000)
    }

    /// Less was spent than was charged.
    pub(super) fn refund(&mut self, amount: u64, limit: u64) {
        self.clear = self.clear.saturating_sub(takes(amount, limit));
    }
}

/// Microseconds that bring so much.
fn takes(amount: u64, limit: u64) -> u64 {
    let takes = u128::from(amount) * MINUTE.as_micros() / u128::from(limit.max(1));
    u64::try_from(takes).unwrap_or(u64::MAX)
}
