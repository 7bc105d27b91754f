//! What a model answers.

use serde::{Deserialize, Serialize};

/// What a model answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReply {
    /// Its text; may be empty beside calls.
    #[serde(default)]
    pub text: String,
    /// The tools that it wants called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    #[serde(default)]
    pub stop: StopReason,
    /// What the provider says was used. `None`: it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// What its provider wants to be given back with this message, unread: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A call of a tool, as a model asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments as the model wrote them: JSON text, unless the model made a mistake.
    pub arguments: String,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model was done, or wants tools called.
    #[default]
    Done,
    /// It came to its most tokens: the text is cut off.
    Length,
    /// The provider held it back.
    Filtered,
}

/// Tokens of one call, as its provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Read by the model.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
}
