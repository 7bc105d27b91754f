//! What an agent uses.

use serde::{Deserialize, Serialize};

use crate::resource::limits::Limit;

/// What an agent uses, as measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUsage {
    /// Heap in MiB, rounded up. `None`: nobody measures it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Tokens, read and written, in the last 60 seconds, with what is held for calls under way.
    pub tokens_used_last_minute: u64,
    /// Calls of models in the last 60 seconds.
    pub requests_last_minute: u64,
    /// Tokens in all.
    pub tokens_total: u64,
    /// Each limit that is set and of which the agent as a whole uses something, and what it uses. What a run uses of its own limits
    /// (tokens, cost, steps, time) is in its view: the first two without the runs that it asked for. A limit of what is not
    /// measured here is left out.
    pub limits: Vec<Used>,
    /// How many calls wait for room.
    pub waiting: u32,
}

/// What was used of a limit, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Which limit.
    pub limit: Limit,
    /// What was used, with what is held; money in millionths of a US dollar.
    pub used: u64,
    /// What may be used; `None`: as much as there is.
    pub max: Option<u64>,
}
