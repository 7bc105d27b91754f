//! Pauses that grow, and that no two waiters share.

use std::time::Duration;

use runtime_traits::Entropy;

/// Pauses that double from `base` up to `max`, and are drawn by chance below that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The most that the first pause lasts.
    pub base: Duration,
    /// The most that any pause lasts.
    pub max: Duration,
}

impl Backoff {
    /// The most that the pause after `nth` others lasts, `nth` from 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use runtime_health::Backoff;
    ///
    /// let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(60) };
    /// assert_eq!(backoff.most(3), Duration::from_secs(8));
    /// assert_eq!(backoff.most(100), Duration::from_secs(60));
    /// ```
    pub fn most(&self, nth: u32) -> Duration {
        let doubled = 2_u32.checked_pow(nth).and_then(|times| self.base.checked_mul(times));
        doubled.unwrap_or(self.max).min(self.max)
    }

    /// A pause anywhere from nothing to [`Backoff::most`] (full jitter): those who wait for the same thing spread out.
    pub fn draw(&self, nth: u32, entropy: &dyn Entropy) -> Duration {
        up_to(self.most(nth), entropy)
    }

    /// A pause from half of [`Backoff::most`] to the whole of it: for those who must stay away for a while.
    pub fn draw_long(&self, nth: u32, entropy: &dyn Entropy) -> Duration {
        let most = self.most(nth);
        most - up_to(most / 2, entropy)
    }
}

/// A duration from nothing to `most`, in whole milliseconds.
pub(crate) fn up_to(most: Duration, entropy: &dyn Entropy) -> Duration {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    let share = u128::from(u64::from_le_bytes(bytes)) * (most.as_millis().min(u128::from(u64::MAX)) + 1);
    Duration::from_millis(u64::try_from(share >> 64).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::proptest;
    use runtime_testkit::fakes::SeededEntropy;

    use super::Backoff;

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_the_most(base in 0_u64..10_000, max in 0_u64..100_000, nth in 0_u32..80, seed: u64) {
            let backoff = Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max) };
            let most = backoff.most(nth);
            let entropy = SeededEntropy::new(seed);
            let (pause, long) = (backoff.draw(nth, &entropy), backoff.draw_long(nth, &entropy));

            assert!(most <= backoff.max && pause <= most);
            assert!(long <= most && long >= most / 2, "{long:?} of {most:?}");
        }
    }

    #[test]
    fn pauses_spread_over_all_that_they_may_last() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(1) };
        let entropy = SeededEntropy::new(1);
        let drawn: Vec<_> = (0..1_000).map(|_| backoff.draw(0, &entropy).as_millis()).collect();

        assert!(drawn.iter().any(|ms| *ms < 50) && drawn.iter().any(|ms| *ms > 950));
    }
}
