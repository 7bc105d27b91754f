//! Looking for damage while a store is in use.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId};
use crate::name::{SessionName, Tenant};
use crate::store::StateError;

/// Reads a whole store for damage, at somebody else's pace, while others write to it.
///
/// # Contract
/// - `asks-first`: before it reads more than a page, it awaits [`Pace::read`] for what it has read.
/// - `changes-nothing`: it writes nothing.
/// - `droppable`: its future may be dropped at any await.
/// - `told-at-once`: [`Heard::found`] hears of damage before the next page is read.
#[async_trait]
pub trait Scrub: fmt::Debug + Send + Sync + 'static {
    /// Reads everything once.
    ///
    /// # Errors
    /// What kept the store from being read at all.
    async fn pass(&self, pace: Arc<dyn Pace>, heard: Arc<dyn Heard>) -> Result<ScrubCount, StateError>;
}

/// How fast somebody may read.
#[async_trait]
pub trait Pace: Send + Sync + 'static {
    /// Waits for as long as reading so many values costs.
    async fn read(&self, values: u64);
}

/// Who hears what is found.
pub trait Heard: Send + Sync + 'static {
    /// Something is damaged.
    fn found(&self, finding: Finding);

    /// So much was read by now.
    fn read(&self, so_far: ScrubCount);
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubCount {
    /// Cells.
    pub cells: u64,
    /// Entries of logs.
    pub entries: u64,
    /// Places that are damaged.
    pub damaged: u64,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The tenant, if it is known.
    pub tenant: Option<Tenant>,
    /// The agent, if it is known.
    pub agent: Option<AgentId>,
    /// The session, if it is known.
    pub session: Option<SessionName>,
    /// The run, if it is known.
    pub run: Option<RunId>,
    /// Where: partition, and cell, log or entry.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// How it stands with looking for damage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// Whether it is set to look.
    pub on: bool,
    /// The pass that is under way.
    pub running: Option<ScrubPass>,
    /// The last one that came to its end.
    pub last: Option<ScrubPass>,
    /// When the next one begins.
    pub next: Option<UnixMillis>,
    /// Why the last one did not come to its end, if it did not.
    pub failed: Option<String>,
    /// What is damaged: the first 100 that the last pass, or the present one, has found.
    pub findings: Vec<Finding>,
}

/// A pass over a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPass {
    /// When it began.
    pub began: UnixMillis,
    /// When it ended, if it has.
    pub ended: Option<UnixMillis>,
    /// What was read.
    #[serde(flatten)]
    pub count: ScrubCount,
}
