//! What a run used, and what it cost.

use serde::{Deserialize, Serialize};

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read by models.
    pub input_tokens: u64,
    /// Tokens written by models.
    pub output_tokens: u64,
    /// Calls of models.
    pub model_calls: u32,
    /// Calls of tools.
    pub tool_calls: u32,
    /// The part of the tokens that nobody reported: calls that broke off are booked at their reservation.
    #[serde(default)]
    pub estimated_tokens: u64,
}

/// What it cost, as known when it was settled: a later price table changes no bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Millionths of a US dollar; `None` when no price is known, which is not 0.
    pub micros: Option<u64>,
    /// The part of it that bought nothing: calls that were in flight at a crash and were asked again.
    pub wasted_micros: u64,
}

impl Usage {
    /// What is left of a usage without a part of it; saturates.
    #[must_use]
    pub fn minus(self, part: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(part.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(part.output_tokens),
            model_calls: self.model_calls.saturating_sub(part.model_calls),
            tool_calls: self.tool_calls.saturating_sub(part.tool_calls),
            estimated_tokens: self.estimated_tokens.saturating_sub(part.estimated_tokens),
        }
    }

    /// The sum of two usages; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            model_calls: self.model_calls.saturating_add(other.model_calls),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
            estimated_tokens: self.estimated_tokens.saturating_add(other.estimated_tokens),
        }
    }
}
