//! A model that is not asked while it is away.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_health::CallOutcome;
use runtime_traits::{CalledModel, Deltas, Model, ModelError, ModelReply, ModelRequest};

use super::called::Called;
use super::guard::Guard;

/// A model that is not asked while it is away: [`ModelError::HeldOff`] says when it is worth while again.
///
/// What says that its provider [is away](ModelError::is_away) counts against it; what says that the provider is there, a reply or a
/// refusal because of too many requests, counts for it; everything else is of the one request, and counts for nothing. A call that is
/// given up counts against it if it was silent for as long as [its model](Model::silence) may be, or else by default as
/// [a run](runtime_traits::recovery::StallBounds) may stand still. It never repeats a call: whoever does is outside of it, so that
/// each call counts.
pub struct GuardedModel<M> {
    model: M,
    guard: Arc<Guard>,
}

impl<M: Model> GuardedModel<M> {
    pub(super) fn new(model: M, guard: Arc<Guard>) -> Self {
        Self { model, guard }
    }
}

/// What a call says about its provider.
fn judge(result: &Result<ModelReply, ModelError>) -> CallOutcome {
    match result {
        Ok(_) | Err(ModelError::RateLimited { .. }) => CallOutcome::Worked,
        // Somebody else's breaker, within: nobody was asked.
        Err(ModelError::HeldOff { .. }) => CallOutcome::Neutral,
        Err(error) if error.is_away() => CallOutcome::Failed,
        Err(_) => CallOutcome::Neutral,
    }
}

#[async_trait]
impl<M: Model> Model for GuardedModel<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn credential(&self) -> Option<&str> {
        self.model.credential()
    }

    fn called(&self) -> CalledModel {
        self.model.called()
    }

    fn silence(&self) -> Option<Duration> {
        self.model.silence()
    }

    fn held_off(&self) -> Option<Duration> {
        self.guard.held_off().or_else(|| self.model.held_off())
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let pass = match self.guard.enter() {
            Ok(pass) => pass,
            Err(retry_after) => {
                return Err(ModelError::HeldOff { model: self.name().to_owned(), retry_after });
            }
        };
        self.guard.tell().await;
        let called = Called::new(deltas, &self.guard, self.silence(), pass);
        let result = self.model.reply(request, &called).await;
        called.settle(judge(&result));
        self.guard.tell().await;
        result
    }
}

impl<M: fmt::Debug> fmt::Debug for GuardedModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedModel({:?})", self.model)
    }
}
