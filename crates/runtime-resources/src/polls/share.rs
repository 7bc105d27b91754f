//! Whose turn comes later.

use std::time::Duration;

use runtime_traits::UnixMillis;

use crate::window::Window;

/// Over what a share is counted.
const SPAN: Duration = Duration::from_secs(60);

/// What an agent took of the processors in the last minute, and when it may go on.
///
/// An agent that took no more than its share may go on at once. From there on each poll is paid for by a pause, so long that
/// poll and pause together have the share: whoever stays above its share is polled in proportion to it, and is never stopped. A
/// pause ends at the latest when enough has gone out of the last minute. All runs of an agent pause together.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Microseconds, at milliseconds.
    used: Window,
    percent: Option<u32>,
    not_before: Duration,
}

impl Share {
    pub(super) fn new(percent: Option<u32>) -> Self {
        Self { used: Window::new(SPAN), percent, not_before: Duration::ZERO }
    }

    /// From now on it has this share; what it took stays taken.
    pub(super) fn limit(&mut self, percent: Option<u32>) {
        (self.percent, self.not_before) = (percent, Duration::ZERO);
    }

    /// It was at work from `began` on, for `took`.
    pub(super) fn charge(&mut self, began: Duration, took: Duration) {
        let now = moment(began.saturating_add(took));
        self.used.charge(now, micros(took));
        let Some(percent) = self.percent.filter(|percent| *percent > 0) else { return };
        let may = micros(SPAN) / 100 * u64::from(percent);
        if self.used.used(now) <= may {
            return;
        }
        let paid = self.not_before.max(began).saturating_add(took.saturating_mul(100) / percent);
        let enough_has_gone = Duration::from_millis(self.used.falls_to(now, may).0);
        self.not_before = paid.min(enough_has_gone);
    }

    /// When its next poll may be.
    pub(super) fn not_before(&self) -> Duration {
        self.not_before
    }

    /// What it took in the last minute.
    pub(super) fn used(&mut self, now: Duration) -> Duration {
        Duration::from_micros(self.used.used(moment(now)))
    }
}

/// The share of one processor that so much in the last minute is, in percent, to a hundredth.
pub(super) fn percent(used: Duration) -> f64 {
    (used.as_secs_f64() / SPAN.as_secs_f64() * 10_000.0).round() / 100.0
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn moment(time: Duration) -> UnixMillis {
    UnixMillis(0).after(time)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::proptest;

    use super::{Duration, SPAN, Share, percent};

    const MILLI: Duration = Duration::from_millis(1);

    /// Polls one after the other, each for so many milliseconds and as early as it may be. When each began, and how long it took.
    fn polled(limit: u32, lengths: impl IntoIterator<Item = u64>) -> Vec<(Duration, Duration)> {
        let (mut share, mut now, mut polls) = (Share::new(Some(limit)), SPAN, Vec::new());
        for length in lengths {
            now = now.max(share.not_before());
            let took = MILLI * u32::try_from(length).unwrap();
            share.charge(now, took);
            polls.push((now, took));
            now += took;
        }
        polls
    }

    proptest! {
        #[test]
        fn from_when_it_is_above_its_share_an_agent_gets_no_more_than_that_and_not_much_less(
            limit in 1..100_u32,
            lengths in vec(1..400_u64, 2_000),
        ) {
            let polls = polled(limit, lengths);
            let may = SPAN * limit / 100;
            let (mut sum, mut first) = (Duration::ZERO, None);
            for (at, (_, took)) in polls.iter().enumerate() {
                sum += *took;
                if sum > may && first.is_none() {
                    first = Some(at + 1);
                }
            }
            let Some(first) = first.filter(|first| *first + 1 < polls.len()) else { return Ok(()) };
            let (from, until) = (polls[first].0, polls[polls.len() - 1].0);
            let taken: Duration = polls[first..polls.len() - 1].iter().map(|(_, took)| *took).sum();
            let share = taken.as_secs_f64() / (until - from).as_secs_f64() * 100.0;
            // When enough has gone out of the minute it need not pause, so that over a long time it is as its share says.
            let most = f64::from(limit) * (1.0 + SPAN.as_secs_f64() / (until - from).as_secs_f64());
            assert!(share <= most + 1.0, "{share} of {limit}");
            assert!(share >= f64::from(limit) * 0.95, "{share} of {limit}");
        }

        #[test]
        fn no_pause_is_longer_than_a_minute(limit in 1..100_u32, lengths in vec(1..200_000_u64, 50)) {
            let polls = polled(limit, lengths);
            for pair in polls.windows(2) {
                let pause = pair[1].0 - (pair[0].0 + pair[0].1);
                assert!(pause <= SPAN + Duration::from_millis(500), "{pause:?}");
            }
        }
    }

    #[test]
    fn an_agent_within_its_share_never_waits() {
        let polls = polled(50, [10_000, 10_000, 10_000]);

        assert_eq!(polls[2].0, SPAN + MILLI * 20_000);
    }

    #[test]
    fn an_agent_above_its_share_pays_for_each_poll() {
        let polls = polled(10, [6_000, 100, 100, 100]);

        let begins: Vec<u128> = polls.iter().map(|(at, _)| (*at - SPAN).as_millis()).collect();
        assert_eq!(begins, [0, 6_000, 7_000, 8_000]);
    }

    #[test]
    fn runs_of_one_agent_share_its_share() {
        let mut share = Share::new(Some(10));
        share.charge(SPAN, MILLI * 6_001);
        let from = share.not_before();
        share.charge(from, MILLI * 100);
        share.charge(from, MILLI * 100);

        assert_eq!(share.not_before() - from, MILLI * 2_000);
    }

    #[test]
    fn a_share_of_several_processors_is_more_than_a_hundred_percent() {
        let mut share = Share::new(Some(150));
        for _ in 0..4 {
            share.charge(SPAN, MILLI * 30_000);
        }

        assert_eq!(share.not_before() - SPAN, MILLI * 20_000);
        assert_eq!(percent(share.used(SPAN + MILLI * 30_000)), 200.0);
    }
}
