//! What cells hold. Frozen: a new shape is a new version beside the old one.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::id::{AgentId, NodeId, RunId};
use runtime_traits::log::{Head, Message, Outcome, Usage};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::resource::LimitsBy;
use runtime_traits::runtime::Want;
use runtime_traits::schedule::{Fire, ScheduledBy};
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::snapshot::ContentRef;

/// A record in its first version.
macro_rules! record {
    ($type:ty, $tag:literal, $what:literal) => {
        impl Record for $type {
            const TAG: u16 = $tag;
            const WHAT: &'static str = $what;
        }
    };
}
pub(crate) use record;

/// `own`, after the token: who owns the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// Counts the owners.
    pub epoch: u64,
    /// The process.
    pub node: NodeId,
    /// Since when.
    pub since: UnixMillis,
}
record!(OwnerRecord, 101, "owner");

/// `t/<tenant>/name/<name>`: which agent has the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The agent.
    pub agent: AgentId,
    /// The name as it was written.
    pub name: String,
}
record!(NameRecord, 102, "name");

/// `t/<tenant>/a/<agent>/spec` and its revisions: how the agent is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecRecord {
    /// Counts the declarations.
    pub revision: u32,
    /// When it was made.
    pub at: UnixMillis,
    /// The `AgentSpec` as JSON.
    pub spec: String,
}
record!(SpecRecord, 103, "agent spec");

/// `t/<tenant>/a/<agent>/want`: what somebody wants of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantRecord {
    /// What.
    pub want: Want,
    /// Counts the wishes.
    pub generation: u64,
}
record!(WantRecord, 104, "agent wish");

/// `t/<tenant>/limits`: what the agents of the tenant may use together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRecord {
    /// When it was set.
    pub at: UnixMillis,
    /// Who set it.
    pub by: LimitsBy,
    /// From when on what they use is counted: since they were limited last without having been before.
    pub counted_since: Option<UnixMillis>,
    /// The `ResourceLimits` as JSON.
    pub limits: String,
}
record!(LimitsRecord, 124, "limits of a tenant");

/// `open/<run>`: a run that is not over. Recovery is one scan of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// Whose.
    pub tenant: Tenant,
    /// Of which agent.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
}
record!(OpenRun, 105, "open run");

/// `t/<tenant>/idem/<agent>/<session>/<key>`: which run the key gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdemRecord {
    /// The run.
    pub run: RunId,
    /// The hash of its input.
    pub digest: Digest,
}
record!(IdemRecord, 106, "idempotency key");

/// `t/<tenant>/a/<agent>/ended/<run>`: a run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRun {
    /// In which conversation.
    pub session: SessionName,
    /// Since when.
    pub at: UnixMillis,
}
record!(EndedRun, 107, "ended run");

record!(Head, 108, "session head");

/// `t/<tenant>/s/<agent>/<session>/state`: the state that the last run left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRecord {
    /// The state.
    pub value: Payload,
}
record!(StateRecord, 109, "session state");

impl Record for Message {
    const TAG: u16 = 110;
    /// Version 2: more authors.
    const VERSION: u16 = 2;
    const WHAT: &'static str = "message";
}

/// `swept/<run>`: what is kept of a run whose log was let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptRun {
    /// Whose.
    pub tenant: Tenant,
    /// Of which agent.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// When the run was accepted.
    pub accepted_at: UnixMillis,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// When its log was let go.
    pub swept_at: UnixMillis,
    /// The number of its last execution.
    pub attempt: u32,
    /// How many entries its log had.
    pub entries: u64,
    /// How it ended; its output is left out.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
}
record!(SweptRun, 122, "swept run");

/// `t/<tenant>/mark/<hash>`: when a content was last written or asked to be there. Without a mark it is never swept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentMark {
    /// When. It may be named for the last time up to half a day later.
    pub at: UnixMillis,
    /// How many bytes it has.
    pub len: u64,
    /// The conversation with which it is counted: the one that brought it first.
    pub of: Option<(AgentId, SessionName)>,
}
record!(ContentMark, 123, "content mark");

/// `t/<tenant>/schedule/<agent>/<name>`: when the agent gets which run, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// The `Schedule` as JSON.
    pub schedule: String,
    /// Who declared it.
    pub by: ScheduledBy,
    /// When it was declared like this.
    pub declared_at: UnixMillis,
    /// Tells this declaration from all others: it is in the idempotency keys of its runs.
    pub id: u64,
    /// From when on its moments count; what an interval begins with.
    pub since: UnixMillis,
    /// Its moments up to this one are seen to: fired, or left out.
    pub upto: UnixMillis,
    /// Somebody paused it.
    pub paused: bool,
    /// When its `due/` cell lies; `None`: it has none.
    pub next: Option<UnixMillis>,
    /// How many runs it has begun.
    pub fired: u64,
    /// How many of its moments got no run of their own.
    pub missed: u64,
    /// Its last fires, newest first.
    pub last: Vec<Fire>,
}
record!(ScheduleRecord, 125, "schedule");

/// `due/<ms>/<what>`: what is to be done then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Due {
    /// A waiting run goes on.
    Wake {
        /// The run.
        run: RunId,
    },
    /// An idempotency key is forgotten.
    ForgetKey {
        /// The path of its cell.
        cell: Vec<u8>,
    },
    /// An agent whose name was never written is removed.
    Unnamed {
        /// Its tenant.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The name that it should have got.
        name: String,
    },
    /// An agent is put back to a snapshot. It takes no runs before that is done.
    Restore {
        /// Its tenant.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The agent that was saved: messages of the same one still stand under their numbers.
        of: AgentId,
        /// When somebody asked for it.
        at: UnixMillis,
        /// The declaration in the snapshot, as JSON.
        spec: String,
        /// The conversations of the snapshot, kept in the agent's partition.
        sessions: ContentRef,
    },
    /// The log of a run that is over is let go.
    Sweep {
        /// Its tenant.
        tenant: Tenant,
        /// Its agent.
        agent: AgentId,
        /// In which conversation.
        session: SessionName,
        /// The run.
        run: RunId,
    },
    /// Contents that nothing names any more are looked for.
    SweepContents {
        /// Their tenant.
        tenant: Tenant,
    },
    /// A schedule fires.
    Schedule {
        /// Its tenant.
        tenant: Tenant,
        /// Its agent.
        agent: AgentId,
        /// Its name, folded.
        name: String,
    },
}

impl Record for Due {
    const TAG: u16 = 111;
    /// Version 2: agents are put back to snapshots. Version 3: logs are swept. Version 4: schedules fire.
    const VERSION: u16 = 4;
    const WHAT: &'static str = "due";
}
