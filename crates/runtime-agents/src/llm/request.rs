//! From our request to the library's.

use genai::chat::{
    ChatMessage as Message, ChatOptions, ChatRequest, ChatResponseFormat, ContentPart, JsonSpec,
    MessageContent, ReasoningEffort, Tool, ToolCall as Call, ToolName, ToolResponse,
};
use runtime_traits::ModelRequest;
use runtime_traits::model::{ChatMessage, ToolCall, ToolSpec};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::llm::provider::Provider;
use crate::llm::state::ProviderState;

/// The name under which a schema is sent; nobody sees it.
const OUTPUT: &str = "reply";

/// Names that the library takes for tools of the providers, which would then be sent in place of ours.
const TAKEN: [&str; 5] =
    ["web_search", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext"];
/// What makes another name of a taken one.
const OURS: &str = "__ours";

/// The name under which a tool is sent.
fn outward(name: &str) -> String {
    if TAKEN.contains(&name) { format!("{name}{OURS}") } else { name.to_owned() }
}

/// The name of the tool that was sent as `name`.
pub(crate) fn inward(name: String) -> String {
    let taken = name.strip_suffix(OURS).filter(|name| TAKEN.contains(name)).map(str::to_owned);
    taken.unwrap_or(name)
}

/// The conversation and the tools.
pub(crate) fn chat(provider: Provider, request: &ModelRequest) -> ChatRequest {
    let mut chat = ChatRequest::from_messages(messages(provider, &request.messages));
    if !request.system.is_empty() {
        chat = chat.with_system(&*request.system);
    }
    if !request.tools.is_empty() {
        chat = chat.with_tools(request.tools.iter().map(tool));
    }
    chat
}

/// Everything beside the conversation.
pub(crate) fn options(provider: Provider, request: &ModelRequest) -> ChatOptions {
    let mut options = ChatOptions::default()
        .with_max_tokens(request.max_tokens)
        .with_capture_usage(true)
        .with_capture_content(true)
        .with_capture_tool_calls(true);
    options.temperature = request.temperature;
    if let Some(schema) = &request.output {
        let spec = JsonSpec::new(OUTPUT, value(schema));
        options = options.with_response_format(ChatResponseFormat::JsonSpec(spec));
    }
    if provider.speaks_openai() {
        // Sends nothing, and keeps the library from reading an effort into names such as `qwen-max`.
        options = options.with_reasoning_effort(ReasoningEffort::Budget(0));
    }
    if provider == Provider::Anthropic {
        // Thoughts go back with their signatures, or not at all.
        options = options.with_capture_reasoning_content(true);
    }
    options
}

/// The results of one reply's calls go into one message: that is what the providers ask for.
fn messages(provider: Provider, messages: &[ChatMessage]) -> Vec<Message> {
    let mut sent: Vec<Message> = Vec::new();
    let mut results: Vec<ContentPart> = Vec::new();
    for message in messages {
        if !matches!(message, ChatMessage::Tool { .. }) {
            close(&mut sent, &mut results);
        }
        match message {
            ChatMessage::User(text) => sent.push(Message::user(text.as_str())),
            ChatMessage::Assistant { text, calls, state } => {
                let state = state.as_deref().and_then(|state| ProviderState::read(provider, state));
                sent.push(Message::assistant(assistant(text, calls, state.as_ref())));
            }
            ChatMessage::Tool { call, text } => {
                results.push(ContentPart::ToolResponse(ToolResponse::new(call.as_str(), text.as_str())));
            }
        }
    }
    close(&mut sent, &mut results);
    sent
}

fn close(sent: &mut Vec<Message>, results: &mut Vec<ContentPart>) {
    if !results.is_empty() {
        let parts = std::mem::take(results);
        sent.push(Message::new(genai::chat::ChatRole::Tool, MessageContent::from_parts(parts)));
    }
}

fn assistant(text: &str, calls: &[ToolCall], state: Option<&ProviderState>) -> MessageContent {
    let mut parts = state.map(ProviderState::leading).unwrap_or_default();
    if !text.is_empty() {
        parts.push(ContentPart::Text(text.to_owned()));
    }
    let mut calls: Vec<Call> = calls.iter().map(call).collect();
    if let Some(state) = state {
        state.sign(&mut calls);
    }
    parts.extend(calls.into_iter().map(ContentPart::ToolCall));
    MessageContent::from_parts(parts)
}

fn call(call: &ToolCall) -> Call {
    Call {
        call_id: call.id.clone(),
        fn_name: outward(&call.name),
        fn_arguments: arguments(&call.arguments),
        thought_signatures: None,
    }
}

/// Providers take objects only. What a model wrote that is none is shown to it as the text that it is.
fn arguments(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        Ok(_) | Err(_) => json!({ "malformed": text }),
    }
}

fn tool(spec: &ToolSpec) -> Tool {
    Tool::new(ToolName::Custom(outward(&spec.name)))
        .with_description(spec.description.as_str())
        .with_schema(value(&spec.parameters))
}

/// A raw value is JSON: it can be read.
fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}
