//! The bus, as the service serves it: what a tail of a topic tells, and where it comes from.

mod door;
mod kept;
mod source;

use std::sync::Arc;

use runtime_traits::bus::{Event, Gap, Position};

pub(crate) use door::{Door, Reading};
pub(crate) use source::{Acting, Begin, Items};

/// What a tail of topics tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tailed {
    /// It has begun.
    Open {
        /// Whether it goes on without a loss after a break: a topic that is kept, or a durable subscription.
        kept: bool,
        /// The place after which it begins, in a topic that is kept.
        after: Option<Position>,
    },
    /// An event.
    Event {
        /// Its place, in a topic that is kept.
        position: Option<Position>,
        /// The event.
        event: Arc<Event>,
    },
    /// Events are lost to this reader: it was too slow, or they were kept no longer.
    Gap(Gap),
    /// The connection broke, and another one was made. What was published meanwhile is not known, unless it is kept.
    Broken,
}
