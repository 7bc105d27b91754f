//! Who is told when a breaker changes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use runtime_events::catalogue::{Announced as _, BreakerClosed, BreakerHalfOpened, BreakerOpened};
use runtime_health::{BreakerState, Transition};
use runtime_traits::Tenant;
use runtime_traits::bus::{Bus, Event, Who};
use tokio::time::timeout;

use super::guard::What;

/// How long a bus may take for all that there is to tell: a call waits for it that has changed a breaker.
const WITHIN: Duration = Duration::from_millis(250);

/// The buses that are told.
#[derive(Debug, Default)]
pub(super) struct Hearers(Mutex<Vec<(Weak<dyn Bus>, Tenant)>>);

impl Hearers {
    pub(super) fn add(&self, bus: &Arc<dyn Bus>, tenant: Tenant) {
        let mut hearers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hearers.retain(|(bus, _)| bus.strong_count() > 0);
        hearers.push((Arc::downgrade(bus), tenant));
    }

    /// What is not heard in time is not said again: `status` knows how it stands.
    pub(super) async fn tell(&self, what: &What, all: VecDeque<Transition>) {
        let hearers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (bus, tenant) in hearers {
            let Some(bus) = bus.upgrade() else { continue };
            let telling = async {
                for turned in &all {
                    let (tenant, time) = (tenant.clone(), turned.at);
                    let event = Event { tenant, time, ..event(what, *turned) };
                    if let Err(error) = bus.publish(&Who::System, Arc::new(event)).await {
                        tracing::warn!(%error, "the bus is not told that a circuit breaker changed");
                    }
                }
            };
            if timeout(WITHIN, telling).await.is_err() {
                tracing::warn!("the bus does not take in time that a circuit breaker changed");
            }
        }
    }
}

fn event(what: &What, turned: Transition) -> Event {
    let What { sort, name, at, .. } = what;
    let (sort, name, at, number) = (sort.word().to_owned(), name.clone(), at.clone(), turned.number);
    match turned.to {
        BreakerState::Open { until } => BreakerOpened { name, sort, at, number, until: until.0 }.event(),
        BreakerState::HalfOpen { .. } => BreakerHalfOpened { name, sort, at, number }.event(),
        BreakerState::Closed => BreakerClosed { name, sort, at, number }.event(),
    }
}
