//! Whether agents block threads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::meter::LongPoll;
use runtime_traits::{Clock, Runtime};

use super::lag::LagBounds;

/// Whether an agent blocks a thread that it was given for a moment. Of the runtime it looks at all agents, of an agent at that one.
#[derive(Debug)]
pub struct BlockedThreads {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    bounds: LagBounds,
}

impl BlockedThreads {
    /// Degraded as soon as the runtime names it (`Config::long_poll`, a second), unhealthy beyond 10 s.
    pub const BOUNDS: LagBounds = LagBounds { degraded: Duration::ZERO, unhealthy: Duration::from_secs(10) };

    /// Looks at the polls of this runtime that last.
    pub fn of(runtime: Arc<dyn Runtime>, clock: Arc<dyn Clock>, bounds: LagBounds) -> Self {
        Self { runtime, clock, bounds }
    }
}

#[async_trait]
impl HealthCheck for BlockedThreads {
    async fn check(&self, of: &Watched) -> Health {
        let status = match self.runtime.status().await {
            Ok(status) => status,
            Err(error) => {
                return Health::new(Verdict::Unknown, format!("the runtime does not answer: {error}"));
            }
        };
        let is_looked_at = |poll: &&LongPoll| match of {
            Watched::Agent(agent) => poll.agent == *agent,
            Watched::Runtime | Watched::Other(_) => true,
        };
        // The oldest comes first.
        let Some(poll) = status.process.long_polls.iter().find(is_looked_at) else { return Health::HEALTHY };
        let what = format!("{} of {} blocks its thread for", poll.run, poll.agent);
        self.bounds.judge(&what, self.clock.now().since(poll.since))
    }
}
