#![cfg_attr(feature = "documents", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "documents"),
    doc = "Agents that Agent Runtime hosts: agents with models, their tools, and teams of agents."
)]

#[cfg(feature = "documents")]
pub mod documents;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "documents")]
mod librarian;
#[cfg(feature = "llm")]
pub mod llm;
mod llm_agent;
mod llm_kind;
mod model_source;
mod retrying;
mod scripted;
pub mod teams;
mod thinking;
#[cfg(feature = "tls")]
mod tls;
pub mod tools;

#[cfg(feature = "documents")]
pub use librarian::{Librarian, LibrarianKind};
pub use llm_agent::{LlmAgent, LlmAgentBuilder, LlmAgentError};
pub use llm_kind::{LlmKind, ToolSettings};
pub use model_source::{ModelSettings, ModelSource, NoModels};
pub use retrying::Retrying;
pub use schemars;
pub use scripted::{Gate, ScriptedModel, Turn};
