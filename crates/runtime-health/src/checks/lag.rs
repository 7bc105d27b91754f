//! Bounds of what takes time.

use std::time::Duration;

use runtime_traits::health::{Health, Verdict};

/// From when on something that takes time is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagBounds {
    /// It is degraded when it takes longer than this.
    pub degraded: Duration,
    /// It is unhealthy when it takes longer than this.
    pub unhealthy: Duration,
}

impl LagBounds {
    /// Unhealthy beyond this, degraded beyond a quarter of it.
    pub fn up_to(unhealthy: Duration) -> Self {
        Self { degraded: unhealthy / 4, unhealthy }
    }

    /// What is found where `what` took this long.
    pub fn judge(&self, what: &str, took: Duration) -> Health {
        let (verdict, bound) = if took > self.unhealthy {
            (Verdict::Unhealthy, self.unhealthy)
        } else if took > self.degraded {
            (Verdict::Degraded, self.degraded)
        } else {
            return Health::HEALTHY;
        };
        Health::new(verdict, format!("{what} {took:?}; more than {bound:?} is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_its_bound_is_not_beyond_it() {
        let bounds = LagBounds { degraded: Duration::from_secs(1), unhealthy: Duration::from_secs(5) };
        let judged = |ms| bounds.judge("a read took", Duration::from_millis(ms));

        assert_eq!(judged(1_000), Health::HEALTHY);
        assert_eq!(
            judged(1_001),
            Health::new(Verdict::Degraded, "a read took 1.001s; more than 1s is too long")
        );
        assert_eq!(judged(5_000).verdict, Verdict::Degraded);
        assert_eq!(judged(5_001).verdict, Verdict::Unhealthy);
    }
}
