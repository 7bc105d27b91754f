//! How long to wait before asking again: pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that double up to a second, until their sum is used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    left: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits of `total` in all.
    pub(super) fn within(total: Duration) -> Self {
        Self { left: total, next: FIRST }
    }

    /// How long to wait after a failure that itself took `spent`; `None` when the time is used up.
    pub(super) fn after(&mut self, spent: Duration) -> Option<Duration> {
        self.left = self.left.checked_sub(spent + self.next)?;
        let wait = self.next;
        self.next = (self.next * 2).min(LONGEST);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn waits_double_up_to_a_second_and_end() {
        let mut backoff = Backoff::within(Duration::from_secs(4));

        let waits: Vec<u128> =
            std::iter::from_fn(|| backoff.after(Duration::ZERO).map(|wait| wait.as_millis())).collect();

        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn what_a_failure_took_counts() {
        let mut backoff = Backoff::within(Duration::from_secs(4));

        assert!(backoff.after(Duration::from_secs(3)).is_some());
        assert!(backoff.after(Duration::from_secs(3)).is_none());
    }
}
