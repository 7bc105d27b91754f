//! The event that is published again and again.

use std::sync::Arc;

use bytes::Bytes;
use runtime_events::{Event, EventId};
use runtime_traits::UnixMillis;

use crate::figures::error::FiguresError;

/// Bytes of an event's data.
pub(crate) const SIZE: usize = 64;
/// How many ready events take turns: more than are held anywhere, so that each is nobody's when its turn comes again.
pub(crate) const READY: usize = 4_096;

/// A ready event, of which copies with other ids are published.
pub(crate) struct Template {
    event: Event,
    count: u128,
}

impl Template {
    pub(crate) fn new(topic: &str) -> Result<Self, FiguresError> {
        let data = Bytes::from_static(&[b'x'; SIZE]);
        let mut event = Event::of_bytes(topic, "application/octet-stream", data)?;
        event.time = UnixMillis(1_800_000_000_000);
        event.source = "publisher".into();
        Ok(Self { event, count: 0 })
    }

    /// The events of this one begin elsewhere than those of others.
    pub(crate) fn starting_at(mut self, count: u128) -> Self {
        self.count = count;
        self
    }

    /// Ready events, to be published one after the other and again.
    pub(crate) fn ready(mut self) -> Vec<Arc<Event>> {
        (0..READY).map(|_| self.next()).collect()
    }

    pub(crate) fn next(&mut self) -> Arc<Event> {
        self.count += 1;
        Arc::new(Event { id: EventId::from_bytes(self.count.to_be_bytes()), ..self.event.clone() })
    }
}
