//! What an agent used, over time.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// What an agent used in the last hour by minutes and in the last day by hours, oldest first, up to the minute and the hour that
/// are under way. Each minute and each hour is there, also if nothing was used in it. Where nobody counts there is none.
///
/// What open runs used is in it, each call once it is over. Of a run that used something in more than eight minutes, or three hours,
/// all before the last eight, or three, counts with the first of these once the run is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageHistory {
    /// The last 60 minutes.
    pub minutes: Vec<UsedIn>,
    /// The last 24 hours.
    pub hours: Vec<UsedIn>,
}

/// What was used in a minute or an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsedIn {
    /// Its first moment: a full minute or hour, in UTC.
    pub from: UnixMillis,
    /// Calls of models.
    pub requests: u64,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// What the calls cost that have a known price, in millionths of a US dollar. `None`: others have none, and these cost nothing.
    pub micros: Option<u64>,
    /// Calls of which nobody knows what they cost.
    pub unpriced: u64,
}

impl UsedIn {
    /// What was used in all of them together, from the first moment of the first.
    pub fn sum(spans: &[Self]) -> Self {
        let of = |count: fn(&Self) -> u64| spans.iter().map(count).fold(0, u64::saturating_add);
        let (micros, unpriced) = (of(|used| used.micros.unwrap_or(0)), of(|used| used.unpriced));
        Self {
            from: spans.first().map_or(UnixMillis(0), |used| used.from),
            requests: of(|used| used.requests),
            input_tokens: of(|used| used.input_tokens),
            output_tokens: of(|used| used.output_tokens),
            micros: Self::cost(micros, unpriced),
            unpriced,
        }
    }

    /// [`micros`](Self::micros), where calls with a known price cost this and so many have none.
    pub fn cost(micros: u64, unpriced: u64) -> Option<u64> {
        (micros > 0 || unpriced == 0).then_some(micros)
    }

    /// Tokens, read and written.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
