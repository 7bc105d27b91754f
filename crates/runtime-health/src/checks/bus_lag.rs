//! Whether what happens reaches the bus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::bus::TellingStatus;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::{Clock, Runtime, UnixMillis};

use super::lag::LagBounds;

/// Whether what a runtime has to tell reaches its bus in time. A damaged topic, of which events are held aside, is degraded.
#[derive(Debug)]
pub struct BusLag {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    bounds: LagBounds,
}

impl BusLag {
    /// Degraded beyond 10 s, unhealthy beyond 60 s.
    pub const BOUNDS: LagBounds =
        LagBounds { degraded: Duration::from_secs(10), unhealthy: Duration::from_secs(60) };

    /// Looks at what waits for the bus of this runtime.
    pub fn of(runtime: Arc<dyn Runtime>, clock: Arc<dyn Clock>, bounds: LagBounds) -> Self {
        Self { runtime, clock, bounds }
    }
}

#[async_trait]
impl HealthCheck for BusLag {
    async fn check(&self, _: &Watched) -> Health {
        match self.runtime.status().await {
            Ok(status) => status.telling.as_ref().map_or(Health::HEALTHY, |telling| {
                let waits = lag(telling, self.bounds, self.clock.now());
                Health::worst_of([waits, held(telling)])
            }),
            Err(error) => Health::new(Verdict::Unknown, format!("the runtime cannot be looked at: {error}")),
        }
    }
}

fn lag(telling: &TellingStatus, bounds: LagBounds, now: UnixMillis) -> Health {
    let Some(since) = telling.since else { return Health::HEALTHY };
    let what = format!("{} announced and not delivered to the bus: the oldest waits for", telling.waiting);
    bounds.judge(&what, now.since(since))
}

fn held(telling: &TellingStatus) -> Health {
    let Some(first) = telling.held.first() else { return Health::HEALTHY };
    let reason = format!("events of the topic `{}` are held aside: {}", first.topic, first.what);
    Health::new(Verdict::Degraded, reason)
}
