//! What is not called for now, because it failed too often of late.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::log::StepSort;

/// Knows how the circuit breakers of a process stand.
pub trait Breakers: fmt::Debug + Send + Sync + 'static {
    /// How each of them stands: those that hold calls off come first, otherwise they come by what they guard.
    fn standing(&self) -> Vec<BreakerStatus>;
}

/// A circuit breaker, as seen now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// What sort of thing it guards.
    pub sort: StepSort,
    /// The name of what it guards: `openai/gpt-4o`, `http_get`.
    pub name: String,
    /// Where that is, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Whether calls go through.
    pub state: BreakerPhase,
    /// Since when it stands so; nothing: it never stood otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// While it is open: when the first call may try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
}

/// Whether calls go through a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerPhase {
    /// They do.
    Closed,
    /// None does.
    Open,
    /// A few do, and try whether it works again.
    HalfOpen,
}

impl fmt::Display for BreakerPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}
