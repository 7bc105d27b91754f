//! How it stands with telling a bus what happens.

use serde::{Deserialize, Serialize};

use super::Topic;
use crate::clock::UnixMillis;
use crate::name::Tenant;

/// How it stands with telling the bus what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TellingStatus {
    /// How many announcements wait for the bus: each has the events of one batch.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// How many announcements, and events of damaged topics, were left out because too many waited, since the runtime began.
    pub left_out: u64,
    /// The topics that are damaged: what goes there is held aside. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldTopic>,
}

/// A topic that is damaged, and what is held aside of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTopic {
    /// Whose.
    pub tenant: Tenant,
    /// The topic.
    pub topic: Topic,
    /// How many events are held aside.
    pub events: u64,
    /// Since when.
    pub since: UnixMillis,
    /// What is damaged.
    pub what: String,
}

impl TellingStatus {
    /// The most topics that are listed.
    pub const TOPICS: usize = 100;
}
