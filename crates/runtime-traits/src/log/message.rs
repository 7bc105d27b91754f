//! The messages of a session.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::content::Payload;
use crate::id::RunId;
use crate::store::Seq;

/// A message of a session: it lives once, in the session's log, and names its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub author: Author,
    /// What is said.
    pub content: Payload,
    /// The run that it belongs to.
    pub run: RunId,
    /// When it was written.
    pub at: UnixMillis,
    /// The message before it in the conversation; rolled-back messages are nobody's predecessor.
    pub after: Option<Seq>,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The caller of the run.
    Caller,
    /// The agent, as the outcome of its run.
    Agent,
    /// A model, while a run was worked.
    Model,
    /// A tool, while a run was worked.
    Tool,
}

/// Where a session's conversation ends: the last message of the last kept outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last message.
    pub last: Seq,
    /// How many messages the conversation has.
    pub messages: u64,
    /// The run whose outcome it is.
    pub run: RunId,
    /// When it ended.
    pub at: UnixMillis,
}
