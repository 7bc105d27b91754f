//! How the calls of a model ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, Verdict};
use runtime_traits::model::{CalledModel, Deltas, ModelError, ModelReply, ModelRequest};
use runtime_traits::{Cause, Clock, Model, UnixMillis};

/// How the calls of a model ended. A cheap handle: clones share what they know.
///
/// [`ModelCalls::of`] gives the model back as one that notes its calls here.
#[derive(Clone, Debug)]
pub struct ModelCalls {
    model: Arc<str>,
    clock: Arc<dyn Clock>,
    ended: Arc<Mutex<Ended>>,
}

#[derive(Clone, Debug, Default)]
struct Ended {
    worked: Option<UnixMillis>,
    failing: Option<Failing>,
}

/// Failures that no success followed.
#[derive(Clone, Debug)]
struct Failing {
    first: UnixMillis,
    last: UnixMillis,
    /// Why the last call failed.
    why: Cause,
}

/// A model that notes how its calls ended.
#[derive(Debug)]
struct Noting {
    model: Arc<dyn Model>,
    calls: ModelCalls,
}

impl ModelCalls {
    /// The model, noting its calls, and what they are noted in.
    pub fn of(model: Arc<dyn Model>, clock: Arc<dyn Clock>) -> (Arc<dyn Model>, Self) {
        let calls = Self { model: model.name().into(), clock, ended: Arc::default() };
        (Arc::new(Noting { model, calls: calls.clone() }), calls)
    }

    /// Which model it is.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// When a call worked last; `None`: none did yet.
    pub fn last_worked(&self) -> Option<UnixMillis> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).worked
    }

    pub(super) fn judge(&self, patience: Duration) -> Health {
        let Ended { worked, failing } = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Failing { first, last, why }) = failing else { return Health::HEALTHY };
        let now = self.clock.now();
        let since = worked.map_or("no call has worked yet".to_owned(), |worked| {
            format!("the last call that worked was {:?} ago", now.since(worked))
        });
        // One call that failed long ago says little of a model that nobody asked again.
        let verdict = if last.since(first) >= patience { Verdict::Unhealthy } else { Verdict::Degraded };
        Health::new(verdict, format!("`{}` fails, {since}: {why}", self.model))
    }

    fn note(&self, ended: Result<(), &ModelError>) {
        let (now, mut noted) = (self.clock.now(), self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        match ended {
            Ok(()) => *noted = Ended { worked: Some(now), failing: None },
            // Its own agent's limit, or a breaker: nobody was asked.
            Err(ModelError::AtLimit { .. } | ModelError::HeldOff { .. }) => {}
            // It answered: what was wrong was the request.
            Err(ModelError::Refused { .. }) => *noted = Ended { worked: Some(now), failing: None },
            Err(error) => {
                let first = noted.failing.as_ref().map_or(now, |failing| failing.first);
                noted.failing = Some(Failing { first, last: now, why: Cause::of(error) });
            }
        }
    }
}

#[async_trait]
impl Model for Noting {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn credential(&self) -> Option<&str> {
        self.model.credential()
    }

    fn silence(&self) -> Option<Duration> {
        self.model.silence()
    }

    fn called(&self) -> CalledModel {
        self.model.called()
    }

    fn held_off(&self) -> Option<Duration> {
        self.model.held_off()
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let reply = self.model.reply(request, deltas).await;
        self.calls.note(reply.as_ref().map(drop));
        reply
    }
}
