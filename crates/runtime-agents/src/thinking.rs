//! How an agent with a model thinks: what comes next is decided by pure functions, and done at the rim.

mod act;
mod answer;
mod ask;
mod bill;
mod hands;
mod outage;
mod state;

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::model::window;
use runtime_traits::{AgentError, Content, Ctx, Model};

pub(crate) use hands::{Hand, Hands};
pub(crate) use state::{Limits, Shape};

use state::{Action, Thought};

/// All that an agent with a model is made of, apart from its name.
#[derive(Debug)]
pub(crate) struct Mind {
    /// The model that is asked first, and those that are asked where the one before is away.
    pub(crate) models: Vec<Arc<dyn Model>>,
    /// How long a turn waits for models that are held off, at the most.
    pub(crate) outage: Duration,
    pub(crate) system: Arc<str>,
    pub(crate) hands: Hands,
    pub(crate) limits: Limits,
    pub(crate) temperature: Option<f64>,
    pub(crate) window: usize,
}

impl Mind {
    /// Works one input to its output.
    pub(crate) async fn work(&self, ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let history = ctx.history();
        let mut thought = Thought::begin(ctx.facts().run, window(&history, self.window), input.as_text()?);
        loop {
            match thought.next(&self.limits) {
                Action::Ask => {
                    let reply = self.ask(ctx, &thought).await?;
                    thought.heard(&reply, &self.limits);
                }
                Action::Call(calls) => {
                    let done = self.act(ctx, thought.turn(), &calls).await?;
                    thought.did(done);
                }
                Action::Finish(output) => return Ok(output),
                Action::Fail(why) => return Err(AgentError::says(why)),
            }
        }
    }
}
