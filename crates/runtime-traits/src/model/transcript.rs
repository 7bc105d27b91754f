//! From what was said in a session to what a model is sent: a pure fold, total on every prefix.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::content::{Content, Media};
use crate::id::RunId;
use crate::log::Author;
use crate::model::reply::{ModelReply, ToolCall};
use crate::model::request::ChatMessage;

/// What stands where a call has no result: its run ended before there was one.
pub const NO_RESULT: &str = "There is no result: the run ended before the tool was done.";

/// Stands at the begin of a conversation whose begin is not shown: the first word is a caller's.
pub const LEFT_OUT: &str = "(What was said before is left out.)";

/// A message of a session with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Who says it.
    pub author: Author,
    /// The run that it belongs to.
    pub run: RunId,
    /// What is said: text of callers and agents, a [`ModelReply`] of models, a [`ToolResult`] of tools.
    pub content: Content,
}

/// What a call came to: the content of a message whose author is a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The id of the call.
    pub call: String,
    /// The result, or why there is none.
    pub text: String,
    /// Whether it has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// What models are sent of a conversation, kept up as it grows.
///
/// The rules of the providers hold after every message: calls have ids of their own, each call is followed by exactly
/// one result before anything else is said, nothing is empty, and the first word is a caller's.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    messages: Vec<ChatMessage>,
    /// The calls of the last message that wait for results.
    open: Vec<OpenCall>,
    /// Results that came when their calls were closed; said after the open ones.
    late: Vec<String>,
    /// How many calls there were.
    calls: usize,
    /// The run whose model spoke last, without calls.
    answered: Option<RunId>,
}

#[derive(Clone, Debug)]
struct OpenCall {
    /// As the model named it.
    named: String,
    /// As it is sent.
    id: String,
    result: Option<String>,
}

/// What models are sent of a conversation.
pub fn project(spoken: &[Spoken]) -> Vec<ChatMessage> {
    let mut transcript = Transcript::default();
    spoken.iter().for_each(|message| transcript.say(message));
    transcript.messages()
}

/// The end of a conversation, of at most `most` messages: it begins with a caller's, or in the middle of a run that is longer
/// than that, but never with a result, so that no call is cut from its result.
pub fn window(spoken: &[Spoken], most: usize) -> &[Spoken] {
    let end = &spoken[spoken.len().saturating_sub(most)..];
    let of_caller = end.iter().position(|message| message.author == Author::Caller);
    let whole = || end.iter().position(|message| message.author != Author::Tool);
    &end[of_caller.or_else(whole).unwrap_or(end.len())..]
}

impl Transcript {
    /// Takes the next message.
    pub fn say(&mut self, spoken: &Spoken) {
        let Spoken { author, run, content } = spoken;
        match author {
            Author::Caller => self.user(content.to_string()),
            Author::Agent => self.agent(*run, content),
            Author::Model => {
                self.reply(*run, &parsed::<ModelReply>(content).unwrap_or_else(|| as_text(content)))
            }
            Author::Tool => match parsed::<ToolResult>(content) {
                Some(result) => self.result(result),
                None => self.late.push(content.to_string()),
            },
        }
    }

    /// Takes what a caller says.
    pub fn user(&mut self, text: String) {
        self.close();
        self.answered = None;
        if !is_blank(&text) {
            self.messages.push(ChatMessage::User(text));
        }
    }

    /// Takes what a model says.
    pub fn reply(&mut self, run: RunId, reply: &ModelReply) {
        self.close();
        let open: Vec<OpenCall> = reply.calls.iter().map(|call| self.opened(call)).collect();
        self.answered = open.is_empty().then_some(run);
        if is_blank(&reply.text) && open.is_empty() {
            return;
        }
        self.begin();
        let calls = open.iter().zip(&reply.calls).map(|(open, call)| sendable(&open.id, call)).collect();
        let text = if is_blank(&reply.text) { String::new() } else { reply.text.clone() };
        let state = reply.state.clone();
        self.messages.push(ChatMessage::Assistant { text, calls, state });
        self.open = open;
    }

    /// Takes what a call came to.
    pub fn result(&mut self, result: ToolResult) {
        let ToolResult { call, text, .. } = result;
        let text = if is_blank(&text) { "(nothing)".to_owned() } else { text };
        match self.open.iter_mut().find(|open| open.named == call && open.result.is_none()) {
            Some(open) => open.result = Some(text),
            None => self.late.push(format!("The result of the earlier call `{call}`: {text}")),
        }
    }

    /// What an agent says when its run is over: in place of its model's last word, which most often is the same.
    fn agent(&mut self, run: RunId, content: &Content) {
        let text = content.to_string();
        let in_place = self.answered == Some(run);
        self.close();
        self.answered = None;
        if is_blank(&text) {
            return;
        }
        match self.messages.last_mut() {
            Some(ChatMessage::Assistant { text: said, calls, .. }) if in_place && calls.is_empty() => {
                *said = text
            }
            Some(_) | None => {
                self.begin();
                self.messages.push(ChatMessage::Assistant { text, calls: Vec::new(), state: None });
            }
        }
    }

    /// The first word is a caller's, also where the begin of a conversation is not shown or was let go.
    fn begin(&mut self) {
        if self.messages.is_empty() {
            self.messages.push(ChatMessage::User(LEFT_OUT.to_owned()));
        }
    }

    /// The conversation as it can be sent now: what is open is closed.
    pub fn messages(&self) -> Vec<ChatMessage> {
        if self.open.is_empty() && self.late.is_empty() {
            return self.messages.clone();
        }
        let mut closed = self.clone();
        closed.close();
        closed.messages
    }

    fn opened(&mut self, call: &ToolCall) -> OpenCall {
        self.calls += 1;
        OpenCall { named: call.id.clone(), id: format!("call_{}", self.calls), result: None }
    }

    /// Closes every open call, in the order of the calls, and says what came too late.
    fn close(&mut self) {
        for OpenCall { id, result, .. } in self.open.drain(..) {
            let text = result.unwrap_or_else(|| NO_RESULT.to_owned());
            self.messages.push(ChatMessage::Tool { call: id, text });
        }
        let begun = !self.messages.is_empty();
        let late = self.late.drain(..).filter(|text| begun && !is_blank(text));
        self.messages.extend(late.map(ChatMessage::User));
    }
}

/// Providers refuse what is nothing but white space, too.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A call as every provider takes it back: one that a model got wrong must not spoil the conversation for good. What was
/// wrong with it stands in its result.
fn sendable(id: &str, call: &ToolCall) -> ToolCall {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = call.name.chars().take(64).map(letter).collect();
    let is_object = serde_json::from_str::<HashMap<Cow<'_, str>, IgnoredAny>>(&call.arguments).is_ok();
    ToolCall {
        id: id.to_owned(),
        name: if name.is_empty() { "unknown".to_owned() } else { name },
        arguments: if is_object { call.arguments.clone() } else { "{}".to_owned() },
    }
}

fn parsed<T: serde::de::DeserializeOwned>(content: &Content) -> Option<T> {
    (content.media == Media::Json).then(|| content.parse().ok()).flatten()
}

fn as_text(content: &Content) -> ModelReply {
    ModelReply { text: content.to_string(), ..ModelReply::default() }
}
