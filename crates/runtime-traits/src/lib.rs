//! The contracts of Agent Runtime.
//!
//! This crate holds what two crates of the workspace must name, or what a third party implements: ids and names,
//! payloads, the [`store`] contract, the [`log`] of a run with its pure projection, what an [`agent`] sees, and the
//! control contract [`Runtime`]. It contains no executor, no driver, and no IO but the
//! [clock](SystemClock) and the [entropy](SystemEntropy) of the system.
#![doc = include_str!("../README.md")]

pub mod agent;
pub mod bus;
pub mod clock;
pub mod content;
pub mod error;
#[doc(hidden)]
pub mod guard;
pub mod health;
pub mod id;
pub mod log;
pub mod meter;
pub mod model;
pub mod name;
pub mod partition;
pub mod recovery;
pub mod resource;
pub mod runtime;
pub mod schedule;
pub mod schema;
pub mod scrub;
pub mod snapshot;
pub mod store;
pub mod tool;

pub use agent::{
    Agent, AgentError, AgentKind, AgentSpec, Ctx, SetStateError, SpecError, StepCall, StepError, StepOptions,
};
pub use bus::{Bus, BusError, Event};
pub use clock::{Clock, Entropy, SystemClock, SystemEntropy, UnixMillis};
pub use content::{Content, Digest, Media, Payload};
pub use error::Cause;
pub use health::{Health, HealthCheck, Recovery, Verdict, Watched};
pub use id::{AgentId, NodeId, RunId, StateId};
pub use log::{Effect, Entry, EntryKind, Outcome, RunFailure, RunView, StepKey, StepSort, Usage};
pub use meter::PollMeter;
pub use model::{CalledModel, Deltas, Model, ModelError, ModelReply, ModelRequest};
pub use name::{IdempotencyKey, Name, NameError, SessionName, Tenant};
pub use partition::{Partition, Pool};
pub use resource::{ResourceGovernor, ResourceLimits, ResourceUsage};
pub use runtime::{AgentRef, RunRequest, Runtime, RuntimeError};
pub use schedule::{Schedule, ScheduleError};
pub use schema::{HasSchema, Schema, SchemaError};
pub use scrub::Scrub;
pub use snapshot::Snapshots;
pub use store::{Doorbell, StateError, StateStore};
pub use tool::{Reconciled, Tool};
