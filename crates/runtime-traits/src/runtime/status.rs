//! What callers are told.

use serde::{Deserialize, Serialize};

use crate::bus::TellingStatus;
use crate::clock::UnixMillis;
use crate::content::Content;
use crate::health::Health;
use crate::id::{AgentId, NodeId, RunId};
use crate::log::{Author, Outcome, Receipt, RunFailure, RunView, Usage};
use crate::meter::{ProcessStatus, ProcessUsage};
use crate::name::{Name, SessionName};
use crate::resource::{ResourceLimits, ResourceUsage};
use crate::runtime::breakers::BreakerStatus;
use crate::runtime::error::RuntimeError;
use crate::scrub::ScrubStatus;
use crate::store::{Seq, StoreProfile};

/// What somebody wants of an agent: all that is stored of its lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// It takes runs.
    Active,
    /// It takes runs; no step begins.
    Paused,
    /// It takes no runs.
    Stopped,
}

/// An agent, as seen now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: Name,
    /// For people.
    pub description: String,
    /// What somebody wants of it.
    pub want: Want,
    /// Whether this runtime hosts its kind; its runs wait otherwise.
    pub hosted: bool,
    /// The number of its declaration.
    pub revision: u32,
    /// When that was made. What it may use holds from then on, for runs that had begun as well.
    #[serde(default)]
    pub declared_at: UnixMillis,
    /// How many of its runs are under way or waiting.
    pub running: u32,
    /// How many of its runs have not begun.
    pub queued: u32,
    /// How many bytes are stored of it.
    #[serde(default)]
    pub stored: Stored,
    /// What it may use.
    #[serde(default, skip_serializing_if = "ResourceLimits::is_default")]
    pub limits: ResourceLimits,
    /// What it uses.
    #[serde(default)]
    pub usage: ResourceUsage,
    /// Why that is not known, if what it used before is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// What it takes of the process; `None`: nothing is measured of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessUsage>,
}

/// How many bytes are stored of an agent, or of one of its conversations: its messages, its state, and the logs of its
/// runs, open and over. Snapshots are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    /// Now.
    pub bytes: u64,
    /// By how many that grew since yesterday began (UTC). Negative when more was let go than written.
    pub grown: i64,
    /// From how many on somebody is warned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// From how many on no new input is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
}

impl Stored {
    /// Whether a soft limit is reached.
    pub fn is_much(&self) -> bool {
        self.soft.is_some_and(|soft| self.bytes >= soft)
    }

    /// Whether a hard limit is reached: no new input is taken.
    pub fn is_full(&self) -> bool {
        self.hard.is_some_and(|hard| self.bytes >= hard)
    }
}

/// A conversation, as seen now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its name.
    pub session: SessionName,
    /// How many bytes are stored of it.
    pub stored: Stored,
}

/// The runtime, as seen now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// This process.
    pub node: NodeId,
    /// Its build.
    pub build: String,
    /// Its store.
    pub store: StoreProfile,
    /// Since when it runs.
    pub since: UnixMillis,
    /// Whether it takes runs.
    pub readiness: Readiness,
    /// How many runs are accepted and not over.
    pub open_runs: u64,
    /// How many agents are in memory.
    pub active_agents: u64,
    /// When a run last got a new entry.
    pub last_progress: Option<UnixMillis>,
    /// How many runs are suspected of having killed a process, and are tried or to be tried; no other run begins meanwhile.
    #[serde(default)]
    pub suspects: u64,
    /// How it stands with looking for damage; `None`: nobody looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubStatus>,
    /// What the caller's agents do to threads and memory.
    #[serde(default, skip_serializing_if = "ProcessStatus::is_empty")]
    pub process: ProcessStatus,
    /// How it stands with telling the bus what happens; `None`: it has no bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telling: Option<TellingStatus>,
    /// How the circuit breakers of its process stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerStatus>,
    /// The worst of all that is monitored; `None`: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// Whether a runtime takes runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It does.
    Ready,
    /// It is ending.
    Draining,
    /// Its store does not answer as it should.
    StoreFailed(String),
}

/// A run with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The run.
    pub run: RunId,
    /// Whose.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// How it ended.
    pub outcome: Outcome,
    /// Its output, if it completed.
    pub output: Option<Content>,
    /// What it used.
    pub usage: Usage,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// The run.
    pub run: RunId,
    /// In which conversation.
    pub session: SessionName,
    /// Its output.
    pub output: Content,
    /// What it used.
    pub usage: Usage,
}

/// The answer to `join`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joined {
    /// The run is over.
    Ended(Finished),
    /// It is not, and this is where it is.
    Open(Box<RunView>),
}

/// The answer to `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReceipt {
    /// The run was cancelled, and this is what it left behind.
    Cancelled(Receipt),
    /// The run was over before.
    AlreadyEnded(Outcome),
}

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its number in the session.
    pub seq: Seq,
    /// Who says it.
    pub author: Author,
    /// The run that it belongs to.
    pub run: RunId,
    /// When it was written.
    pub at: UnixMillis,
    /// What is said.
    pub content: Content,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunFilter {
    /// Only this agent's.
    pub agent: Option<AgentId>,
    /// Only those that are not over.
    pub open: bool,
    /// Only those in quarantine.
    pub quarantined: bool,
    /// The page: what the last one's `next` said.
    pub after: Option<String>,
    /// At most this many; 0 means 100.
    pub limit: u32,
}

/// Which snapshots to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotFilter {
    /// Only this agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The page: what the last one's `next` said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many; 0 means 100.
    pub limit: u32,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; `None` on the last.
    pub next: Option<String>,
}

impl Finished {
    /// The result of a run that completed.
    ///
    /// # Errors
    /// [`RuntimeError::RunFailed`] and its like for a run that did not.
    pub fn into_result(self) -> Result<RunResult, RuntimeError> {
        let run = self.run;
        match (self.outcome, self.output) {
            (Outcome::Completed(_), Some(output)) => {
                Ok(RunResult { run, session: self.session, output, usage: self.usage })
            }
            (Outcome::Completed(_), None) => {
                Err(RuntimeError::Damaged { what: format!("the output of `{run}`") })
            }
            (Outcome::Failed(failure), _) => Err(RuntimeError::RunFailed { run, failure }),
            (Outcome::Cancelled(_) | Outcome::RolledBack, _) => Err(RuntimeError::RunCancelled { run }),
            (Outcome::Continued(next), _) => Err(RuntimeError::RunContinues { run, next }),
        }
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&RunFailure> {
        if let Outcome::Failed(failure) = &self.outcome { Some(failure) } else { None }
    }
}
