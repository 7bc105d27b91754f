//! The event bus: how fast it hands events on, and what it costs when nobody listens.

#[cfg(feature = "peers")]
mod channels;
pub(crate) mod durable;
pub(crate) mod fan_out;
pub(crate) mod patterns;
#[cfg(feature = "peers")]
mod raw_redis;
pub(crate) mod redis_events;
pub(crate) mod stopped;
mod template;
mod tokio_channel;
pub(crate) mod unheard;
