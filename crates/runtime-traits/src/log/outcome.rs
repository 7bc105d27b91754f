//! How a run ends.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::content::Payload;
use crate::id::RunId;
use crate::log::step::StepKey;

/// How a run ended. Exactly one for every accepted run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With this output.
    Completed(Payload),
    /// Without an output.
    Failed(RunFailure),
    /// By somebody's wish.
    Cancelled(Receipt),
    /// By somebody's wish, and its session goes on as if it had not been.
    RolledBack,
    /// In another run, which goes on with a fresh log.
    Continued(RunId),
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct RunFailure {
    /// By what.
    pub kind: FailureKind,
    /// In words.
    pub message: String,
}

/// By what a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The agent said so.
    Agent,
    /// The agent panicked.
    Panicked,
    /// The run's deadline passed.
    Deadline,
    /// The run's log is full.
    LogFull,
    /// Somebody decided so.
    Decided,
    /// A limit is reached.
    Limit,
}

/// What a cancelled run left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// How it stopped.
    pub stopped: Stopped,
    /// Steps that had begun and whose end is not known.
    pub unknown: Vec<StepKey>,
}

/// How a cancelled run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// It had not begun, or ended by itself after it was asked to: nothing more is sent or read for it.
    Complete,
    /// Its future was dropped at its next pause: nothing more is sent or read for it.
    Dropped,
    /// It did not pause in time: it is shut out of the log, but its thread is still busy.
    Abandoned,
}
