//! How a check is carried out.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::health::Watched;

use crate::hysteresis::Thresholds;

/// How a check is carried out, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRule {
    /// What is looked at by it; `None`: all that is monitored.
    pub only: Option<Watched>,
    /// How long a look may take. One that takes longer is an unhealthy one.
    pub within: Duration,
    /// How many looks in a row it takes until what is shown turns.
    pub thresholds: Thresholds,
}

impl Default for CheckRule {
    /// Looks at all that is monitored, 10 s for a look; what is bad is shown at once, and what is well again after two looks.
    fn default() -> Self {
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1));
        Self { only: None, within: Duration::from_secs(10), thresholds: Thresholds { bad: one, good: two } }
    }
}
