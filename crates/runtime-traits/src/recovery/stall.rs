//! How long a run may stand still, by what it stands at.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::recovery::failure::Phase;

/// Where an open run stands, and since when nothing moved there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    /// At what.
    pub phase: Phase,
    /// Since when nothing moved: no piece of a reply came, no tool reported progress, no entry was made.
    pub since: UnixMillis,
    /// When it has stood there for too long: then it is given up, and the recovery policy decides. `None`: it may wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// How long what stands there has declared itself that it may give no sign of life, in milliseconds: a tool's silence, a step's
    /// deadline.
    #[serde(default, skip_serializing_if = "is_none")]
    pub declared_ms: u64,
}

fn is_none(declared_ms: &u64) -> bool {
    *declared_ms == 0
}

/// How long a run may stand still in each phase. What declares more for itself may have more
/// ([`StepOptions::silent_for`](crate::agent::StepOptions::silent_for), [`Tool::silence`](crate::tool::Tool::silence)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallBounds {
    /// From a model's call to the first piece of its reply.
    pub first_byte: Duration,
    /// From one piece to the next.
    pub between_tokens: Duration,
    /// A tool, or any other step that calls no model, without a sign of life.
    pub tool: Duration,
    /// The agent's own code between two steps, pending and waiting for nothing that the runtime knows of.
    pub step: Duration,
}

/// What an agent declares of these bounds; what it leaves out is as the runtime has it. In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StallLimits {
    /// From a model's call to the first piece of its reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// From one piece to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between_tokens_ms: Option<u64>,
    /// A tool, or any other step that calls no model, without a sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_ms: Option<u64>,
    /// The agent's own code between two steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<u64>,
}

impl Default for StallBounds {
    /// 3 minutes for the first byte, 2 between tokens, 5 for a tool and for the agent's own code: wider than what models and tools bound
    /// by themselves.
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(180),
            between_tokens: Duration::from_secs(120),
            tool: Duration::from_secs(300),
            step: Duration::from_secs(300),
        }
    }
}

impl StallBounds {
    /// How long a run may stand at this. `None`: as long as it takes.
    pub fn of(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::FirstByte => Some(self.first_byte),
            Phase::BetweenTokens => Some(self.between_tokens),
            Phase::Tool => Some(self.tool),
            Phase::Step => Some(self.step),
            Phase::Queued | Phase::Wait => None,
        }
    }

    /// These bounds, with what an agent declares in their place.
    #[must_use]
    pub fn with(self, declared: &StallLimits) -> Self {
        let or = |declared: Option<u64>, own| declared.map_or(own, Duration::from_millis);
        Self {
            first_byte: or(declared.first_byte_ms, self.first_byte),
            between_tokens: or(declared.between_tokens_ms, self.between_tokens),
            tool: or(declared.tool_ms, self.tool),
            step: or(declared.step_ms, self.step),
        }
    }
}

impl StallLimits {
    /// Whether nothing is declared.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The first bound of no time, by its name: nothing could ever stay within it.
    pub fn of_no_time(&self) -> Option<&'static str> {
        let all = [
            ("first_byte", self.first_byte_ms),
            ("between_tokens", self.between_tokens_ms),
            ("tool", self.tool_ms),
            ("step", self.step_ms),
        ];
        all.into_iter().find(|(_, bound)| *bound == Some(0)).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_declares_comes_before_what_the_runtime_has() {
        let declared = StallLimits { tool_ms: Some(7), ..StallLimits::default() };
        let bounds = StallBounds::default().with(&declared);

        assert_eq!(bounds.of(Phase::Tool), Some(Duration::from_millis(7)));
        assert_eq!(bounds.of(Phase::FirstByte), Some(StallBounds::default().first_byte));
        assert_eq!((bounds.of(Phase::Wait), bounds.of(Phase::Queued)), (None, None), "a wait may last");
    }

    #[test]
    fn a_bound_of_no_time_is_named() {
        let none = StallLimits { step_ms: Some(0), ..StallLimits::default() };
        assert_eq!((none.of_no_time(), StallLimits::default().of_no_time()), (Some("step"), None));
    }
}
