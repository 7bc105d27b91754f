//! Why a runtime did not do as asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::agent::SpecError;
use crate::clock::UnixMillis;
use crate::error::Cause;
use crate::id::{AgentId, RunId, StateId};
use crate::log::{RunFailure, StepKey};
use crate::meter::MeterError;
use crate::name::{NameError, SessionName};
use crate::resource::{LimitsError, Refused};
use crate::runtime::status::Want;
use crate::schedule::ScheduleError;
use crate::store::StateError;

/// Why a runtime did not do as asked: what was wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeError {
    /// There is no such agent.
    #[error("there is no agent `{agent}`; list them with `agent-runtime agents`")]
    UnknownAgent {
        /// As the caller named it.
        agent: String,
    },
    /// There is no such run.
    #[error("there is no run `{run}`; list them with `agent-runtime runs`")]
    UnknownRun {
        /// The run.
        run: RunId,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot `{state}`; make one with `agent-runtime save AGENT`, which prints its id")]
    UnknownState {
        /// The snapshot.
        state: StateId,
    },
    /// The agent takes no runs.
    #[error("agent `{agent}` is {}; start it first", want_word(.want))]
    NotStarted {
        /// The agent's name.
        agent: String,
        /// What somebody wants of it.
        want: Want,
    },
    /// The agent is not in a state in which this can be done.
    #[error("agent `{agent}` cannot be {action}: {reason}")]
    WrongState {
        /// The agent's name.
        agent: String,
        /// What was to be done with it.
        action: String,
        /// Why not, and what to do first.
        reason: String,
    },
    /// Nothing here hosts the kind.
    #[error("no kind `{kind}` is registered here; the kinds are: {known}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// Those that are registered.
        known: String,
    },
    /// The declaration cannot be built.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A limit of what the agent may take of the process cannot be held here.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// What all agents may use together cannot be limited like that.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The schedule cannot be one.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The agent has no such schedule.
    #[error(
        "agent `{agent}` has no schedule `{schedule}`; list them with `agent-runtime schedules list {agent}`"
    )]
    UnknownSchedule {
        /// The agent, as the caller named it.
        agent: String,
        /// The schedule.
        schedule: String,
    },
    /// A name does not follow its rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name belongs to another agent.
    #[error("the name `{name}` is taken by an agent of kind `{kind}`; choose another, or delete that agent")]
    NameTaken {
        /// The name.
        name: String,
        /// The other's kind.
        kind: String,
    },
    /// The input has no bytes.
    #[error("the input is empty; give the agent something to work on")]
    EmptyInput,
    /// Something is larger than the runtime takes.
    #[error(
        "{what} has {size} bytes, and the limit is {limit}; split it, or put it into a file and name that"
    )]
    TooLarge {
        /// What.
        what: String,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Too much is stored of an agent or of a conversation for it to take new input.
    #[error(
        "{what} has {bytes} bytes stored, and its hard limit is {limit}: register the agent with a higher one in `storage`, or {remedy}"
    )]
    StorageFull {
        /// Of what.
        what: String,
        /// How many bytes are stored.
        bytes: u64,
        /// From how many on nothing new is taken.
        limit: u64,
        /// What else to do.
        remedy: String,
    },
    /// An answer was given an idempotency key.
    #[error("an answer has no idempotency key; leave it out, or choose another policy")]
    AnswerWithKey,
    /// A queue is full.
    #[error("{what} is full ({limit}); try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// Which queue.
        what: String,
        /// How many fit.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// A limit of the agent is reached, and its runs do not wait for room.
    #[error("agent `{agent}` takes no run now: {refused}")]
    AtLimit {
        /// The agent, as it was called.
        agent: String,
        /// Which limit, and when there will be room.
        #[source]
        refused: Refused,
    },
    /// The session works on another run, and the caller wanted to be refused then.
    #[error("session `{session}` is busy with `{run}`{}", .waits_for.as_ref().map(|w| format!(", which waits for {w}")).unwrap_or_default())]
    SessionBusy {
        /// The session.
        session: String,
        /// The run that it works on.
        run: RunId,
        /// What that run waits for, if it does.
        waits_for: Option<String>,
    },
    /// The idempotency key was used with another input.
    #[error("the idempotency key `{key}` belongs to `{run}`, which has another input; use a new key")]
    KeyReused {
        /// The key.
        key: String,
        /// The run that it belongs to.
        run: RunId,
    },
    /// The step waits for no decision.
    #[error("step `{step}` of `{run}` waits for no decision; see `agent-runtime log {run}`")]
    NothingToDecide {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
    },
    /// The step waits for nobody's answer or consent.
    #[error(
        "step `{step}` of `{run}` waits for no such answer; see what it waits for with `agent-runtime log {run}`"
    )]
    NothingToAnswer {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
    },
    /// The consent is to another call.
    #[error(
        "step `{step}` of `{run}` is another call than the one consented to; look at it again: `agent-runtime log {run}`"
    )]
    OtherCall {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
    },
    /// The run cannot be copied there.
    #[error("`{run}` cannot be forked: {reason}")]
    CannotFork {
        /// The run.
        run: RunId,
        /// Why not, and what to do.
        reason: String,
    },
    /// The run cannot be let out of quarantine.
    #[error("`{run}` cannot be requeued: {reason}")]
    CannotRequeue {
        /// The run.
        run: RunId,
        /// Why not, and what to do.
        reason: String,
    },
    /// The run is over.
    #[error("`{run}` is over; see how it ended with `agent-runtime log {run}`, or begin a new run")]
    RunOver {
        /// The run.
        run: RunId,
    },
    /// The run is over, and its log was let go: only that it was, and how it ended, is still known.
    #[error("{0}")]
    RunSwept(Box<SweptLog>),
    /// The run failed.
    #[error("`{run}` failed: {failure}")]
    RunFailed {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        failure: RunFailure,
    },
    /// The run was cancelled.
    #[error("`{run}` was cancelled")]
    RunCancelled {
        /// The run.
        run: RunId,
    },
    /// The run goes on in another one.
    #[error("`{run}` goes on as `{next}`")]
    RunContinues {
        /// The run.
        run: RunId,
        /// The one that goes on.
        next: RunId,
    },
    /// The runtime is ending.
    #[error("the runtime is shutting down; try again when it is back")]
    ShuttingDown,
    /// The store did not do as asked.
    #[error(transparent)]
    Store(#[from] StateError),
    /// What is stored cannot be read.
    #[error("{what} cannot be read; the store is damaged")]
    Damaged {
        /// What.
        what: String,
    },
    /// What is stored was written by a newer version.
    #[error("{what} was written by a newer version of the runtime; use that one")]
    Newer {
        /// What.
        what: String,
    },
    /// What was given is no snapshot file, or not all of one.
    #[error("the snapshot file cannot be taken: {reason}; export the snapshot again")]
    BadSnapshotFile {
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime was put together without anything that makes snapshots.
    #[error("this runtime makes no snapshots; give its builder something that does, such as `StateManager`")]
    NoSnapshots,
    /// A remote runtime did not answer as it should.
    #[error(
        "the runtime at `{at}` did not answer as it should ({cause}); see whether it is up, and ask again"
    )]
    Unreachable {
        /// Where.
        at: String,
        /// What the client said.
        #[source]
        cause: Cause,
    },
}

