//! The contract of an event bus: events, the topics that they are about, and who reads them how.
//!
//! One trait, [`Bus`], and the values that go in and out of it. A backend passes the suite `runtime_testkit::suites::bus`,
//! which has one case per clause.

mod announcer;
mod base64;
mod cloud;
mod contract;
mod dead_letter;
mod delivery;
mod durable;
mod error;
mod event;
mod headers;
mod live;
mod pattern;
mod publishing;
mod rights;
mod rules;
mod telling;
mod time_text;
mod topic;

pub use announcer::{Announcer, Happening, Subject};
pub use cloud::CloudError;
pub use contract::{Bus, Deliveries, Interest, Listener, PatternDeliveries};
pub use dead_letter::{DeadLetter, DeadLetters, Requeue, Requeued, SentAgain, Unsent};
pub use delivery::{Delivery, Gap, Kept, Page, Position, Published};
pub use durable::{Durable, DurablePattern, Failure, Retry, Start};
pub use error::BusError;
pub use event::{Event, EventId};
pub use headers::{HeaderError, Headers};
pub use live::{Live, Overflow};
pub use pattern::Pattern;
pub use publishing::Publishing;
pub use rights::{Act, Rights, Rule, Who};
pub use rules::{EventLimits, Retention, TopicRule};
pub use telling::{HeldTopic, TellingStatus};
pub use topic::{Topic, TopicError};
