//! Whether a runtime takes runs.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::{Runtime, runtime};

/// Whether a runtime takes runs. One that is ending is degraded: that is no failure; one whose store fails is unhealthy.
#[derive(Debug)]
pub struct Readiness {
    runtime: Arc<dyn Runtime>,
}

impl Readiness {
    /// Looks at this runtime.
    pub fn of(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }
}

#[async_trait]
impl HealthCheck for Readiness {
    async fn check(&self, _: &Watched) -> Health {
        match self.runtime.status().await.map(|status| status.readiness) {
            Ok(runtime::Readiness::Ready) => Health::HEALTHY,
            Ok(runtime::Readiness::Draining) => Health::new(Verdict::Degraded, "it is ending"),
            Ok(runtime::Readiness::StoreFailed(cause)) => {
                Health::new(Verdict::Unhealthy, format!("its store fails: {cause}"))
            }
            Err(error) => Health::new(Verdict::Unknown, format!("the runtime does not answer: {error}")),
        }
    }
}
