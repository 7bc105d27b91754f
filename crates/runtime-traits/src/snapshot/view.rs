//! What there is in a snapshot.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::content::Payload;
use crate::id::{AgentId, StateId};
use crate::name::{Name, SessionName};

/// A snapshot, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its id.
    pub state: StateId,
    /// The agent that was saved; it may be gone, or of another store.
    pub agent: AgentId,
    /// The agent's name then.
    pub name: Name,
    /// The agent's kind.
    pub kind: Name,
    /// When it was saved.
    pub at: UnixMillis,
    /// How many conversations it has.
    pub sessions: u32,
    /// How many messages these have.
    pub messages: u64,
    /// How many bytes its messages and states have, as they are written down; large contents beside them not counted.
    pub bytes: u64,
}

/// A snapshot, in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// In a line.
    pub info: SnapshotInfo,
    /// The number of the agent's declaration.
    pub revision: u32,
    /// The version of the agent's kind.
    pub kind_version: u32,
    /// The agent's declaration: an `AgentSpec` as JSON.
    pub spec: String,
    /// Its conversations, by name.
    pub sessions: Vec<SnapshotSession>,
}

/// A conversation in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSession {
    /// Its name.
    pub name: SessionName,
    /// How many messages it has.
    pub messages: u64,
    /// How many bytes its messages and its state have.
    pub bytes: u64,
    /// Its state.
    pub state: Option<Payload>,
}
