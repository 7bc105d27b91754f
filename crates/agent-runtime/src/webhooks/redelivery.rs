//! How often and when a delivery is tried. Pure.

use std::time::Duration;

use runtime_traits::UnixMillis;

/// How often and when a delivery is tried.
///
/// The pause after a failure is drawn between nothing and a longest one that doubles with each try: deliveries that failed
/// together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// How often it is tried before it is a dead letter: at least once.
    pub attempts: u32,
    /// The longest pause after the first failure.
    pub first: Duration,
    /// The longest pause of all.
    pub longest: Duration,
    /// After how long it is a dead letter, however often it was tried.
    pub give_up_after: Duration,
}

impl Redelivery {
    /// The pause after the failure of a try, 1, 2, 3, …, drawn by `chance`.
    pub(super) fn pause(&self, tried: u32, chance: u64) -> Duration {
        jitter(doubled(self.first, tried.saturating_sub(1)).min(self.longest), chance)
    }

    /// When a delivery is tried again that failed for the `tried`-th time, and that was first to be tried `since`. Not before the
    /// other side wants it, which may ask it to `wait`. `None`: not at all.
    pub(super) fn again(
        &self,
        tried: u32,
        since: UnixMillis,
        now: UnixMillis,
        wait: Option<Duration>,
        chance: u64,
    ) -> Option<UnixMillis> {
        let at = now.after(self.pause(tried, chance).max(wait.unwrap_or_default()));
        (tried < self.attempts && at < self.end(since)).then_some(at)
    }

    /// When a delivery is given up.
    pub(super) fn end(&self, since: UnixMillis) -> UnixMillis {
        since.after(self.give_up_after)
    }
}

impl Default for Redelivery {
    /// 20 tries in 24 h, with pauses of at most 5 s at first and 2 h in the end.
    fn default() -> Self {
        Self {
            attempts: 20,
            first: Duration::from_secs(5),
            longest: Duration::from_secs(2 * 60 * 60),
            give_up_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// A time, doubled so often.
pub(super) fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

/// A time from nothing up to `most`, by a number of which every value is as likely.
pub(super) fn jitter(most: Duration, chance: u64) -> Duration {
    let most = u128::from(u64::try_from(most.as_millis()).unwrap_or(u64::MAX));
    let drawn = (most * u128::from(chance)) >> u64::BITS;
    Duration::from_millis(u64::try_from(drawn).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS_MOST: u64 = u64::MAX;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_in_full() {
        let redelivery = Redelivery::default();
        let most = |tried| redelivery.pause(tried, ALWAYS_MOST).as_millis();
        assert_eq!([1, 2, 3].map(most), [4_999, 9_999, 19_999]);
        assert_eq!([11, 12, 40, u32::MAX].map(most), [5_119_999, 7_199_999, 7_199_999, 7_199_999]);
        assert_eq!(redelivery.pause(7, 0), Duration::ZERO);
        let half = redelivery.pause(3, u64::MAX / 2).as_millis();
        assert!((9_998..=10_000).contains(&half), "{half}");
    }

    #[test]
    fn a_delivery_is_given_up_after_its_tries_or_its_time_and_never_before_the_wait_that_was_asked_for() {
        let redelivery = Redelivery::default();
        let (since, hour) = (UnixMillis(1_000), Duration::from_secs(3_600));
        let again = |tried, after, wait| redelivery.again(tried, since, since.after(after), wait, 0);
        assert_eq!(again(1, Duration::ZERO, None), Some(since));
        assert_eq!(again(1, hour, Some(hour)), Some(since.after(2 * hour)));
        assert_eq!(again(19, hour, None), Some(since.after(hour)));
        assert_eq!(again(20, hour, None), None);
        assert_eq!(again(1, 24 * hour, None), None);
        assert_eq!(again(1, hour, Some(23 * hour)), None, "it would be past its time");
    }
}
