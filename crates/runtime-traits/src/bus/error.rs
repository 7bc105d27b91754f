//! Why a bus did not do as asked.

use std::convert::Infallible;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::{Act, EventId, HeaderError, Pattern, Position, Topic, TopicError};
use crate::error::Cause;

/// What a setting of a durable subscription is called. A name of its own: serde would borrow a text without one.
type Setting = &'static str;

/// Why a bus did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusError {
    /// A topic or pattern is none.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A header is none.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The event is not one.
    #[error("the event is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The event is too large.
    #[error(
        "the event has {size} bytes, and {limit} are allowed: keep the content elsewhere and publish its place"
    )]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Events cause each other without end.
    #[error(
        "the event about `{topic}` is more than {limit} hops from the first of its chain: do handlers answer each other?"
    )]
    TooManyHops {
        /// Its topic.
        topic: Topic,
        /// The limit.
        limit: u8,
    },
    /// Only the runtime publishes there.
    #[error("`{topic}` is a topic of the runtime, and only it publishes there: use a topic of your own")]
    Protected {
        /// The topic.
        topic: Topic,
    },
    /// Somebody has no right.
    #[error("{who} may not {act} `{topics}`: ask for a right in the rules of the bus")]
    Forbidden {
        /// Who.
        who: String,
        /// What.
        act: Act,
        /// Where.
        topics: Pattern,
    },
    /// The events of a topic are not kept.
    #[error("the events of `{topic}` are not kept: give the bus a rule that keeps them")]
    NotDurable {
        /// The topic or the pattern.
        topic: Pattern,
    },
    /// A durable subscription of this name has other settings.
    #[error(
        "the durable subscription `{name}` to `{topic}` has another {what} ({kept}, not {given}): use its own, or another name"
    )]
    SettingsDiffer {
        /// Its name.
        name: String,
        /// Its topic or its pattern.
        topic: Pattern,
        /// Which setting.
        #[serde(deserialize_with = "setting")]
        what: Setting,
        /// The one that it has.
        kept: String,
        /// The one that was given.
        given: String,
    },
    /// A durable subscription has its reader already.
    #[error(
        "the durable subscription `{name}` to `{topic}` has a reader already: make it a group to share the work"
    )]
    Busy {
        /// Its name.
        name: String,
        /// Its topic or its pattern.
        topic: Pattern,
    },
    /// Another process reads a durable subscription now. What is not settled is delivered there.
    #[error("another process has taken the durable subscription `{name}` to `{topic}`: subscribe again")]
    Taken {
        /// Its name.
        name: String,
        /// Its topic or its pattern.
        topic: Pattern,
    },
    /// A place is no longer kept.
    #[error("`{topic}` is kept from place {first} on, and not from {asked}: begin there")]
    BeforeRetention {
        /// The topic.
        topic: Topic,
        /// The place that was asked for.
        asked: Position,
        /// The first that there is.
        first: Position,
    },
    /// Nobody answered a request in time.
    #[error("nobody answered the request about `{topic}` within {} ms", .within.as_millis())]
    NoAnswer {
        /// What was asked about.
        topic: Topic,
        /// The deadline.
        within: Duration,
    },
    /// The event may have been published or not: publish it again, with its id.
    #[error("it is not known whether event {id} was published ({cause}): publish it again with the same id")]
    Unknown {
        /// The event.
        id: EventId,
        /// What happened.
        cause: Cause,
    },
    /// Nothing was done: try again later.
    #[error("the bus is not available: {cause}")]
    Unavailable {
        /// What is wrong.
        cause: Cause,
    },
    /// What is kept cannot be used: it is not what was written, or the bus's server refuses it for good.
    #[error("what the bus keeps cannot be used: {what}")]
    Damaged {
        /// What it is, and what is wrong with it.
        what: String,
    },
}

impl BusError {
    /// An event that is none.
    pub fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// A short, stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Topic(_) => "bad-topic",
            Self::Header(_) | Self::Malformed { .. } => "bad-event",
            Self::TooLarge { .. } => "event-too-large",
            Self::TooManyHops { .. } => "too-many-hops",
            Self::Protected { .. } => "protected-topic",
            Self::Forbidden { .. } => "forbidden-topic",
            Self::NotDurable { .. } => "topic-not-kept",
            Self::SettingsDiffer { .. } => "subscription-differs",
            Self::Busy { .. } => "subscription-busy",
            Self::Taken { .. } => "subscription-taken",
            Self::BeforeRetention { .. } => "before-retention",
            Self::NoAnswer { .. } => "no-answer",
            Self::Unknown { .. } => "publishing-unknown",
            Self::Unavailable { .. } => "bus-unavailable",
            Self::Damaged { .. } => "bus-damaged",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unknown { .. } | Self::Unavailable { .. } | Self::Taken { .. } | Self::Busy { .. }
        )
    }
}

impl From<Infallible> for BusError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A setting by its name, as another process tells it. One that this version does not know is called by what it is.
fn setting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Setting, D::Error> {
    let told = std::borrow::Cow::<str>::deserialize(deserializer)?;
    let known = ["sharing", "number of attempts", "first pause", "longest pause"];
    Ok(known.into_iter().find(|known| *known == told).unwrap_or("setting"))
}
