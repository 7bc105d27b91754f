//! The facade, from outside.

mod announced;
#[cfg(feature = "redb")]
mod books;
mod bus;
mod contents;
mod deletion;
mod depth;
#[cfg(feature = "service")]
mod events_over_http;
mod fleet_bus;
mod fleet_file;
mod fleet_schedules;
#[cfg(feature = "http")]
mod fleet_webhooks;
mod guards;
mod health;
mod interleavings;
mod limits;
mod limits_together;
mod migrations;
#[cfg(feature = "llm")]
mod outage;
#[cfg(feature = "redb")]
mod poison;
mod process;
mod quotas;
#[cfg(feature = "service")]
mod recovering;
mod remote_runtime;
mod scrubbing;
mod sleeping;
mod snapshots;
mod thinking;
mod usage;
mod usage_history;
#[cfg(feature = "http")]
mod web_tools;
#[cfg(feature = "http")]
mod webhooks;
#[cfg(feature = "llm")]
mod wire;

/// What agents take of memory is known, as in the command.
#[global_allocator]
static ALLOC: agent_runtime::MeteredAlloc = agent_runtime::MeteredAlloc::system();
