//! Asking the model, as a step.

use std::sync::Arc;

use runtime_traits::agent::StepError;
use runtime_traits::log::StepFailureKind;
use runtime_traits::model::Deltas as _;
use runtime_traits::{
    AgentError, CalledModel, Cause, Ctx, Effect, Model, ModelError, ModelReply, ModelRequest, StepOptions,
    StepSort, Usage,
};
use serde::Serialize;

use super::Mind;
use super::bill::{Booking, Reservation};
use super::outage::{Next, Outage, Round};
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
    pub(crate) fn least_call(&self) -> Option<(CalledModel, Usage)> {
        let request = ModelRequest {
            system: self.system.clone(),
            tools: self.hands.specs(),
            output: self.limits.output.as_ref().map(|shape| shape.schema.clone()),
            max_tokens: self.limits.max_tokens,
            ..ModelRequest::default()
        };
        let first = self.models.first()?;
        Some((first.called(), Reservation::of(&request).booked()))
    }

    /// Asks the first model; where one is away the next one, and where all are, once more when it is time. Each try is a step of its
    /// own that names its model, so that the log says which one answered.
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
        let ctx = ctx.scope(&scope(turn))?;
        let mut outage = Outage::default();
        loop {
            let mut round = Round::default();
            for model in &self.models {
                let failure = match ask_one(&ctx, model, &request, turn).await {
                    Ok(reply) => return Ok(reply),
                    Err(StepError::Failed { failure, .. }) => failure,
                    Err(other) => return Err(AgentError::from(other)),
                };
                // The model's own sentence is the one to read.
                match failure.kind {
                    StepFailureKind::Away { held_off } => round.away(held_off, failure.message),
                    StepFailureKind::Limit => return Err(AgentError::at_limit(failure.message)),
                    StepFailureKind::Work
                    | StepFailureKind::TimedOut
                    | StepFailureKind::Decided
                    | StepFailureKind::Denied => return Err(AgentError::permanent(failure.message)),
                }
            }
            match outage.after(round, self.outage) {
                Next::Wait(wait) => ctx.sleep(wait).await,
                Next::Fail(why) => return Err(AgentError::says(why)),
            }
        }
    }
}

/// Asks one model, as a step.
async fn ask_one(
    ctx: &Ctx,
    model: &Arc<dyn Model>,
    request: &ModelRequest,
    turn: u32,
) -> Result<ModelReply, StepError> {
    let asked =
        Asked { model: model.name(), turn, messages: request.messages.len(), max_tokens: request.max_tokens };
    let reservation = Reservation::of(request);
    let options = StepOptions::new("model", Effect::Repeatable)
        .calls(StepSort::Model)
        .reserving(reservation.booked())
        .of_model(model.called())
        .said();
    let options = match model.silence() {
        Some(silence) => options.silent_for(silence),
        None => options,
    };
    let replied = ctx.step_with(options, &asked, |call| async move {
        let booking = Booking::new(&call, reservation);
        let result = model.reply(request, &booking).await;
        if let Err(ModelError::RateLimited { retry_after, .. }) = &result {
            call.throttled(*retry_after);
        }
        booking.ends(&result);
        result.map(|reply| renamed(reply, turn)).map_err(|error| failed(&**model, &error))
    });
    replied.await
}

/// A failure of a model, as it is recorded.
fn failed(model: &dyn Model, error: &ModelError) -> AgentError {
    match error {
        ModelError::AtLimit { .. } => AgentError::at_limit(error.to_string()),
        ModelError::HeldOff { retry_after, .. } => AgentError::away(error.to_string(), Some(*retry_after)),
        error if error.is_away() => AgentError::away(Cause::of(error).to_string(), model.held_off()),
        error => AgentError::says(Cause::of(error).to_string()),
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
