//! Asking the model, as a step.

use runtime_traits::agent::StepError;
use runtime_traits::log::StepFailureKind;
use runtime_traits::model::Deltas as _;
use runtime_traits::{
    AgentError, CalledModel, Ctx, Effect, ModelError, ModelReply, ModelRequest, StepOptions, StepSort, Usage,
};
use serde::Serialize;

use super::Mind;
use super::bill::{Booking, Reservation};
use super::state::Thought;

/// The most calls of one reply; what a model asks for beyond them is not heard.
const MOST_CALLS: usize = 64;

/// What the log keeps of a question: never the conversation, which it has already.
#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    turn: u32,
    messages: usize,
    max_tokens: u32,
}

impl Mind {
    /// What its first call takes at least: its instructions, its tools, and the longest reply.
    pub(crate) fn least_call(&self) -> (CalledModel, Usage) {
        let request = ModelRequest {
            system: self.system.clone(),
            tools: self.hands.specs(),
            output: self.limits.output.as_ref().map(|shape| shape.schema.clone()),
            max_tokens: self.limits.max_tokens,
            ..ModelRequest::default()
        };
        (self.model.called(), Reservation::of(&request).booked())
    }

    pub(super) async fn ask(&self, ctx: &Ctx, thought: &Thought) -> Result<ModelReply, AgentError> {
        let turn = thought.turn() + 1;
        let request = ModelRequest {
            system: self.system.clone(),
            messages: thought.transcript().messages(),
            tools: self.hands.specs(),
            output: self.limits.output.as_ref().map(|shape| shape.schema.clone()),
            max_tokens: self.limits.max_tokens,
            temperature: self.temperature,
        };
        let asked = Asked {
            model: self.model.name(),
            turn,
            messages: request.messages.len(),
            max_tokens: request.max_tokens,
        };
        let reservation = Reservation::of(&request);
        let options = StepOptions::new("model", Effect::Repeatable)
            .calls(StepSort::Model)
            .reserving(reservation.booked())
            .of_model(self.model.called())
            .said();
        let options = match self.model.silence() {
            Some(silence) => options.silent_for(silence),
            None => options,
        };
        let ctx = ctx.scope(&scope(turn))?;
        let replied = ctx.step_with(options, &asked, |call| async move {
            let booking = Booking::new(&call, reservation);
            let result = self.model.reply(&request, &booking).await;
            if let Err(ModelError::RateLimited { retry_after, .. }) = &result {
                call.throttled(*retry_after);
            }
            booking.ends(&result);
            match result {
                Err(error @ ModelError::AtLimit { .. }) => Err(AgentError::at_limit(error.to_string())),
                result => Ok(renamed(result?, turn)),
            }
        });
        replied.await.map_err(|error| match error {
            // The model's own sentence is the one to read.
            StepError::Failed { failure, .. } if failure.kind == StepFailureKind::Limit => {
                AgentError::at_limit(failure.message)
            }
            StepError::Failed { failure, .. } => AgentError::permanent(failure.message),
            other => AgentError::from(other),
        })
    }
}

/// The scope of the steps of a turn.
pub(super) fn scope(turn: u32) -> String {
    format!("turn-{turn}")
}

/// Calls are known by turn and place: ids of providers are neither unique nor in any form that can be relied on.
fn renamed(mut reply: ModelReply, turn: u32) -> ModelReply {
    reply.calls.truncate(MOST_CALLS);
    for (index, call) in reply.calls.iter_mut().enumerate() {
        call.id = format!("call_{turn}_{index}");
    }
    reply
}
