//! Language models: what they are asked, what they answer, and how they fail.

mod called;
mod error;
mod repeat;
mod reply;
mod request;
mod transcript;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::future::BoxFuture;

pub use called::CalledModel;
pub use error::{ModelError, Phase};
pub use repeat::Repeat;
pub use reply::{ModelReply, StopReason, TokenUsage, ToolCall};
pub use request::{ChatMessage, ModelRequest, ToolSpec};
pub use transcript::{LEFT_OUT, NO_RESULT, Spoken, ToolResult, Transcript, project, window};

/// A language model.
///
/// # Contract
/// - `whole-reply`: the reply holds the whole text, whatever the deltas said; nothing that was only a delta counts.
/// - `deltas-add-up`: the deltas since the last retraction, put together, are the reply's text.
/// - `repeat-retracts`: a call that is repeated inside takes back the deltas that it gave before.
/// - `usage-or-none`: the usage is what the provider reported for this call; what it did not report is `None`, never 0.
/// - `droppable`: dropping the future ends the call, and nothing more is read or sent for it.
/// - `errors-are-typed`: a failure says by its variant whether the same call may succeed later.
#[async_trait]
pub trait Model: fmt::Debug + Send + Sync + 'static {
    /// Provider and name, for people and logs: `openai/gpt-4o`.
    fn name(&self) -> &str;

    /// Where the key is that its calls carry, as in `env:OPENAI_API_KEY`: by that the quota is known that it shares with others.
    /// Never the key itself. `None`: it carries none.
    fn credential(&self) -> Option<&str> {
        None
    }

    /// How long a call may give no sign of life, by the model's own deadlines: whoever watches for stalls waits longer than that.
    /// `None`: it has none.
    fn silence(&self) -> Option<Duration> {
        None
    }

    /// What its calls are known by to whoever counts them.
    fn called(&self) -> CalledModel {
        CalledModel { name: self.name().to_owned(), credential: self.credential().map(str::to_owned) }
    }

    /// How long calls of it are held off as of now, because it failed too often of late; `None`: they are not. For whoever
    /// decides whether it is worth while to ask once more.
    fn held_off(&self) -> Option<Duration> {
        None
    }

    /// Asks for the next message of a conversation.
    ///
    /// # Errors
    /// [`ModelError`].
    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError>;
}

#[async_trait]
impl<M: Model + ?Sized> Model for Arc<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn credential(&self) -> Option<&str> {
        (**self).credential()
    }

    fn silence(&self) -> Option<Duration> {
        (**self).silence()
    }

    fn held_off(&self) -> Option<Duration> {
        (**self).held_off()
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        (**self).reply(request, deltas).await
    }
}

/// Where a model shows its reply as it comes. What is shown may get lost; the reply says it again.
pub trait Deltas: Send + Sync {
    /// The next piece of the text.
    fn text(&self, piece: &str);

    /// Takes back all pieces so far: the call is made once more.
    fn retract(&self);

    /// The reply goes on, though there is no piece of its text: a thought, a part of a tool's call. Nobody has to listen.
    fn progress(&self) {}

    /// A call came to nothing, and may be made once more. `may_be_billed`: the provider may have worked for it; otherwise it counts
    /// as a request, and took nothing.
    fn broke_off(&self, may_be_billed: bool) {
        let _ = may_be_billed;
    }

    /// Asks to make a call that broke off once more: each takes something, and may reach a limit. Whoever repeats a call inside
    /// asks before each.
    fn again(&self) -> BoxFuture<'_, Repeat> {
        Box::pin(std::future::ready(Repeat::Go))
    }

    /// The provider took no more calls for now, and the call that is under way may be made once more; of a failure that is
    /// returned, whoever gets it knows. Nobody has to listen.
    fn throttled(&self, retry_after: Option<Duration>) {
        let _ = retry_after;
    }
}

/// Shows nothing to anybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDeltas;

impl Deltas for NoDeltas {
    fn text(&self, _piece: &str) {}

    fn retract(&self) {}
}
