//! Waits: recorded reasons for not moving.

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::log::step::StepKey;
use crate::name::Name;

/// Which wait of a run: the number of its `WaitOpened` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WaitId(pub u64);

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitOn {
    /// Somebody's consent to a call.
    Approval(StepKey),
    /// Somebody's answer to a question.
    Answer(StepKey),
    /// Room in a budget.
    Budget(StepKey),
    /// The outcome of a run that this one started.
    Child {
        /// The step that waits for it.
        step: StepKey,
        /// That run.
        run: RunId,
    },
    /// A moment.
    Time(StepKey),
    /// A message on a topic.
    Event(StepKey),
    /// A verdict on a step that nobody knows the end of.
    Decision(StepKey),
    /// A person, because the code asked for something else than the log holds.
    Diverged {
        /// What the log holds.
        recorded: String,
        /// What the code asked for.
        asked: String,
    },
    /// A process that hosts the agent's kind.
    Kind(Name),
    /// A process that runs this version of the kind.
    CodeVersion(u32),
    /// An operator: the run is in quarantine.
    Operator {
        /// Why, in words.
        why: String,
    },
}

impl WaitOn {
    /// The name of the pause before a run's next attempt, among its waits on time. Timers of agents are called `sleep` and `timeout`.
    pub const RESTART: &str = "restart";

    /// Whether it is the pause before a run's next attempt: the last one failed.
    pub fn is_restart(&self) -> bool {
        matches!(self, Self::Time(StepKey { scope, name, .. }) if scope.is_empty() && name.as_str() == Self::RESTART)
    }

    /// The step that waits, where it is one.
    pub fn step(&self) -> Option<&StepKey> {
        match self {
            Self::Approval(key)
            | Self::Answer(key)
            | Self::Budget(key)
            | Self::Child { step: key, .. }
            | Self::Time(key)
            | Self::Event(key)
            | Self::Decision(key) => Some(key),
            Self::Diverged { .. } | Self::Kind(_) | Self::CodeVersion(_) | Self::Operator { .. } => None,
        }
    }
}
