//! Whether a model answers.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::health::{Health, HealthCheck, RecoveryAnswer, Verdict, Watched};

use super::model_calls::ModelCalls;

/// Whether a model is there to be asked.
pub struct ModelAvailable {
    model: String,
    how: How,
}

enum How {
    /// Its provider is asked something that costs nothing.
    Asking(Box<dyn Fn() -> BoxFuture<'static, Result<(), runtime_traits::Cause>> + Send + Sync>),
    /// By how its calls ended.
    ByCalls(ModelCalls, Duration),
}

impl ModelAvailable {
    /// Asks its provider what costs nothing: for its list of models, say.
    pub fn asking<Asking, Answer>(model: &str, ask: impl Fn() -> Asking + Send + Sync + 'static) -> Self
    where
        Asking: Future<Output = Answer> + Send + 'static,
        Answer: RecoveryAnswer + 'static,
    {
        let ask = move || -> BoxFuture<'static, _> {
            let asking = ask();
            Box::pin(async move { asking.await.recovered() })
        };
        Self { model: model.to_owned(), how: How::Asking(Box::new(ask)) }
    }

    /// Looks at how its calls ended, for providers that have no list: it is degraded when the last call failed, and unhealthy when
    /// calls have failed for as long as `patience` without one that worked. A model that nobody asks is taken to be there.
    pub fn by_calls(calls: ModelCalls, patience: Duration) -> Self {
        Self { model: calls.model().to_owned(), how: How::ByCalls(calls, patience) }
    }
}

#[async_trait]
impl HealthCheck for ModelAvailable {
    async fn check(&self, _: &Watched) -> Health {
        match &self.how {
            How::Asking(ask) => match ask().await {
                Ok(()) => Health::HEALTHY,
                Err(cause) => {
                    Health::new(Verdict::Unhealthy, format!("`{}` is not available: {cause}", self.model))
                }
            },
            How::ByCalls(calls, patience) => calls.judge(*patience),
        }
    }
}

impl fmt::Debug for ModelAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelAvailable").field("model", &self.model).finish_non_exhaustive()
    }
}
