//! How long a store takes to answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::store::Key;
use runtime_traits::{Cause, Clock, Partition, Pool, StateStore};

use super::lag::LagBounds;

/// Whether a store answers, and how long it takes: it is read, and never written to.
#[derive(Debug)]
pub struct StoreLatency {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    bounds: LagBounds,
    key: Key,
}

impl StoreLatency {
    /// Degraded beyond 250 ms, unhealthy beyond 2 s.
    pub const BOUNDS: LagBounds =
        LagBounds { degraded: Duration::from_millis(250), unhealthy: Duration::from_secs(2) };

    /// Reads from this store.
    pub fn of(store: Arc<dyn StateStore>, clock: Arc<dyn Clock>, bounds: LagBounds) -> Self {
        let partition = Partition { pool: Pool::MAIN, index: 0 };
        let key = Key::new(partition, "own").expect("it is short");
        Self { store, clock, bounds, key }
    }
}

#[async_trait]
impl HealthCheck for StoreLatency {
    async fn check(&self, _: &Watched) -> Health {
        let began = self.clock.now();
        let read = self.store.get(std::slice::from_ref(&self.key)).await;
        let took = self.clock.now().since(began);
        match read {
            Ok(_) => self.bounds.judge("a read took", took),
            Err(error) => Health::new(Verdict::Unhealthy, Cause::of(&error).to_string()),
        }
    }
}
