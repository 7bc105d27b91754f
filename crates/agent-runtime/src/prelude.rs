//! What most programs need: `use agent_runtime::prelude::*;`.

pub use std::time::Duration;

pub use async_trait::async_trait;

pub use crate::RuntimeManager;
#[cfg(feature = "service")]
pub use crate::service::AgentService;
#[cfg(feature = "documents")]
pub use runtime_agents::Librarian;
#[cfg(feature = "llm")]
pub use runtime_agents::llm::GenaiModel;
pub use runtime_agents::tools::FnTool;
pub use runtime_agents::{LlmAgent, ScriptedModel};
pub use runtime_events::EventBus;
pub use runtime_traits::agent::{Call, WaitFor};
pub use runtime_traits::{
    Agent, AgentError, AgentId, AgentKind, AgentRef, AgentSpec, Content, Ctx, Effect, Event, IdempotencyKey,
    Name, RunId, RunRequest, Runtime, RuntimeError, SessionName, SpecError, StateId, StepCall, StepError,
};
