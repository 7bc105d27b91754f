//! What a monitor refuses.

use runtime_traits::health::Watched;
use runtime_traits::{NameError, RuntimeError};
use thiserror::Error;

/// What a [`HealthMonitor`](crate::HealthMonitor) refuses.
#[derive(Debug, Error)]
pub enum HealthError {
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is a check of that name.
    #[error("there is a check `{name}` already; give this one another name")]
    CheckTaken {
        /// Its name.
        name: String,
    },
    /// There is a recovery for that check.
    #[error("the check `{name}` has a recovery already; a check has one")]
    RecoveryTaken {
        /// The check's name.
        name: String,
    },
    /// There is no check of that name.
    #[error("there is no check `{name}`; register it first, or take one of {known:?}")]
    UnknownCheck {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A check does not look at that.
    #[error("the check `{name}` does not look at `{watched}`; its rule says what it looks at")]
    LooksElsewhere {
        /// The check's name.
        name: String,
        /// What is watched.
        watched: Watched,
    },
    /// Nobody watches that.
    #[error("`{watched}` is not monitored; call `monitor` or `monitor_agent` first")]
    NotMonitored {
        /// What is not watched.
        watched: Watched,
    },
    /// It is watched already.
    #[error("`{watched}` is monitored already; stop that first to change its interval")]
    Monitored {
        /// What is watched.
        watched: Watched,
    },
    /// An interval or a deadline is shorter than a millisecond.
    #[error("{what} is less than a millisecond; give it at least one")]
    TooShort {
        /// Which.
        what: &'static str,
    },
    /// There is no more room.
    #[error("{most} are monitored, which is the most there may be; stop monitoring some")]
    Full {
        /// How many may be watched.
        most: usize,
    },
    /// Nothing is monitored outside of an executor.
    #[error("monitoring needs a tokio runtime: call this from a task of one")]
    NoExecutor,
    /// The runtime does not know the agent, or does not answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}
