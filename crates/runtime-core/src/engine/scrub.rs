//! When the store is looked over for damage, and how fast. Pure.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;

/// Values that are read at one go, between two pauses.
pub const PAGE: u64 = 64;
/// How long a runtime is left in peace after its start.
const PEACE: Duration = Duration::from_secs(60 * 60);

/// How the store is looked over for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubRate {
    /// From the begin of one pass to that of the next.
    pub every: Duration,
    /// How many pages of 64 values are read in a second, at most.
    pub pages_per_second: u32,
}

impl Default for ScrubRate {
    /// One pass a day, at 20 pages a second: more than a hundred million values.
    fn default() -> Self {
        Self { every: Duration::from_secs(24 * 60 * 60), pages_per_second: 20 }
    }
}

impl ScrubRate {
    /// When the first pass of a process begins that began at `since`.
    pub fn first(&self, since: UnixMillis) -> UnixMillis {
        since.after(self.every.min(PEACE))
    }

    /// When the pass after one begins that began at `began` and is over now: never at once, so that a store for which a
    /// period is too short is left in peace too.
    pub fn following(&self, began: UnixMillis, now: UnixMillis) -> UnixMillis {
        began.after(self.every).max(now.after(self.every.min(PEACE)))
    }

    fn page_takes(&self) -> Duration {
        Duration::from_secs(1) / self.pages_per_second.max(1)
    }
}

/// What was read since the last pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpaid {
    values: u64,
}

impl Unpaid {
    /// How long to pause after so many more values; `None`: not yet.
    pub fn read(&mut self, values: u64, rate: &ScrubRate) -> Option<Duration> {
        self.values = self.values.saturating_add(values);
        let pages = self.values / PAGE;
        self.values %= PAGE;
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        (pages > 0).then(|| rate.page_takes().saturating_mul(pages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: ScrubRate = ScrubRate { every: Duration::from_secs(24 * 60 * 60), pages_per_second: 10 };

    fn hours(hours: u64) -> UnixMillis {
        UnixMillis(hours * 60 * 60 * 1_000)
    }

    #[test]
    fn a_pass_begins_an_hour_after_the_start_and_then_once_a_day() {
        assert_eq!(RATE.first(hours(5)), hours(6));
        assert_eq!(RATE.following(hours(6), hours(8)), hours(30));
        // One that takes longer than a day is followed by a pause.
        assert_eq!(RATE.following(hours(6), hours(40)), hours(41));
        let often = ScrubRate { every: Duration::from_secs(60), ..RATE };
        assert_eq!(often.first(hours(5)), UnixMillis(hours(5).0 + 60_000));
    }

    #[test]
    fn reading_costs_the_same_in_large_and_in_small_pieces() {
        let mut unpaid = Unpaid::default();
        let small: Duration = (0..640).filter_map(|_| unpaid.read(1, &RATE)).sum();
        assert_eq!(small, Duration::from_secs(1));
        assert_eq!(Unpaid::default().read(640, &RATE), Some(Duration::from_secs(1)));
        assert_eq!(Unpaid::default().read(63, &RATE), None);
    }

    #[test]
    fn a_rate_of_nothing_is_the_slowest_there_is() {
        let rate = ScrubRate { pages_per_second: 0, ..RATE };
        assert_eq!(Unpaid::default().read(PAGE, &rate), Some(Duration::from_secs(1)));
    }
}
