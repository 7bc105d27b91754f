//! What providers of models refuse in a conversation, by what they document, and conversations that they refuse.
//!
//! This knows nothing of how conversations are made: it reads what would be sent, and says what is wrong with it.

mod wrong;

use std::collections::HashSet;

use runtime_traits::model::{ChatMessage, ToolCall};
use serde_json::Value;

pub use wrong::{WRONG, Wrong, right};

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rules {
    /// Of OpenAI's chat completions, and of all that speak them.
    OpenAi,
    /// Of Anthropic's messages.
    Anthropic,
}

/// What a provider refuses. Numbers are places in the conversation, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// There are no messages.
    Nothing,
    /// The first message is not a user's.
    FirstIsNoUser,
    /// A message has no content.
    NoContent(usize),
    /// A text is nothing but white space.
    Blank(usize),
    /// A call has no id.
    NoId(usize),
    /// The id of a call is longer than 40 characters.
    LongId(usize),
    /// The id of a call has other characters than letters, digits, `_` and `-`.
    IdCharacters(usize),
    /// Two calls have one id.
    SameId(usize),
    /// The name of a tool is not 1 to 64 letters, digits, `_` and `-`.
    ToolName(usize),
    /// The arguments of a call are no JSON object.
    Arguments(usize),
    /// A message has calls, and what follows is not the result of each.
    Unanswered(usize),
    /// A call has a second result.
    AnsweredTwice(usize),
    /// A result belongs to no call of the message before.
    Orphan(usize),
}

/// Whether a provider takes the conversation.
///
/// ```
/// use runtime_testkit::suites::transcript::{Fault, Rules, check};
/// use runtime_traits::model::ChatMessage;
///
/// let orphan = ChatMessage::Tool { call: "call_1".into(), text: "42".into() };
/// let said = [ChatMessage::User("6 * 7?".into()), orphan];
/// assert_eq!(check(&said, Rules::OpenAi), Err(Fault::Orphan(1)));
/// ```
///
/// # Errors
/// The first [`Fault`], in the order of the messages.
pub fn check(messages: &[ChatMessage], rules: Rules) -> Result<(), Fault> {
    match messages.first() {
        None => return Err(Fault::Nothing),
        Some(ChatMessage::User(_)) => {}
        Some(ChatMessage::Assistant { .. } | ChatMessage::Tool { .. }) => return Err(Fault::FirstIsNoUser),
    }
    let mut ids = HashSet::new();
    // The calls that wait, the message that made them, and those that have their result.
    let mut waiting: Vec<&str> = Vec::new();
    let mut made_by = 0;
    let mut answered: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if !matches!(message, ChatMessage::Tool { .. }) {
            if !waiting.is_empty() {
                return Err(Fault::Unanswered(made_by));
            }
            answered.clear();
        }
        match message {
            ChatMessage::User(text) => content(text, at, rules)?,
            ChatMessage::Assistant { text, calls, .. } => {
                if !text.is_empty() || calls.is_empty() {
                    content(text, at, rules)?;
                }
                for call in calls {
                    check_call(call, at, rules)?;
                    if !ids.insert(call.id.as_str()) {
                        return Err(Fault::SameId(at));
                    }
                    waiting.push(&call.id);
                }
                made_by = at;
            }
            ChatMessage::Tool { call, text } => {
                if answered.contains(&call.as_str()) {
                    return Err(Fault::AnsweredTwice(at));
                }
                let Some(place) = waiting.iter().position(|id| id == call) else {
                    return Err(Fault::Orphan(at));
                };
                answered.push(waiting.remove(place));
                content(text, at, rules)?;
            }
        }
    }
    if waiting.is_empty() { Ok(()) } else { Err(Fault::Unanswered(made_by)) }
}

fn content(text: &str, at: usize, rules: Rules) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::NoContent(at));
    }
    match rules {
        Rules::Anthropic if text.trim().is_empty() => Err(Fault::Blank(at)),
        Rules::Anthropic | Rules::OpenAi => Ok(()),
    }
}

fn check_call(call: &ToolCall, at: usize, rules: Rules) -> Result<(), Fault> {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if call.id.is_empty() {
        return Err(Fault::NoId(at));
    }
    if !(1..=64).contains(&call.name.len()) || !plain(&call.name) {
        return Err(Fault::ToolName(at));
    }
    match rules {
        Rules::OpenAi if call.id.len() > 40 => Err(Fault::LongId(at)),
        Rules::OpenAi => Ok(()),
        Rules::Anthropic if !plain(&call.id) => Err(Fault::IdCharacters(at)),
        Rules::Anthropic => match serde_json::from_str(&call.arguments) {
            Ok(Value::Object(_)) => Ok(()),
            Ok(_) | Err(_) => Err(Fault::Arguments(at)),
        },
    }
}
