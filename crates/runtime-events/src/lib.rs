#![doc = include_str!("../README.md")]

mod bus;
pub mod catalogue;
mod core;
mod durable;
mod in_process;
mod journal;
mod live;
mod marks;
#[cfg(feature = "redis")]
mod redis_bus;
mod steady;
mod store_journal;
mod watch;

pub use bus::{
    DurableReader, DurableSubscription, EventBus, EventBusBuilder, EventStream, Handled, PatternReader,
    Subscription,
};
pub use in_process::InProcessBus;
#[cfg(feature = "redis")]
pub use redis_bus::{ConnectError, RedisBus};
pub use runtime_traits::bus::{
    Act, Bus, BusError, CloudError, DeadLetter, DeadLetters, Deliveries, Delivery, Durable, DurablePattern,
    Event, EventId, EventLimits, Failure, Gap, HeaderError, Headers, Kept, Listener, Live, Overflow, Page,
    Pattern, PatternDeliveries, Position, Published, Requeue, Requeued, Retention, Retry, Rights, Rule,
    SentAgain, Start, Topic, TopicError, TopicRule, Unsent, Who,
};
