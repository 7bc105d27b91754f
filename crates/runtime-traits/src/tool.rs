//! Tools: what a model can have done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::agent::{AgentError, StepCall};
use crate::log::Effect;
use crate::model::ToolSpec;

/// Something that a model can have done.
///
/// # Contract
/// - `one-step`: a call is one step of its run; what the tool does outside is covered by its [`Tool::effect`].
/// - `droppable`: the future of a call may be dropped at any await: its deadline passed, or its run ends.
/// - `errors-are-answers`: an error of a call goes to the model as the call's result, and harms nothing else.
#[async_trait]
pub trait Tool: fmt::Debug + Send + Sync + 'static {
    /// How models see it.
    fn spec(&self) -> &ToolSpec;

    /// What may be done again when it is not known whether a call took effect.
    fn effect(&self) -> Effect {
        Effect::AtMostOnce
    }

    /// How long one call may take.
    fn within(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How long a call may give no sign of life ([`StepCall::progress`]) and is not stalled; `None`: as long as it may take, or as the
    /// runtime bounds it if that is longer.
    fn silence(&self) -> Option<Duration> {
        None
    }

    /// Where this call goes, if calls go to several places: the host, say. What fails at one place says nothing of others. The
    /// arguments are JSON that fits the schema.
    fn place(&self, _arguments: &str) -> Option<String> {
        None
    }

    /// Whether somebody has to consent to this call first. The arguments are JSON that fits the schema.
    fn needs_approval(&self, _arguments: &str) -> bool {
        false
    }

    /// Does it. The arguments are JSON that fits the schema.
    ///
    /// # Errors
    /// What kept it from a result, in words that the model can use. [`AgentError::away`] says that what it needs cannot be reached,
    /// whatever is asked.
    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError>;

    /// Asks the other side what became of an earlier call with the same idempotency key, whose end nobody knows.
    ///
    /// # Errors
    /// What kept it from asking; then a person decides.
    async fn reconcile(&self, _call: &StepCall, _arguments: &str) -> Result<Reconciled<String>, AgentError> {
        Ok(Reconciled::Unknown)
    }
}

#[async_trait]
impl<T: Tool + ?Sized> Tool for Arc<T> {
    fn spec(&self) -> &ToolSpec {
        (**self).spec()
    }

    fn effect(&self) -> Effect {
        (**self).effect()
    }

    fn within(&self) -> Duration {
        (**self).within()
    }

    fn silence(&self) -> Option<Duration> {
        (**self).silence()
    }

    fn place(&self, arguments: &str) -> Option<String> {
        (**self).place(arguments)
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        (**self).needs_approval(arguments)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        (**self).call(call, arguments).await
    }

    async fn reconcile(&self, call: &StepCall, arguments: &str) -> Result<Reconciled<String>, AgentError> {
        (**self).reconcile(call, arguments).await
    }
}

/// What became of an effect whose end nobody knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled<T> {
    /// It was done, with this result.
    Done(T),
    /// It was not done, and cannot happen any more: it may be done again.
    NotDone,
    /// The other side cannot say.
    Unknown,
}
