//! What callers ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::{Content, Digest};
use crate::id::RunId;
use crate::name::{IdempotencyKey, SessionName};
use crate::store::Seq;

/// A request to run an agent. Text converts into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The input.
    pub input: Content,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub session: SessionName,
    /// The same key gives the same run, until 24 h after its outcome.
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// What to do if the session is busy. `None`: enqueue behind a running run, reject behind a waiting one.
    #[serde(default)]
    pub policy: Option<SessionPolicy>,
    /// How long the run may take, from now to its outcome.
    #[serde(default)]
    pub deadline: Option<Duration>,
    /// Where runs wait for room under a limit, or to be worked, those with a higher one come first; what it asks other agents
    /// for as well.
    #[serde(default, skip_serializing_if = "is_none")]
    pub priority: u8,
    /// The caller's own marks.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What to do with a run whose session is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPolicy {
    /// Work it after the others.
    Enqueue,
    /// Refuse it.
    Reject,
    /// Cancel the run at work, and keep what it has said so far.
    Interrupt,
    /// Cancel the run at work; the conversation goes on as if it had not been.
    Rollback,
    /// Take the input as the answer that the run at work waits for.
    Answer,
}

/// What somebody says to a run that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The answer to its question.
    Answer(Content),
    /// Consent to the call with this hash: another call needs another consent.
    Approve {
        /// The hash of the step's request, as its wait shows it.
        digest: Digest,
    },
    /// No consent.
    Deny {
        /// Why, for whoever asked: a model, most often.
        reason: String,
    },
}

/// How a run is to be copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForkRequest {
    /// The last entry to copy; `None` for the last one at which no step is open. What is after it is not copied, nor what
    /// was open then.
    pub upto: Option<Seq>,
    /// The new conversation; `None` for one named after the new run.
    pub session: Option<SessionName>,
    /// Another input instead of the run's own; then only that is copied, and the conversation before it.
    pub input: Option<Content>,
}

/// The answer to an accepted request: from here on the run is never lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// Whether it was there already: the idempotency key was used before.
    pub repeated: bool,
}

/// What becomes of a step that nobody knows the end of, as a caller says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Dispatch it again.
    Repeat,
    /// Take this as its result: JSON.
    Assume(Content),
    /// Take it as failed.
    Fail,
}

impl RunRequest {
    /// Asks to work `input` in the default session.
    pub fn new(input: impl Into<Content>) -> Self {
        Self {
            input: input.into(),
            session: SessionName::default(),
            idempotency_key: None,
            policy: None,
            deadline: None,
            priority: 0,
            labels: BTreeMap::new(),
        }
    }

    /// Sets the conversation.
    #[must_use]
    pub fn in_session(mut self, session: SessionName) -> Self {
        self.session = session;
        self
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Sets what to do if the session is busy.
    #[must_use]
    pub fn when_busy(mut self, policy: SessionPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Lets it go before runs with a lower priority where they wait; 0 unless set.
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Sets how long the run may take.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

// A reference, as serde asks for it.
fn is_none(priority: &u8) -> bool {
    *priority == 0
}

impl<T: Into<Content>> From<T> for RunRequest {
    fn from(input: T) -> Self {
        Self::new(input)
    }
}
