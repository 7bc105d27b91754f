//! How long an executor takes to come to a task.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::Clock;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lag::LagBounds;

/// How long an executor takes to come to a new task: too long where its threads are blocked or too much is to be done.
///
/// It sees a wholly blocked executor only from another one: look from a monitor with a
/// [thread of its own](crate::HealthMonitorBuilder::on_own_thread).
#[derive(Debug)]
pub struct ExecutorLag {
    executor: Handle,
    clock: Arc<dyn Clock>,
    bounds: LagBounds,
}

impl ExecutorLag {
    /// Degraded beyond 250 ms, unhealthy beyond 2 s.
    pub const BOUNDS: LagBounds =
        LagBounds { degraded: Duration::from_millis(250), unhealthy: Duration::from_secs(2) };

    /// Looks at this executor.
    pub fn of(executor: Handle, clock: Arc<dyn Clock>, bounds: LagBounds) -> Self {
        Self { executor, clock, bounds }
    }
}

#[async_trait]
impl HealthCheck for ExecutorLag {
    async fn check(&self, _: &Watched) -> Health {
        let began = self.clock.now();
        let mut task = JoinSet::new();
        task.spawn_on(async {}, &self.executor);
        // Nobody waits longer than it takes to know enough; the task is dropped with this.
        let enough = self.bounds.unhealthy + Duration::from_millis(1);
        match timeout(enough, task.join_next()).await {
            Ok(Some(Ok(()))) => {
                self.bounds.judge("the executor came to a task after", self.clock.now().since(began))
            }
            Ok(_) => Health::new(Verdict::Unhealthy, "the executor is there no more"),
            Err(_) => self.bounds.judge("the executor has not come to a task for", enough),
        }
    }
}
