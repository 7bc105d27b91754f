//! What a provider wants back with a message: signatures of its thoughts. Kept as JSON text, read by nobody else.

use genai::chat::{ContentPart, CustomPart, StreamEnd, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::llm::provider::Provider;

/// What goes back with one message of a model.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProviderState {
    /// Whose it is: another provider is not sent it.
    provider: Provider,
    /// What stands before the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    thoughts: Vec<Thought>,
    /// The signatures of each call, in the order of the calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    calls: Vec<Vec<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Thought {
    Signature(String),
    Text(String),
    Whole(Value),
}

impl ProviderState {
    /// What the end of a stream holds that goes back, as JSON text; nothing, most often.
    pub(crate) fn of(provider: Provider, end: &StreamEnd) -> Option<String> {
        let parts = end.captured_content.iter().flat_map(|content| content.parts());
        let (mut thoughts, mut calls) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                ContentPart::ThoughtSignature(text) => thoughts.push(Thought::Signature(text.clone())),
                ContentPart::ReasoningContent(text) => thoughts.push(Thought::Text(text.clone())),
                ContentPart::Custom(custom) => thoughts.push(Thought::Whole(custom.data.clone())),
                ContentPart::ToolCall(call) => {
                    calls.push(call.thought_signatures.clone().unwrap_or_default())
                }
                ContentPart::Text(_) | ContentPart::Binary(_) | ContentPart::ToolResponse(_) => {}
            }
        }
        if calls.iter().all(Vec::is_empty) {
            calls.clear();
        }
        if thoughts.is_empty() && calls.is_empty() {
            return None;
        }
        serde_json::to_string(&Self { provider, thoughts, calls }).ok()
    }

    /// Reads what [`ProviderState::of`] wrote for the same provider; anything else is not sent.
    pub(crate) fn read(provider: Provider, text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|state: &Self| state.provider == provider)
    }

    /// What stands before the text.
    pub(crate) fn leading(&self) -> Vec<ContentPart> {
        let part = |thought: &Thought| match thought {
            Thought::Signature(text) => ContentPart::ThoughtSignature(text.clone()),
            Thought::Text(text) => ContentPart::ReasoningContent(text.clone()),
            Thought::Whole(data) => ContentPart::Custom(CustomPart { model_iden: None, data: data.clone() }),
        };
        self.thoughts.iter().map(part).collect()
    }

    /// Signs the calls.
    pub(crate) fn sign(&self, calls: &mut [ToolCall]) {
        for (call, signatures) in calls.iter_mut().zip(&self.calls) {
            call.thought_signatures = (!signatures.is_empty()).then(|| signatures.clone());
        }
    }
}
