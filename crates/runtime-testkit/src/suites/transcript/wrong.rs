//! Conversations that a validator must refuse, and one that it must not.

use runtime_traits::model::{ChatMessage, ToolCall};

use super::Fault;

/// A conversation that some provider refuses.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// What is wrong with it.
    pub what: &'static str,
    /// The conversation.
    pub said: fn() -> Vec<ChatMessage>,
    /// What OpenAI's rules refuse in it.
    pub open_ai: Option<Fault>,
    /// What Anthropic's rules refuse in it.
    pub anthropic: Option<Fault>,
}

fn user(text: &str) -> ChatMessage {
    ChatMessage::User(text.to_owned())
}

fn assistant(text: &str) -> ChatMessage {
    calling(text, &[])
}

fn calling(text: &str, ids: &[&str]) -> ChatMessage {
    let calls = ids.iter().map(|id| call(id, "add", "{}")).collect();
    ChatMessage::Assistant { text: text.to_owned(), calls, state: None }
}

fn called(call: ToolCall) -> ChatMessage {
    ChatMessage::Assistant { text: String::new(), calls: vec![call], state: None }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

fn result(call: &str) -> ChatMessage {
    ChatMessage::Tool { call: call.to_owned(), text: "3".to_owned() }
}

fn empty_result(call: &str) -> ChatMessage {
    ChatMessage::Tool { call: call.to_owned(), text: String::new() }
}

/// A conversation that both take: calls side by side, their results in another order, a call without a text.
pub fn right() -> Vec<ChatMessage> {
    vec![
        user("Add."),
        calling("I add.", &["call_1", "call_2"]),
        result("call_2"),
        result("call_1"),
        calling("", &["call_3"]),
        result("call_3"),
        assistant("Done."),
        user("More."),
        user("And more."),
        assistant("Well."),
    ]
}

macro_rules! wrong {
    ($($what:literal, $open_ai:expr, $anthropic:expr, [$($message:expr),*];)+) => {
        /// Twenty-five conversations that providers refuse.
        pub const WRONG: &[Wrong] = &[
            $(Wrong { what: $what, said: || vec![$($message),*], open_ai: $open_ai, anthropic: $anthropic }),+
        ];
    };
}

wrong! {
    "there are no messages", Some(Fault::Nothing), Some(Fault::Nothing), [];
    "the first message is a model's", Some(Fault::FirstIsNoUser), Some(Fault::FirstIsNoUser),
        [assistant("Hello."), user("Hello.")];
    "the first message is a result", Some(Fault::FirstIsNoUser), Some(Fault::FirstIsNoUser), [result("a")];
    "a user says nothing", Some(Fault::NoContent(0)), Some(Fault::NoContent(0)), [user(""), assistant("?")];
    "a user says white space", None, Some(Fault::Blank(0)), [user(" \n")];
    "a model says nothing and calls nothing", Some(Fault::NoContent(1)), Some(Fault::NoContent(1)),
        [user("Add."), assistant("")];
    "a model says white space beside a call", None, Some(Fault::Blank(1)),
        [user("Add."), calling("\n", &["a"]), result("a")];
    "a result is empty", Some(Fault::NoContent(2)), Some(Fault::NoContent(2)),
        [user("Add."), calling("", &["a"]), empty_result("a")];
    "the last call has no result", Some(Fault::Unanswered(1)), Some(Fault::Unanswered(1)),
        [user("Add."), calling("", &["a"])];
    "one of two calls has no result", Some(Fault::Unanswered(1)), Some(Fault::Unanswered(1)),
        [user("Add."), calling("", &["a", "b"]), result("a")];
    "a user speaks before the result", Some(Fault::Unanswered(1)), Some(Fault::Unanswered(1)),
        [user("Add."), calling("", &["a"]), user("Quick!"), result("a")];
    "the model speaks between two results", Some(Fault::Unanswered(1)), Some(Fault::Unanswered(1)),
        [user("Add."), calling("", &["a", "b"]), result("a"), assistant("One."), result("b")];
    "a result has no call at all", Some(Fault::Orphan(1)), Some(Fault::Orphan(1)), [user("Add."), result("a")];
    "a result names another call", Some(Fault::Orphan(2)), Some(Fault::Orphan(2)),
        [user("Add."), calling("", &["a"]), result("b")];
    "a result comes a turn too late", Some(Fault::Orphan(4)), Some(Fault::Orphan(4)),
        [user("Add."), calling("", &["a"]), result("a"), calling("", &["b"]), result("a"), result("b")];
    "a call has two results", Some(Fault::AnsweredTwice(3)), Some(Fault::AnsweredTwice(3)),
        [user("Add."), calling("", &["a"]), result("a"), result("a")];
    "two calls of a message have one id", Some(Fault::SameId(1)), Some(Fault::SameId(1)),
        [user("Add."), calling("", &["a", "a"]), result("a"), result("a")];
    "an id comes back in a later turn", Some(Fault::SameId(3)), Some(Fault::SameId(3)),
        [user("Add."), calling("", &["a"]), result("a"), calling("", &["a"]), result("a")];
    "a call has no id", Some(Fault::NoId(1)), Some(Fault::NoId(1)), [user("Add."), calling("", &[""]), result("")];
    "an id has a space", None, Some(Fault::IdCharacters(1)), [user("Add."), calling("", &["a b"]), result("a b")];
    "an id is too long", Some(Fault::LongId(1)), None,
        [user("Add."), calling("", &["a23456789b123456789c123456789d123456789e1"]),
         result("a23456789b123456789c123456789d123456789e1")];
    "the name of a tool has a point", Some(Fault::ToolName(1)), Some(Fault::ToolName(1)),
        [user("Add."), called(call("a", "math.add", "{}")), result("a")];
    "a tool has no name", Some(Fault::ToolName(1)), Some(Fault::ToolName(1)),
        [user("Add."), called(call("a", "", "{}")), result("a")];
    "arguments are a list", None, Some(Fault::Arguments(1)),
        [user("Add."), called(call("a", "add", "[1]")), result("a")];
    "arguments are cut off", None, Some(Fault::Arguments(1)),
        [user("Add."), called(call("a", "add", "{\"x\": 1")), result("a")];
}
