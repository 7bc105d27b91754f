//! The JSON that service and client share, where the types of the contract do not say it already.

pub(crate) mod bus;

use std::time::Duration;

use runtime_traits::log::StepKey;
use runtime_traits::runtime::{Decision, Reply};
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, Content, Entry, RunId, SessionName, StateId};
use serde::{Deserialize, Serialize};

/// The header under which a caller asks for the same run again.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header under which a reader of events says which it saw last.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// The name of an event that carries an [`EntryEvent`].
pub(crate) const ENTRY: &str = "entry";
/// The name of an event that carries a [`PreviewEvent`].
pub(crate) const PREVIEW: &str = "preview";
/// The name of an event that carries a [`RetractedEvent`].
pub(crate) const RETRACTED: &str = "retracted";
/// The name of an event that carries a problem document; the last one.
pub(crate) const PROBLEM: &str = "problem";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentAnswer {
    pub(crate) agent: AgentId,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateAnswer {
    pub(crate) state: StateId,
}

/// The media type of a snapshot file.
pub(crate) const SNAPSHOT_FILE: &str = "application/octet-stream";

/// Which snapshot to compare with: of `diff` (query).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtherState {
    pub(crate) after: StateId,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeletedAnswer {
    pub(crate) deleted: Vec<StateId>,
}

/// How long to wait: of `join` (query) and `shutdown` (body).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Within {
    pub(crate) within_ms: u64,
}

/// Where to begin: of `stream` (query).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default = "first")]
    pub(crate) from: Seq,
}

/// Which page: of `agents` (query).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Paging {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

/// Who declares a schedule: of `put_schedule` (query).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScheduledBy {
    pub(crate) by: runtime_traits::schedule::ScheduledBy,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    pub(crate) paused: bool,
}

/// Who sets what all agents may use together: of `set_tenant_limits` (query).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsBy {
    pub(crate) by: runtime_traits::resource::LimitsBy,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) within_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideBody {
    pub(crate) step: StepKey,
    pub(crate) decision: Decision,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBody {
    #[serde(default)]
    pub(crate) name: Option<runtime_traits::Name>,
}

/// What an `entry` event says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryEvent {
    pub(crate) entry: Box<Entry>,
    pub(crate) content: Option<Content>,
}

/// What a `preview` event says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PreviewEvent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepKey>,
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gap: bool,
}

/// What a `retracted` event says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RetractedEvent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepKey>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    pub(crate) step: StepKey,
    pub(crate) reply: Reply,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunAnswer {
    pub(crate) run: RunId,
}

/// Which messages: of `messages` (query).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    pub(crate) session: SessionName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    pub(crate) limit: u32,
}

impl Within {
    /// Rounds up, so that a wait is never shorter than asked for.
    pub(crate) fn of(time: Duration) -> Self {
        let millis = time.as_nanos().div_ceil(1_000_000);
        Self { within_ms: u64::try_from(millis).unwrap_or(u64::MAX) }
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(self.within_ms)
    }
}

fn first() -> Seq {
    Seq(1)
}
