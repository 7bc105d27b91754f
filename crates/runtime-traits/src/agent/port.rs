//! The seam between an agent's futures and the engine that works its run.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::agent::error::{SetStateError, StepError};
use crate::agent::outside::Outside;
use crate::agent::task::{Blocking, SpawnedTask};
use crate::clock::UnixMillis;
use crate::content::Content;
use crate::id::{AgentId, RunId};
use crate::log::{Effect, StepFailure, StepKey, StepSort, Usage};
use crate::model::{CalledModel, Repeat, Spoken};
use crate::name::{Name, SessionName, Tenant};
use crate::partition::Partition;
use crate::tool::Reconciled;

/// A step or timer that the agent asked for in this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub usize);

/// What an agent asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which step.
    pub key: StepKey,
    /// What it calls.
    pub sort: StepSort,
    /// What may be done again.
    pub effect: Effect,
    /// What it asks.
    pub request: Content,
    /// How long one dispatch may take.
    pub within: Option<Duration>,
    /// How long it may give no sign of life, if it declares that.
    pub silence: Option<Duration>,
    /// What each dispatch is booked with as long as nobody says what it used.
    pub reserves: Usage,
    /// The model that it calls.
    pub model: Option<CalledModel>,
    /// Whether its result is a message of the session.
    pub says: bool,
    /// Whether somebody has to consent before it begins.
    pub approval: bool,
    /// Whether it can ask the other side what became of an earlier dispatch.
    pub reconciles: bool,
    /// Who does it, if not the agent.
    pub outside: Option<Outside>,
}

/// What an agent is given for a step.
#[derive(Clone, Debug)]
pub enum Given {
    /// Do it now; this is the how-many-eth dispatch.
    Execute {
        /// 1 for the first dispatch.
        try_no: u32,
    },
    /// Ask the other side what became of the dispatch before, whose end nobody knows.
    Reconcile {
        /// The dispatch that is asked about.
        try_no: u32,
    },
    /// It is done.
    Result(Result<Content, StepFailure>),
    /// The run is being cancelled: it will not be done.
    Cancelled,
}

/// What is fixed for an attempt.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose.
    pub tenant: Tenant,
    /// Which agent.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// Which run.
    pub run: RunId,
    /// Who may write.
    pub fence: FenceMark,
}

/// Who may write, for outside stores that refuse a stale owner: later owners and attempts compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FenceMark {
    /// Where the run is kept.
    pub partition: Partition,
    /// Which ownership of that partition.
    pub epoch: u64,
    /// Which execution of the run.
    pub attempt: u32,
}

/// What the engine offers to the futures of one attempt. Agents use [`Ctx`](crate::agent::Ctx), which is made of it.
pub trait RunPort: Send + Sync {
    /// What is fixed for the attempt.
    fn facts(&self) -> &Facts;

    /// Counts a use of `name` in `scope` and returns its number: 1, 2, 3, …
    fn count(&self, scope: &[Name], name: &Name) -> u32;

    /// Asks for a step.
    ///
    /// # Errors
    /// [`StepError::TooLarge`] when the request is.
    fn ask(&self, ask: Ask) -> Result<Slot, StepError>;

    /// What there is for the step, in the order of the log.
    fn poll_step(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Given>;

    /// Ready when the engine has given up the step's work: its deadline passed, or the run ends. The work is then
    /// dropped, and `poll_step` says what the agent gets.
    fn poll_given_up(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()>;

    /// Adds to what the dispatch under way used.
    fn used(&self, slot: Slot, usage: Usage);

    /// What is held for the dispatch under way: what the step reserves, or more if its model billed more so far.
    fn reserved(&self, slot: Slot) -> Usage;

    /// Reports what the step's work came to. The agent sees it when it is recorded.
    fn settle(&self, slot: Slot, result: Result<Content, StepFailure>);

    /// Reports what the other side said of a dispatch whose end nobody knew.
    fn reconciled(&self, slot: Slot, what: Reconciled<Content>);

    /// Gives the step up, if it is not over.
    fn give_up(&self, slot: Slot);

    /// Asks to be woken `after` from now.
    fn ask_timer(&self, key: StepKey, after: Duration) -> Slot;

    /// Whether the timer has run out, in the order of the log.
    fn poll_timer(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()>;

    /// The time of the last entry that was given out.
    fn now(&self) -> UnixMillis;

    /// The next number of the stream of `scope`.
    fn random(&self, scope: &[Name]) -> u64;

    /// The session's state.
    fn state(&self) -> Option<Content>;

    /// Sets the session's state, as of the run's end.
    ///
    /// # Errors
    /// [`SetStateError::TooLarge`]; then nothing is set.
    fn set_state(&self, value: Content) -> Result<(), SetStateError>;

    /// The last messages of the session before this run.
    fn history(&self) -> Arc<[Spoken]>;

    /// Lets the run go on in a successor with this input, once its agent ends.
    fn continue_as(&self, input: Content);

    /// Shows a piece of the output, or of a step's value, before it is recorded. May get lost.
    fn preview(&self, slot: Option<Slot>, text: &str);

    /// Reports that a step's work goes on, though there is nothing to show.
    fn progress(&self, slot: Slot) {
        let _ = slot;
    }

    /// Reports that a model's provider takes no more calls for now.
    fn throttled(&self, slot: Slot, retry_after: Option<Duration>);

    /// Reports that the call of a step that was under way is over, and came to nothing: what it used was reported before.
    fn broke_off(&self, slot: Slot) {
        let _ = slot;
    }

    /// Asks to make such a call once more, until there is an answer.
    fn poll_again(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Repeat> {
        let _ = (slot, cx);
        Poll::Ready(Repeat::Go)
    }

    /// Takes back what was shown of a step's value.
    fn retract(&self, slot: Slot);

    /// Polls a task along with the agent, until it ends or the agent's futures are dropped.
    fn spawn(&self, task: SpawnedTask);

    /// Calls this on a thread that may be blocked, and tells the attempt when that is over. Work whose turn has not come when
    /// the agent's futures are dropped is dropped with them.
    fn block(&self, work: Blocking);

    /// Ready when the log asks the run to end.
    fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()>;
}
