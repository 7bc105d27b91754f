//! What is published: an event with its topic and data.

use std::fmt;

use bytes::Bytes;
use runtime_traits::id::mint_uuid;
use runtime_traits::{Clock, Entropy};
use uuid::Uuid;

use crate::topic::Topic;

/// A message on the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Tells it from all others.
    pub id: EventId,
    /// What it is about.
    pub topic: Topic,
    /// What it says.
    pub data: Data,
}

/// The id of an event. Whoever publishes one event twice gives it one id, so that readers can tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A JSON value.
    Json(serde_json::Value),
    /// Bytes that the bus does not look into.
    Bytes(Bytes),
}

impl Event {
    /// An event about `topic` that says `data`.
    pub fn new(id: EventId, topic: Topic, data: impl Into<Data>) -> Self {
        Self { id, topic, data: data.into() }
    }
}

impl EventId {
    /// Draws a new id; ids that are drawn later are greater, to the millisecond.
    pub fn mint(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        Self(mint_uuid(clock, entropy))
    }

    /// An id that the caller makes sure is given once, say a hash of where the event comes from.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id as bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<serde_json::Value> for Data {
    fn from(value: serde_json::Value) -> Self {
        Self::Json(value)
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
