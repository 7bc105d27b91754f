//! What the service has of a bus.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use runtime_traits::Name;
use runtime_traits::bus::{Bus, Deliveries, Topic, Who};
use runtime_traits::clock::Clock;

/// A bus, and the durable subscriptions that somebody reads through the service.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    reading: Arc<Mutex<HashMap<Reading, Weak<dyn Deliveries>>>>,
}

/// A durable subscription that somebody reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    /// For whom, as it is called in refusals.
    who: String,
    topic: Topic,
    name: Name,
}

impl Reading {
    pub(crate) fn new(who: &Who, topic: &Topic, name: &Name) -> Self {
        Self { who: who.to_string(), topic: topic.clone(), name: name.clone() }
    }
}

impl Door {
    pub(crate) fn new(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { bus, clock, reading: Arc::default() }
    }

    /// Remembers who reads a durable subscription, for as long as they do.
    pub(crate) fn reads(&self, reading: Reading, deliveries: &Arc<dyn Deliveries>) {
        let mut all = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, reader| reader.strong_count() > 0);
        all.insert(reading, Arc::downgrade(deliveries));
    }

    /// The reader of a durable subscription.
    pub(crate) fn reader(&self, reading: &Reading) -> Option<Arc<dyn Deliveries>> {
        let all = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(reading).and_then(Weak::upgrade)
    }
}
