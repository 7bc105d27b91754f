//! How long a run may stand in each phase.

use std::time::Duration;

use runtime_traits::recovery::Phase;

/// How long a run may stand in each phase before it counts as stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseBounds {
    /// Accepted, and not begun.
    pub queued: Duration,
    /// A model was asked, and nothing came yet.
    pub first_byte: Duration,
    /// Between two pieces of a model's answer.
    pub between_tokens: Duration,
    /// A tool works. An agent whose tools are silent for longer declares it by a longer bound.
    pub tool: Duration,
    /// Between two steps, in the agent's own code.
    pub step: Duration,
    /// What it waited for has come, or it waits for somebody to set something right.
    pub wait: Duration,
}

impl Default for PhaseBounds {
    /// 5 minutes in the queue, 2 minutes for the first byte, 1 minute between tokens, 4 minutes for a tool and between two steps, and
    /// 1 minute after what it waited for: a minute before the runtime gives up what stands still, unless it is set otherwise.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            queued: minutes(5),
            first_byte: minutes(2),
            between_tokens: minutes(1),
            tool: minutes(4),
            step: minutes(4),
            wait: minutes(1),
        }
    }
}

impl PhaseBounds {
    /// The bound of a phase.
    pub fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Queued => self.queued,
            Phase::FirstByte => self.first_byte,
            Phase::BetweenTokens => self.between_tokens,
            Phase::Tool => self.tool,
            Phase::Step => self.step,
            Phase::Wait => self.wait,
        }
    }

    /// The shorter one of each phase.
    #[must_use]
    pub fn shorter(&self, other: &Self) -> Self {
        Self {
            queued: self.queued.min(other.queued),
            first_byte: self.first_byte.min(other.first_byte),
            between_tokens: self.between_tokens.min(other.between_tokens),
            tool: self.tool.min(other.tool),
            step: self.step.min(other.step),
            wait: self.wait.min(other.wait),
        }
    }

    /// The same bounds with that of one phase changed.
    #[must_use]
    pub fn with(mut self, phase: Phase, bound: Duration) -> Self {
        *match phase {
            Phase::Queued => &mut self.queued,
            Phase::FirstByte => &mut self.first_byte,
            Phase::BetweenTokens => &mut self.between_tokens,
            Phase::Tool => &mut self.tool,
            Phase::Step => &mut self.step,
            Phase::Wait => &mut self.wait,
        } = bound;
        self
    }
}
