//! What leaves a partition, and what comes in: the entries of `outbox` and `inbox`, and the cursors on them.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Payload;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{StepFailure, StepKey, Usage};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// An entry of `outbox`: written in the batch of its cause, sent at least once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxMail {
    /// Where it goes.
    pub to: Partition,
    /// What it says.
    pub mail: Mail,
}

/// An entry of `inbox`: the partition's owner drops what it has taken before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMail {
    /// Where it comes from.
    pub from: Partition,
    /// Its number in the sender's outbox.
    pub number: u64,
    /// What it says.
    pub mail: Mail,
}

/// What one partition says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mail {
    /// A run is to be worked on behalf of a step of another one.
    Start(Box<Child>),
    /// Such a run is no longer wanted.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Such a run is over, or was refused.
    Over {
        /// The run whose step waits.
        parent: RunId,
        /// That step.
        step: StepKey,
        /// Whose run it was.
        run: RunId,
        /// Its output; payloads that are kept beside the log are in the sender's partition.
        result: Result<Payload, StepFailure>,
        /// What it used.
        usage: Usage,
    },
}

/// A run that a step of another one asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Whose.
    pub tenant: Tenant,
    /// The agent that is called.
    pub agent: AgentId,
    /// The run's id, given by its parent: whoever asks twice gets one run.
    pub run: RunId,
    /// The conversation.
    pub session: SessionName,
    /// The input; kept beside the log in the sender's partition if it is large.
    pub input: Payload,
    /// The run that asks.
    pub parent: RunId,
    /// Its step.
    pub step: StepKey,
    /// When the run has to be over.
    pub deadline: Option<UnixMillis>,
    /// On whose behalf.
    pub principal: Option<String>,
    /// The caller's trace.
    pub trace: Option<String>,
}

/// `c/inbox`, `c/outbox`, `c/announced`, `c/from/<partition>`: how far somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the last entry that is done.
    pub done: u64,
}

impl Record for OutboxMail {
    const TAG: u16 = 114;
    const WHAT: &'static str = "outbox entry";
}

impl Record for InboxMail {
    const TAG: u16 = 115;
    const WHAT: &'static str = "inbox entry";
}

impl Record for Cursor {
    const TAG: u16 = 116;
    const WHAT: &'static str = "cursor";
}
