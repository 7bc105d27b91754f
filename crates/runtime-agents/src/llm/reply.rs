//! Puts a reply together from the pieces of a stream.

use genai::chat::{StopReason as Stop, StreamEnd, ToolCall as Call, Usage};
use runtime_traits::ModelReply;
use runtime_traits::model::{StopReason, TokenUsage, ToolCall};
use serde_json::Value;

use crate::llm::bounds::{Bounds, TooMuch};
use crate::llm::provider::Provider;
use crate::llm::request::inward;
use crate::llm::state::ProviderState;

/// A reply that is coming.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    text: String,
    calls: Vec<ToolCall>,
    /// Bytes of what the model thought.
    thought: usize,
}

impl Coming {
    /// Takes a piece of the text.
    pub(crate) fn text(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// Takes a piece of what the model thinks. It is not kept here.
    pub(crate) fn thought(&mut self, piece: &str) {
        self.thought = self.thought.saturating_add(piece.len());
    }

    /// What there is too much of.
    pub(crate) fn too_much(&self, bounds: Bounds) -> Option<TooMuch> {
        let calls = self.calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len());
        let said = self.text.len().saturating_add(self.thought).saturating_add(calls.sum());
        if self.calls.len() > Bounds::CALLS {
            Some(TooMuch::Calls)
        } else {
            (said > bounds.said).then_some(TooMuch::Said(bounds.said))
        }
    }

    /// Takes a call, or a call with more of its arguments.
    ///
    /// The text of the arguments is taken from here and not from the end of the stream, where it has been through a
    /// parser: an argument that a model wrote wrongly would no longer be what it wrote.
    pub(crate) fn call(&mut self, call: Call) {
        let Call { call_id, fn_name, fn_arguments, .. } = call;
        let fn_name = inward(fn_name);
        let Value::String(arguments) = fn_arguments else {
            // Whole calls, of providers that do not stream arguments.
            let arguments = if fn_arguments.is_null() { String::new() } else { fn_arguments.to_string() };
            self.calls.push(ToolCall { id: call_id, name: fn_name, arguments });
            return;
        };
        let begun = self.calls.iter_mut().rev().find(|begun| {
            begun.id == call_id && begun.name == fn_name && arguments.starts_with(&begun.arguments)
        });
        match begun {
            Some(begun) => begun.arguments = arguments,
            None => self.calls.push(ToolCall { id: call_id, name: fn_name, arguments }),
        }
    }

    /// Whether the model has said something.
    pub(crate) fn has_begun(&self) -> bool {
        !self.text.is_empty() || !self.calls.is_empty()
    }

    /// The whole, or nothing if what ended the stream was not its finishing event: some streams get an end from the
    /// library when they break off, but then no reason for it.
    pub(crate) fn end(self, provider: Provider, end: &StreamEnd) -> Option<ModelReply> {
        let stop = stop(end.captured_stop_reason.as_ref()?);
        let state = ProviderState::of(provider, end);
        let usage = end.captured_usage.as_ref().and_then(usage);
        Some(ModelReply { text: self.text, calls: whole(self.calls), stop, usage, state })
    }

    /// The reply of a provider that held the question back.
    pub(crate) fn held_back(self) -> ModelReply {
        ModelReply { text: self.text, stop: StopReason::Filtered, ..ModelReply::default() }
    }
}

/// Every call has arguments and an id of its own.
fn whole(mut calls: Vec<ToolCall>) -> Vec<ToolCall> {
    for at in 0..calls.len() {
        let (before, rest) = calls.split_at_mut(at);
        let Some(call) = rest.first_mut() else { break };
        if call.arguments.trim().is_empty() {
            call.arguments = "{}".to_owned();
        }
        if call.id.is_empty() || before.iter().any(|earlier| earlier.id == call.id) {
            call.id = format!("{}#{at}", call.id);
        }
    }
    calls
}

fn stop(reason: &Stop) -> StopReason {
    match reason {
        Stop::MaxTokens(_) => StopReason::Length,
        Stop::ContentFilter(_) => StopReason::Filtered,
        Stop::Completed(_) | Stop::ToolCall(_) | Stop::StopSequence(_) | Stop::Other(_) => StopReason::Done,
    }
}

/// Both counters or nothing: half of a bill is no bill.
fn usage(usage: &Usage) -> Option<TokenUsage> {
    let count = |tokens: Option<i32>| u64::try_from(tokens?).ok();
    Some(TokenUsage { input: count(usage.prompt_tokens)?, output: count(usage.completion_tokens)? })
}
