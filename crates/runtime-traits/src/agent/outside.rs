//! What a run asks of somebody outside of it: an answer, consent, the work of another agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::name::SessionName;

/// Something that a run waits for, given by a person or a program: in Rust, on the command line, over HTTP.
///
/// ```
/// # use runtime_traits::agent::WaitFor;
/// let size = WaitFor::answer("Which size?").named("size");
/// let consent = WaitFor::approval("Delete 12 files");
/// ```
#[derive(Clone, Debug)]
pub struct WaitFor {
    pub(crate) name: String,
    pub(crate) approval: bool,
    pub(crate) about: Content,
}

/// A call of another agent: a run of its own, whose outcome is the step's result.
///
/// ```
/// # use std::time::Duration;
/// # use runtime_traits::agent::Call;
/// let call = Call::to("librarian", "What survives a crash?").within(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) name: String,
    pub(crate) what: CallRequest,
}

/// What is asked of the other agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// Its name, or its id.
    pub agent: String,
    /// The input of the run.
    pub input: Content,
    /// The conversation. `None`: one of its own, which nobody else uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionName>,
    /// How long the run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
}

/// What a step waits for, when it is not its agent that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Somebody's answer.
    Answer,
    /// Somebody's consent.
    Approval,
    /// The outcome of a run of another agent.
    Call(Box<CallRequest>),
}

impl WaitFor {
    /// Waits for somebody's answer to a question.
    pub fn answer(question: impl Into<Content>) -> Self {
        Self { name: "answer".to_owned(), approval: false, about: question.into() }
    }

    /// Waits for somebody's consent to something.
    pub fn approval(of: impl Into<Content>) -> Self {
        Self { name: "approval".to_owned(), approval: true, about: of.into() }
    }

    /// Sets the name of the step.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl Call {
    /// Calls the agent of this name, in a conversation that nobody else uses.
    pub fn to(agent: impl Into<String>, input: impl Into<Content>) -> Self {
        let what = CallRequest { agent: agent.into(), input: input.into(), session: None, within: None };
        Self { name: "call".to_owned(), what }
    }

    /// Sets the name of the step.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the conversation. A run must not call into its own: it would wait for itself.
    #[must_use]
    pub fn in_session(mut self, session: SessionName) -> Self {
        self.what.session = Some(session);
        self
    }

    /// Sets how long the other run may take.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.what.within = Some(deadline);
        self
    }
}
