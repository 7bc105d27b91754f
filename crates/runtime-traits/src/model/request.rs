//! What a model is asked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::reply::ToolCall;

/// What a model is asked: to continue a conversation.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    /// What the model is told before the conversation; empty for nothing.
    pub system: Arc<str>,
    /// The conversation, oldest first. Every call is followed by its result, as [`project`](crate::model::project)
    /// leaves it.
    pub messages: Vec<ChatMessage>,
    /// The tools that it may call.
    pub tools: Arc<[ToolSpec]>,
    /// The JSON Schema that the text of its last message has to fit.
    pub output: Option<Arc<RawValue>>,
    /// The most tokens of the reply. Always sent: it bounds what a call can cost.
    pub max_tokens: u32,
    /// How much chance there is in the reply, where the provider takes it.
    pub temperature: Option<f64>,
}

/// A message of a conversation, as models know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatMessage {
    /// What somebody says to the model.
    User(String),
    /// What the model said.
    Assistant {
        /// Its text; may be empty beside calls.
        text: String,
        /// The tools that it called.
        calls: Vec<ToolCall>,
        /// What its provider wants to be given back with this message, unread: JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
    },
    /// What a call came to.
    Tool {
        /// The id of the call.
        call: String,
        /// The result, or why there is none.
        text: String,
    },
}

/// A tool, as a model sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name: 1 to 60 of `A-Z`, `a-z`, `0-9`, `_` and `-`, beginning with a letter. All providers take that.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// The JSON Schema of its arguments: an object.
    pub parameters: Arc<RawValue>,
}
