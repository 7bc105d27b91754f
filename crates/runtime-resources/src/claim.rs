//! What a call takes.

use serde::{Deserialize, Serialize};

/// What a call takes at most, or took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Calls: 1 for most.
    pub requests: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micros: u64,
}

impl Claim {
    pub(crate) const MAX: Self = Self { requests: u64::MAX, tokens: u64::MAX, micros: u64::MAX };

    /// Both, number by number.
    pub(crate) fn both(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: of(self.requests, other.requests),
            tokens: of(self.tokens, other.tokens),
            micros: of(self.micros, other.micros),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.both(other, u64::saturating_add)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        self.both(other, u64::saturating_sub)
    }

    /// Whether nothing of it is more than in the other.
    pub(crate) fn fits(self, other: Self) -> bool {
        self.requests <= other.requests && self.tokens <= other.tokens && self.micros <= other.micros
    }
}
