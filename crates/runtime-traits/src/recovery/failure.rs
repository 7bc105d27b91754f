//! What can go wrong.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// What went wrong, as far as it decides what is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The agent's code panicked.
    Panicked,
    /// The agent's code returned an error that is not to be asked again.
    Failed,
    /// It took more memory than it may.
    Memory,
    /// The process died with it; with how many others, it among them, nobody can tell which of them did it.
    Died {
        /// How many could have done it. With one it counts as a failed start.
        suspects: NonZeroU32,
    },
    /// Nothing moved for longer than its phase allows.
    Stalled {
        /// Where it stood.
        phase: Phase,
    },
    /// The model's provider does not answer, or its breaker is open.
    ModelAway,
    /// A queue or a limit had no room.
    Crowded,
    /// The store does not answer.
    StoreAway,
    /// Its state cannot be read.
    Damaged {
        /// Whether there is a snapshot of when it was whole.
        snapshot: bool,
    },
    /// A check found it unhealthy.
    Unhealthy {
        /// The recovery that somebody registered for this check.
        action: Option<String>,
    },
    /// It ended by itself, and did not fail. Only what is always to be at work is started again then.
    Ended,
}

/// Where a run that does not move stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was accepted and has not begun.
    Queued,
    /// A model was asked, and nothing came yet.
    FirstByte,
    /// Between two pieces of a model's answer.
    BetweenTokens,
    /// A tool works, or any other step that calls no model.
    Tool,
    /// Between two steps: the agent's own code.
    Step,
    /// It waits for something.
    Wait,
}

impl Phase {
    /// Whether a call outside is under way, which can be given up and made again by itself.
    pub fn is_of_a_call(self) -> bool {
        match self {
            Self::FirstByte | Self::BetweenTokens | Self::Tool => true,
            Self::Queued | Self::Step | Self::Wait => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::FirstByte => "first byte",
            Self::BetweenTokens => "between tokens",
            Self::Tool => "tool",
            Self::Step => "step",
            Self::Wait => "wait",
        })
    }
}
