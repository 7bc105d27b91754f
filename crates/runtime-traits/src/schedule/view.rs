//! What callers are told of schedules.

use serde::{Deserialize, Serialize};

use super::declaration::{Schedule, ScheduledBy};
use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId};
use crate::name::Name;

/// A schedule, as seen now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Whose.
    pub agent: AgentId,
    /// What that is called.
    pub agent_name: Name,
    /// How it is declared.
    pub schedule: Schedule,
    /// By whom.
    pub by: ScheduledBy,
    /// Since when so.
    pub declared_at: UnixMillis,
    /// Whether somebody paused it. What passes meanwhile is not missed.
    #[serde(default)]
    pub paused: bool,
    /// When it fires next; `None`: it is paused, or has fired for the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UnixMillis>,
    /// The same in its time zone, for people: `2026-11-30 09:00:00 CET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_local: Option<String>,
    /// How many runs it has begun.
    #[serde(default)]
    pub fired: u64,
    /// How many of its moments got no run of their own. Of one gap at most 10,000 are counted.
    #[serde(default)]
    pub missed: u64,
    /// Its last fires, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last: Vec<Fire>,
    /// Why it has not fired though it is time, if so. It is tried again until it does, or until its rule leaves the moment out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldFire>,
}

/// A fire: a moment that got a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    /// The moment for which it was.
    pub tick: UnixMillis,
    /// When the run was accepted.
    pub at: UnixMillis,
    /// The run.
    pub run: RunId,
}

/// A fire that was refused, and is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFire {
    /// Since when.
    pub since: UnixMillis,
    /// What the runtime said the last time.
    pub reason: String,
}

/// Which schedules to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleFilter {
    /// Only this agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The page: what the last one's `next` said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many; 0 means 100.
    pub limit: u32,
}

impl ScheduleView {
    /// How many of the last fires are told.
    pub const FIRES: usize = 5;
}
