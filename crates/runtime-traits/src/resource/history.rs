//! What an agent used, over time.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// What an agent used in the last hour by minutes and in the last day by hours, oldest first, up to the minute and the hour that
/// are under way. Each minute and each hour is there, also if nothing was used in it. Where nobody counts there is none.
///
/// What open runs used is in it, and with it what is held for calls that are under way. Of a run that used something in more than
/// eight minutes, or three hours, the earliest count as the first of the last eight, or three, once it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageHistory {
    /// The last 60 minutes.
    pub minutes: Vec<UsedIn>,
    /// The last 24 hours.
    pub hours: Vec<UsedIn>,
}

/// What was used in a minute or an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedIn {
    /// Its first moment: a full minute or hour, in UTC.
    pub from: UnixMillis,
    /// Calls of models.
    pub requests: u64,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// What it cost, in millionths of a US dollar. `None`: some of it has no known price.
    pub micros: Option<u64>,
}

impl UsedIn {
    /// Tokens, read and written.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
