//! Agent Runtime: keeps AI agents alive. The facade: features, configuration, wiring.
#![doc = include_str!("../README.md")]

mod builder;
pub mod fleet;
pub mod guards;
pub mod health;
mod kinds;
mod manager;
pub mod prelude;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "http")]
pub mod webhooks;

pub use builder::Builder;
pub use health::{HealthMonitor, HealthSettings};
pub use kinds::{guarded_kinds, guarded_llm_kind, kinds, llm_kind};
pub use manager::{RuntimeManager, StartError};
#[cfg(feature = "llm")]
pub use runtime_agents::llm;
pub use runtime_agents::schemars;
pub use runtime_agents::{
    Gate, LlmAgent, LlmAgentBuilder, LlmAgentError, LlmKind, ModelSettings, ModelSource, NoModels, Retrying,
    ScriptedModel, Turn, teams, tools,
};
#[cfg(feature = "documents")]
pub use runtime_agents::{Librarian, LibrarianKind};
pub use runtime_core::{Config, ScrubRate, SystemClock, SystemEntropy};
pub use runtime_events as events;
pub use runtime_events::EventBus;
pub use runtime_resources as resources;
pub use runtime_resources::ResourceManager;
pub use runtime_resources::{AgentMeter, MeteredAlloc};
pub use runtime_state as stores;
#[cfg(feature = "redb")]
pub use runtime_state::RedbStore;
#[cfg(feature = "sled")]
pub use runtime_state::SledStore;
pub use runtime_state::{MemoryStore, OpenError, StateManager, Unfenced, open as open_store};
pub use runtime_traits::*;
