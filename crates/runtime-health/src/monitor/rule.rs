//! How a check is carried out.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::health::Watched;

use crate::hysteresis::Thresholds;

/// How a check is carried out, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRule {
    /// What is looked at by it.
    pub only: Only,
    /// How long a look may take. One that takes longer is an unhealthy one.
    pub within: Duration,
    /// How long after a look by it there is none at the least, whatever the interval of what is monitored: for looks that cost
    /// something.
    pub every: Duration,
    /// How many looks in a row it takes until what is shown turns.
    pub thresholds: Thresholds,
}

/// What is looked at by a check, of all that is monitored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// All of it.
    #[default]
    Everything,
    /// The agents.
    Agents,
    /// This alone.
    Just(Watched),
}

impl Default for CheckRule {
    /// Looks at all that is monitored, at each interval, 10 s for a look; what is bad is shown at once, and what is well again
    /// after two looks.
    fn default() -> Self {
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1));
        Self {
            only: Only::Everything,
            within: Duration::from_secs(10),
            every: Duration::ZERO,
            thresholds: Thresholds { bad: one, good: two },
        }
    }
}

impl Only {
    /// Whether it is among them.
    pub(super) fn has(&self, watched: &Watched) -> bool {
        match self {
            Self::Everything => true,
            Self::Agents => matches!(watched, Watched::Agent(_)),
            Self::Just(only) => only == watched,
        }
    }
}
