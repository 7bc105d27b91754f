//! What the owner of a topic decides about it.

use std::time::Duration;

use super::{BusError, Event, Pattern, Topic};

/// What the owner of some topics decides about them. Of several rules the first that matches holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    /// Which topics.
    pub pattern: Pattern,
    /// Whether their events are kept, and how long.
    pub keep: Option<Retention>,
    /// How long a publisher waits for a live reader whose ring is full. `None`: not at all.
    pub block: Option<Duration>,
}

/// How long the events of a topic are kept. What is in the log and older than `age` goes; what is beyond `events` or
/// `bytes` goes too, but for what an active durable subscription has not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For so long; `None`: for ever.
    pub age: Option<Duration>,
    /// So many; `None`: all.
    pub events: Option<u64>,
    /// So many bytes of them, counted like [`Event::size`]; `None`: all. The last event stays, whatever its size.
    pub bytes: Option<u64>,
}

/// What a bus takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Bytes of an event, counted like [`Event::size`].
    pub bytes: usize,
    /// Hops of an event.
    pub hops: u8,
}

impl TopicRule {
    /// Keeps the events of these topics.
    pub fn keep(pattern: Pattern, retention: Retention) -> Self {
        Self { pattern, keep: Some(retention), block: None }
    }

    /// Lets publishers wait for slow live readers of these topics.
    pub fn block(pattern: Pattern, deadline: Duration) -> Self {
        Self { pattern, keep: None, block: Some(deadline) }
    }

    /// The rule for a topic.
    pub fn for_topic<'a>(rules: &'a [Self], topic: &Topic) -> Option<&'a Self> {
        rules.iter().find(|rule| rule.pattern.matches(topic))
    }
}

impl EventLimits {
    /// Decides whether an event is one that a bus takes.
    ///
    /// # Errors
    /// [`BusError::TooLarge`], [`BusError::TooManyHops`] or [`BusError::Malformed`].
    pub fn check(&self, event: &Event) -> Result<(), BusError> {
        let size = event.size();
        if size > self.bytes {
            return Err(BusError::TooLarge { size, limit: self.bytes });
        }
        if event.hops > self.hops {
            return Err(BusError::TooManyHops { topic: event.topic.clone(), limit: self.hops });
        }
        let visible = |text: &str, most: usize| {
            // Without a way out on the way, so that it is done for many bytes at once.
            (1..=most).contains(&text.len()) && text.bytes().fold(true, |good, b| good & b.is_ascii_graphic())
        };
        if !visible(&event.source, 256) {
            return Err(BusError::malformed("its source is not 1 to 256 visible ASCII characters"));
        }
        let media = |good: bool, b: u8| good & (b.is_ascii_graphic() | (b == b' '));
        let media = event.content_type.bytes().fold(true, media);
        if !(1..=256).contains(&event.content_type.len()) || !media {
            return Err(BusError::malformed("its content type is not 1 to 256 printable ASCII characters"));
        }
        Ok(())
    }
}

impl Default for EventLimits {
    /// 256 KiB and 16 hops.
    fn default() -> Self {
        Self { bytes: 256 * 1024, hops: 16 }
    }
}
