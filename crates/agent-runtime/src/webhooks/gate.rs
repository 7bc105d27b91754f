//! Whether an endpoint is asked now: one that fails again and again is left alone, and then asked by one delivery. Pure.

use std::time::Duration;

use runtime_traits::UnixMillis;

use super::redelivery::{doubled, jitter};

/// After how many failures in a row an endpoint is left alone.
const PATIENCE: u32 = 3;
/// The longest time that it is left alone, unless it asks for more.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether an endpoint is asked now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gate {
    /// How often it failed in a row.
    failures: u32,
    /// Until when nothing is sent.
    until: UnixMillis,
}

impl Gate {
    /// How many deliveries may be under way, of `at_once`.
    pub(super) fn room(&self, at_once: usize, now: UnixMillis) -> usize {
        if now < self.until {
            0
        } else if self.rests() {
            1
        } else {
            at_once
        }
    }

    /// Whether it is left alone but for one delivery now and then.
    pub(super) fn rests(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// Until when nothing is sent.
    pub(super) fn until(&self, now: UnixMillis) -> Option<UnixMillis> {
        (now < self.until).then_some(self.until)
    }

    /// It answered as if all was well with it.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It failed, and perhaps asks to be left alone for a time.
    pub(super) fn failed(&mut self, first: Duration, wait: Option<Duration>, now: UnixMillis, chance: u64) {
        self.failures = self.failures.saturating_add(1);
        let mut pause = wait.unwrap_or_default();
        if self.rests() {
            let most = doubled(first, self.failures - PATIENCE).min(LONGEST);
            pause = pause.max(jitter(most, chance));
        }
        self.until = self.until.max(now.after(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_endpoint_that_fails_in_a_row_is_asked_by_one_delivery_after_pauses_that_grow() {
        let mut gate = Gate::default();
        let now = UnixMillis(5_000);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            gate.failed(SECOND, None, now, u64::MAX);
            pauses.push(gate.until(now).map_or(0, |until| until.since(now).as_millis()));
        }
        assert_eq!(pauses[..6], [0, 0, 999, 1_999, 3_999, 7_999]);
        assert_eq!(pauses[11], 59_999);
        assert_eq!(gate.room(4, now), 0);
        assert_eq!(gate.room(4, now.after(60 * SECOND)), 1);
        gate.answered();
        assert_eq!(gate.room(4, now), 4);
    }

    #[test]
    fn an_endpoint_that_asks_to_be_left_alone_is() {
        let mut gate = Gate::default();
        let now = UnixMillis(5_000);
        gate.failed(SECOND, Some(90 * SECOND), now, 0);
        assert_eq!(gate.room(4, now.after(89 * SECOND)), 0);
        assert_eq!(gate.room(4, now.after(90 * SECOND)), 4);
    }
}
