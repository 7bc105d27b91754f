//! Time and chance, as contracts: nothing else in the workspace reads a clock or draws a random number.

mod system;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use system::{SystemClock, SystemEntropy};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// Tells the time.
///
/// # Contract
/// - `never-backwards`: within one process `now` never decreases, whatever an operator does to the system's clock.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> UnixMillis;
}

/// Draws random bytes that nobody can guess.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

impl UnixMillis {
    /// The moment `by` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The day in UTC, as in `2026-11-28`.
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::UnixMillis;
    ///
    /// assert_eq!(UnixMillis(0).date(), "1970-01-01");
    /// assert_eq!(UnixMillis(1_709_251_199_999).date(), "2024-02-29");
    /// ```
    pub fn date(self) -> String {
        // Years that begin in March end with the leap day, in eras of 400 of them.
        let days = self.0 / 86_400_000 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (year, month) =
            (era * 400 + year + u64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// How long from `earlier` until this moment; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
