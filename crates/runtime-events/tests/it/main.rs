//! Both buses against the contract, against a model, and under faults.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod catalogue;
mod fixtures;
mod handlers;
mod model;
mod patterns;
mod redis_faults;
mod requeue;
mod soak;
mod store_faults;
mod wrong;

use std::sync::Arc;

use runtime_events::{Event, EventId};
use runtime_traits::UnixMillis;

/// An event whose id and data are its number.
fn event(number: u64, topic: &str) -> Arc<Event> {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let mut event = Event::new(topic, &number).unwrap();
    event.id = EventId::from_bytes(id);
    event.time = UnixMillis(1_800_000_000_000);
    Arc::new(event)
}

mod in_process {
    runtime_testkit::bus_conformance!(crate::fixtures::OverMaps::default());
}

mod redis_after_our_death {
    runtime_testkit::bus_conformance!(crate::fixtures::InRedis::when(crate::fixtures::Dies::We));
}

mod redis_after_its_death {
    runtime_testkit::bus_conformance!(crate::fixtures::InRedis::when(crate::fixtures::Dies::Redis));
}