/// A log that was let go.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error(
    "`{run}` {outcome} on {}, and its log was swept on {}, as the runtime keeps logs for so long; see what was said with `agent-runtime messages {agent} --session {session}`",
    .ended.date(), .swept.date()
)]
pub struct SweptLog {
    /// The run.
    pub run: RunId,
    /// Whose.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// How it ended, in a word or two.
    pub outcome: String,
    /// When it ended.
    pub ended: UnixMillis,
    /// When its log was let go.
    pub swept: UnixMillis,
}

fn want_word(want: &Want) -> &'static str {
    match want {
        Want::Active => "started",
        Want::Paused => "paused",
        Want::Stopped => "not started",
    }
}

impl RuntimeError {
    /// A short, stable word for programs: the last part of a problem document's `type`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownAgent { .. } => "unknown-agent",
            Self::UnknownRun { .. } => "unknown-run",
            Self::UnknownState { .. } => "unknown-state",
            Self::NotStarted { .. } => "not-started",
            Self::WrongState { .. } => "wrong-state",
            Self::UnknownKind { .. } => "unknown-kind",
            Self::Spec(_) => "bad-spec",
            Self::Meter(_) => "not-metered",
            Self::Limits(_) => "bad-limits",
            Self::Schedule(_) => "bad-schedule",
            Self::UnknownSchedule { .. } => "unknown-schedule",
            Self::Name(_) => "bad-name",
            Self::NameTaken { .. } => "name-taken",
            Self::EmptyInput => "empty-input",
            Self::TooLarge { .. } => "too-large",
            Self::StorageFull { .. } => "storage-full",
            Self::AnswerWithKey => "answer-with-key",
            Self::Busy { .. } => "busy",
            Self::AtLimit { .. } => "at-limit",
            Self::SessionBusy { .. } => "session-busy",
            Self::KeyReused { .. } => "key-reused",
            Self::NothingToDecide { .. } => "nothing-to-decide",
            Self::NothingToAnswer { .. } => "nothing-to-answer",
            Self::OtherCall { .. } => "other-call",
            Self::CannotFork { .. } => "cannot-fork",
            Self::CannotRequeue { .. } => "cannot-requeue",
            Self::RunOver { .. } => "run-over",
            Self::RunSwept { .. } => "run-swept",
            Self::RunFailed { .. } => "run-failed",
            Self::RunCancelled { .. } => "run-cancelled",
            Self::RunContinues { .. } => "run-continues",
            Self::ShuttingDown => "shutting-down",
            Self::Store(_) => "store",
            Self::Damaged { .. } => "damaged",
            Self::Newer { .. } => "newer",
            Self::BadSnapshotFile { .. } => "bad-snapshot-file",
            Self::NoSnapshots => "no-snapshots",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}
