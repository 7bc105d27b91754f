//! What a monitor tells.

use std::time::Duration;

use runtime_traits::health::{Health, Watched};
use runtime_traits::recovery::Quarantine;
use runtime_traits::{Cause, UnixMillis};

/// How something that is watched is: the worst of its checks, and each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// What is watched.
    pub watched: Watched,
    /// The worst that is shown.
    pub health: Health,
    /// Since when its verdict is shown.
    pub since: UnixMillis,
    /// Its checks, by name.
    pub checks: Vec<CheckReport>,
}

/// What is known by one check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// The check's name.
    pub name: String,
    /// What is shown.
    pub health: Health,
    /// Since when that verdict is shown.
    pub since: UnixMillis,
    /// The last look; `None`: it has not been looked at.
    pub looked: Option<Looked>,
    /// What was done, where the check has a recovery and it was needed.
    pub recovery: Option<RecoveryReport>,
}

/// One look.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// When it was over.
    pub at: UnixMillis,
    /// How long it took.
    pub took: Duration,
    /// What it found: what is shown may still be another thing.
    pub found: Health,
}

/// What was done about a check that is unhealthy.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryReport {
    /// How many tries there were since it was last healthy.
    pub attempts: u32,
    /// The last try: when it was over, and why it did not work.
    pub last: Option<(UnixMillis, Result<(), Cause>)>,
    /// When the next try may be; `None`: none is to come.
    pub next: Option<UnixMillis>,
    /// That nothing more is tried until a person says so.
    pub quarantine: Option<Quarantine>,
}

/// That what is shown of something turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTurn {
    /// Of what.
    pub watched: Watched,
    /// The check that saw it.
    pub check: String,
    /// What was shown.
    pub from: Health,
    /// What is shown now.
    pub to: Health,
    /// When.
    pub at: UnixMillis,
}
