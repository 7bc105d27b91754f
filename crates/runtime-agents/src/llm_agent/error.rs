//! Why an agent with a model cannot be built.

use runtime_traits::{Cause, NameError};
use thiserror::Error;

use crate::tools::SchemaFault;

/// Why an agent with a model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LlmAgentError {
    /// Its name, or that of another agent, is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No provider takes this tool.
    #[error("setting `tools`: the tool `{tool}` cannot be offered to a model: {fault}")]
    Tool {
        /// The tool.
        tool: String,
        /// What is wrong with its name or its schema.
        #[source]
        fault: SchemaFault,
    },
    /// A model could not tell them apart.
    #[error("setting `tools`: there are two tools `{tool}`; give one of them another name")]
    TwoTools {
        /// The name that both have.
        tool: String,
    },
    /// What the output has to fit is no schema.
    #[error("setting `output_schema` is of no use: {fault}")]
    Output {
        /// What is wrong with it.
        #[source]
        fault: SchemaFault,
    },
    /// An agent cannot hand a conversation over to itself: it would wait for itself.
    #[error("setting `hand_off_to` names the agent `{agent}` itself; name another one")]
    Itself {
        /// The agent.
        agent: String,
    },
    /// A number is outside of what makes sense.
    #[error("setting `{setting}` is {given}; use {range}")]
    Range {
        /// The setting.
        setting: &'static str,
        /// What was given.
        given: String,
        /// What may be given.
        range: &'static str,
    },
    /// A setting cannot be written down as JSON.
    #[error("the settings cannot be written as JSON: {0}")]
    Json(Cause),
}
