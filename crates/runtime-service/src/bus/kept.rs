//! A topic that is kept, read from its log: whoever comes again with the last place has missed nothing.

use std::collections::VecDeque;
use std::fmt;

use runtime_traits::Cause;
use runtime_traits::bus::{BusError, Gap, Kept, Listener, Position, Topic};

use super::source::rung;
use super::{Acting, Tailed};

/// How many events are read at once.
const PAGE: u32 = 32;

/// Reads the log of a topic, and waits at its end.
pub(super) struct KeptTail {
    acting: Acting,
    topic: Topic,
    /// The place that comes next.
    next: Position,
    read: VecDeque<Kept>,
    /// Hears that something was published.
    bell: Box<dyn Listener>,
}

impl KeptTail {
    pub(super) fn new(acting: Acting, topic: Topic, next: Position, bell: Box<dyn Listener>) -> Self {
        Self { acting, topic, next: next.max(Position::FIRST), read: VecDeque::new(), bell }
    }

    /// The next event, or the places that are no longer kept.
    pub(super) async fn next(&mut self) -> Result<Tailed, BusError> {
        loop {
            if let Some(kept) = self.read.pop_front() {
                self.next = kept.position.next();
                return Ok(Tailed::Event { position: Some(kept.position), event: kept.event });
            }
            let Acting { bus, who, tenant } = &self.acting;
            match bus.read(who, tenant, &self.topic, self.next, PAGE).await {
                Ok(page) if page.events.is_empty() => {
                    if !rung(&mut self.bell).await {
                        let cause = Cause::says("the bus is gone");
                        return Err(BusError::Unavailable { cause });
                    }
                }
                Ok(page) => self.read = page.events.into(),
                Err(BusError::BeforeRetention { first, .. }) if first > self.next => {
                    let gap = Gap { from: self.next, to: Position(first.0 - 1) };
                    self.next = first;
                    return Ok(Tailed::Gap(gap));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Debug for KeptTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, next, .. } = self;
        f.debug_struct("KeptTail").field("topic", topic).field("next", next).finish_non_exhaustive()
    }
}
