#![doc = include_str!("../README.md")]

mod bus;
mod event;
mod subscription;
mod topic;

pub use bus::EventBus;
pub use event::{Data, Event, EventId};
pub use subscription::{Delivery, Gap, Subscription};
pub use topic::{Pattern, Topic, TopicError};
