//! Models of OpenAI, Anthropic, Gemini, Ollama, and of whatever speaks as OpenAI does.
//!
//! ```no_run
//! use runtime_agents::llm::GenaiModel;
//!
//! # fn main() -> Result<(), runtime_agents::llm::SetupError> {
//! let model = GenaiModel::named("openai/gpt-4o").key("env:OPENAI_API_KEY").build()?;
//! # Ok(())
//! # }
//! ```

mod bounds;
mod builder;
mod error;
mod events;
mod exchange;
mod failure;
mod frames;
mod key;
mod model;
mod provider;
mod quiet;
mod relay;
mod reply;
mod request;
mod said;
mod source;
mod state;

pub use builder::GenaiModelBuilder;
pub use error::SetupError;
pub use key::Secret;
pub use model::GenaiModel;
pub use provider::Provider;
pub use source::GenaiModels;
