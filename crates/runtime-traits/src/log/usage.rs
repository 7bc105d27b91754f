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

impl Price {
    /// The sum of two prices; what nobody knows adds nothing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let micros = match (self.micros, other.micros) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        Self { micros, wasted_micros: self.wasted_micros.saturating_add(other.wasted_micros) }
    }

    /// What is left of a price without a part of it; saturates.
    #[must_use]
    pub fn minus(self, part: Self) -> Self {
        let micros = self.micros.map(|micros| micros.saturating_sub(part.micros.unwrap_or(0)));
        Self { micros, wasted_micros: self.wasted_micros.saturating_sub(part.wasted_micros) }
    }
}

impl Usage {
    /// Whether nothing was used.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Tokens, read and written.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

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
