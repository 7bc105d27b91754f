//! What webhooks tell of.

use std::fmt;
use std::str::FromStr;

use runtime_traits::bus::Pattern;
use serde::{Deserialize, Serialize};

/// How a run ends, as the bus calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunEnd {
    /// With an output.
    #[serde(rename = "run.completed")]
    Completed,
    /// Without one.
    #[serde(rename = "run.failed")]
    Failed,
    /// By somebody's wish.
    #[serde(rename = "run.cancelled")]
    Cancelled,
    /// By somebody's wish, as if it had not been.
    #[serde(rename = "run.rolled-back")]
    RolledBack,
    /// As another run.
    #[serde(rename = "run.continued")]
    Continued,
}

impl RunEnd {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::Failed, Self::Cancelled, Self::RolledBack, Self::Continued];

    /// As the bus calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "run.completed",
            Self::Failed => "run.failed",
            Self::Cancelled => "run.cancelled",
            Self::RolledBack => "run.rolled-back",
            Self::Continued => "run.continued",
        }
    }

    /// The topics of all agents about it.
    pub(super) fn topics(self) -> Pattern {
        format!("agents/*/{self}").parse().expect("it is a pattern")
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunEnd {
    type Err = ();

    fn from_str(given: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|end| end.as_str() == given).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use runtime_events::catalogue::all;

    use super::RunEnd;

    #[test]
    fn each_end_is_a_sort_of_the_catalogue() {
        for end in RunEnd::ALL {
            assert!(all().iter().any(|sort| sort.topics == end.topics()), "{end}");
            assert_eq!(end.as_str().parse(), Ok(end));
        }
        assert_eq!("run.started".parse::<RunEnd>(), Err(()));
    }
}
