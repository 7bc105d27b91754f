//! What an agent says when it fails, and what a step says to its agent.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::error::Cause;
use crate::log::{StepFailure, StepFailureKind};
use crate::name::NameError;
use crate::schema::SchemaError;

/// Why an agent has no output, or a step's work no value: a sentence with its causes.
///
/// Every error converts into it, so that `?` works in an agent. It is no [`std::error::Error`] itself, which is what
/// makes that conversion possible.
pub struct AgentError {
    message: String,
    kind: StepFailureKind,
    permanent: bool,
}

/// Why a step gave its agent no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// It was done, and failed; recorded.
    #[error("step `{step}` failed: {failure}")]
    Failed {
        /// Which step.
        step: String,
        /// By what.
        #[source]
        failure: StepFailure,
    },
    /// The run is being cancelled: no step begins any more.
    #[error("step `{step}` was not begun: the run is being cancelled")]
    Cancelled {
        /// Which step.
        step: String,
    },
    /// Its name is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Its request or value cannot be written down as JSON, or not be read back.
    #[error("step `{step}`: its {what} is not the JSON it should be: {cause}")]
    Json {
        /// Which step.
        step: String,
        /// Request or value.
        what: &'static str,
        /// What serde said.
        #[source]
        cause: Cause,
    },
    /// Its request or value is larger than a payload may be.
    #[error("step `{step}`: its {what} has {len} bytes; the limit is {limit}")]
    TooLarge {
        /// Which step.
        step: String,
        /// Request or value.
        what: &'static str,
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
}

/// Why the session's state was not set. Nothing of it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetStateError {
    /// It cannot be written down as JSON.
    #[error("the session's state cannot be written as JSON: {0}")]
    Json(#[source] Cause),
    /// What is there is of a version that this code cannot load. It stays as it is.
    #[error("the session's state is not overwritten: {0}")]
    Schema(#[source] SchemaError),
    /// It is larger than a payload may be.
    #[error("the session's state has {len} bytes; the limit is {limit}")]
    TooLarge {
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
}

impl AgentError {
    /// Says why.
    pub fn says(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepFailureKind::Work, permanent: false }
    }

    /// Says that a limit is why.
    pub fn at_limit(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepFailureKind::Limit, permanent: true }
    }

    /// Says that another try would end alike: the run fails at once, whatever its agent declares of its recovery.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StepFailureKind::Work, permanent: true }
    }

    /// Says that whoever was asked is away; and how long calls of it are held off, if they are.
    ///
    /// ```
    /// use runtime_traits::AgentError;
    ///
    /// assert!(AgentError::away("the ledger does not answer", None).is_away());
    /// assert!(!AgentError::says("there is no such account").is_away());
    /// ```
    pub fn away(message: impl Into<String>, held_off: Option<Duration>) -> Self {
        Self { message: message.into(), kind: StepFailureKind::Away { held_off }, permanent: false }
    }

    /// Whether a limit is why.
    pub fn is_at_limit(&self) -> bool {
        self.kind == StepFailureKind::Limit
    }

    /// Whether it is why that whoever was asked is away.
    pub fn is_away(&self) -> bool {
        matches!(self.kind, StepFailureKind::Away { .. })
    }

    /// By what a step fails whose work says so.
    pub(crate) fn step_kind(&self) -> StepFailureKind {
        self.kind
    }

    /// Whether another try would end alike.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: Error + 'static> From<E> for AgentError {
    fn from(error: E) -> Self {
        let step = (&error as &(dyn Error + 'static)).downcast_ref::<StepError>();
        let kind = match step {
            Some(StepError::Failed { failure: StepFailure { kind: StepFailureKind::Limit, .. }, .. }) => {
                StepFailureKind::Limit
            }
            _ => StepFailureKind::Work,
        };
        // What a step came to is recorded: another attempt would hear it again.
        let permanent = matches!(step, Some(StepError::Failed { .. }));
        Self { message: Cause::of(&error).to_string(), kind, permanent }
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentError({})", self.message)
    }
}
