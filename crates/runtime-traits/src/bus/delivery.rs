//! What readers get.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Event;
use crate::clock::UnixMillis;

/// The place of an event in a durable topic, or among the events of a live subscription: 1, 2, 3, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Event {
        /// Its place.
        position: Position,
        /// How often it was delivered before and failed, plus one. A live event is delivered once.
        attempt: u32,
        /// The event itself, shared by all readers.
        event: Arc<Event>,
    },
    /// Events were lost: the reader was slower than the publishers, or than retention; or the bus's server lost what it had
    /// answered for. Then the places are those from which on nothing is what it was, and new events come there.
    Gap(Gap),
}

/// The places that were lost, first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first lost place.
    pub from: Position,
    /// The last lost place.
    pub to: Position,
}

/// What became of an event that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its place in its topic's log, where the topic is durable.
    pub position: Option<Position>,
    /// How many live readers of this process it was handed to before this was answered.
    pub reached: usize,
}

/// An event in the log of a durable topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place.
    pub position: Position,
    /// When it was appended, by the clock of who appended it.
    pub at: UnixMillis,
    /// The event.
    pub event: Arc<Event>,
}

/// Some events of a durable topic, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The place of the first event here. Greater than the place asked for: the topic is trimmed up to it.
    pub first: Position,
    /// The place that the topic's next event will get.
    pub next: Position,
    /// The events.
    pub events: Vec<Kept>,
}

impl Position {
    /// The first place of all.
    pub const FIRST: Self = Self(1);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Gap {
    /// How many events were lost.
    pub const fn lost(&self) -> u64 {
        self.to.0 - self.from.0 + 1
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
