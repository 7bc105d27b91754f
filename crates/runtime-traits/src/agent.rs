//! What is hosted: agents, their declarations, and what a run lets its agent do.

mod context;
mod error;
mod kind;
mod outside;
mod port;
mod spec;
mod step;
mod task;

use std::fmt;

use async_trait::async_trait;

use crate::content::Content;
use crate::log::Usage;
use crate::model::CalledModel;

pub use context::Ctx;
pub use error::{AgentError, SetStateError, StepError};
pub use kind::AgentKind;
pub use outside::{Call, CallRequest, Outside, WaitFor};
pub use port::{Ask, Facts, FenceMark, Given, RunPort, Slot};
pub use spec::{AgentSpec, SpecError, StorageLimits};
pub use step::{StepCall, StepOptions};
pub use task::{Blocking, SpawnedTask, Task, TaskError};

/// A worker that the runtime keeps alive.
///
/// `run` is called once per attempt. After a crash it is called again, and the steps that were settled are answered
/// from the log: all effects on the outside belong in [`Ctx::step`].
///
/// # Contract
/// - `deterministic-between-steps`: given the same results, `run` asks for the same steps with the same requests. Time
///   and chance come from the context; state from [`Ctx::state`]. What asks otherwise is stopped as diverged.
/// - `one-task`: the futures of the context are awaited by the future of `run` itself (`join!`, `select!`) or by tasks of
///   [`Ctx::spawn`], which are polled with it, never from a task of their own.
/// - `droppable`: the future of `run` may be dropped at any await, and is when its run parks, moves or is cancelled.
#[async_trait]
pub trait Agent: fmt::Debug + Send + Sync + 'static {
    /// What the agent declares of itself: its kind, its name, its configuration.
    fn spec(&self) -> AgentSpec;

    /// How many messages of its conversation a run is shown with [`Ctx::history`]: the last ones before its input.
    fn remembers(&self) -> usize {
        0
    }

    /// What one call of it takes at least to begin with, and of which model, as far as it knows: a limit that lets no such call
    /// through is refused when the agent is registered.
    fn least_call(&self) -> Option<(CalledModel, Usage)> {
        None
    }

    /// Works one input to its output.
    ///
    /// # Errors
    /// What kept the agent from an output; it becomes the run's failure.
    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError>;
}
