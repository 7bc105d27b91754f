//! Whatever was said in a session: each beginning of it can be sent to a model.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use runtime_testkit::suites::transcript::{Fault, Rules, check};
use runtime_traits::log::Author;
use runtime_traits::model::{
    ChatMessage, LEFT_OUT, ModelReply, NO_RESULT, Spoken, StopReason, ToolCall, ToolResult, Transcript,
    project, window,
};
use runtime_traits::{Content, RunId};

fn run(n: u8) -> RunId {
    format!("run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e{n:04x}").parse().unwrap()
}

fn some_text() -> impl Strategy<Value = String> {
    select(vec!["", " ", "\n\t", "hi", "a longer text", "{}", "null", "\u{3000}"]).prop_map(str::to_owned)
}

fn some_call() -> impl Strategy<Value = ToolCall> {
    let id = select(vec![
        "",
        "a",
        "b",
        "a b",
        "call_1",
        "call_2",
        "é",
        "x123456789x123456789x123456789x123456789x",
    ]);
    let name = select(vec!["add", "", "math.add", "ünder", "a b", "x", "functions::add_numbers"]);
    let arguments =
        select(vec!["{}", "", "{\"a\": 1}", "{\"a\": 1", "[]", "null", "7", "{} {}", "{\"a\": 1, \"a\": 2}"]);
    (id, name, arguments).prop_map(|(id, name, arguments)| ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    })
}

fn some_content() -> impl Strategy<Value = Content> {
    let stop = select(vec![StopReason::Done, StopReason::Length, StopReason::Filtered]);
    let reply = (some_text(), vec(some_call(), 0..4), stop).prop_map(|(text, calls, stop)| ModelReply {
        text,
        calls,
        stop,
        usage: None,
        state: None,
    });
    let result = (select(vec!["", "a", "b", "a b", "call_1", "call_2", "é"]), some_text(), any::<bool>())
        .prop_map(|(call, text, failed)| ToolResult { call: call.to_owned(), text, failed });
    prop_oneof![
        2 => some_text().prop_map(Content::text),
        4 => reply.prop_map(|reply| Content::json(&reply).unwrap()),
        4 => result.prop_map(|result| Content::json(&result).unwrap()),
        1 => Just(Content::bytes(vec![0xff, 0xfe])),
        1 => Just(Content::json(&[1, 2]).unwrap()),
    ]
}

fn some_spoken() -> impl Strategy<Value = Spoken> {
    let author =
        select(vec![Author::Caller, Author::Agent, Author::Model, Author::Model, Author::Tool, Author::Tool]);
    (author, 0_u8..3, some_content()).prop_map(|(author, n, content)| Spoken { author, run: run(n), content })
}

/// The messages of a run that came to its end: a caller, turns of calls with their results in any order, the output.
fn whole_run(n: u8) -> impl Strategy<Value = Vec<Spoken>> {
    vec((1_usize..4, any::<bool>()), 0..4).prop_map(move |turns| {
        let spoken = |author, content| Spoken { author, run: run(n), content };
        let mut said = vec![spoken(Author::Caller, Content::text(format!("question {n}")))];
        for (turn, (calls, turned)) in turns.into_iter().enumerate() {
            let id = |index| format!("call_{turn}_{index}");
            let call = |index| ToolCall { id: id(index), name: "add".into(), arguments: "{}".into() };
            let reply = ModelReply { calls: (0..calls).map(call).collect(), ..ModelReply::default() };
            said.push(spoken(Author::Model, Content::json(&reply).unwrap()));
            let result =
                |index| ToolResult { call: id(index), text: format!("{turn} {index}"), failed: false };
            let mut results: Vec<_> = (0..calls).map(result).collect();
            if turned {
                results.reverse();
            }
            said.extend(results.iter().map(|result| spoken(Author::Tool, Content::json(result).unwrap())));
        }
        let last = ModelReply { text: format!("answer {n}"), ..ModelReply::default() };
        said.push(spoken(Author::Model, Content::json(&last).unwrap()));
        said.push(spoken(Author::Agent, Content::text(format!("answer {n}"))));
        said
    })
}

fn accepted(messages: &[ChatMessage]) -> Result<(), (Rules, Fault)> {
    for rules in [Rules::OpenAi, Rules::Anthropic] {
        check(messages, rules).map_err(|fault| (rules, fault))?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_prefix_of_everything_can_be_sent(spoken in vec(some_spoken(), 0..24)) {
        let mut kept_up = Transcript::default();
        for end in 0..=spoken.len() {
            if let Some(next) = end.checked_sub(1) {
                kept_up.say(&spoken[next]);
            }
            let messages = project(&spoken[..end]);
            prop_assert_eq!(&kept_up.messages(), &messages, "what is kept up is what is folded");
            if !messages.is_empty() {
                prop_assert_eq!(accepted(&messages), Ok(()), "{:?}", messages);
            }
        }
    }

    #[test]
    fn every_window_of_everything_can_be_sent(spoken in vec(some_spoken(), 0..24), most in 0_usize..24) {
        let shown = window(&spoken, most);
        prop_assert!(shown.len() <= most);
        prop_assert!(spoken.ends_with(shown));
        prop_assert!(shown.first().is_none_or(|first| first.author != Author::Tool));
        let messages = project(shown);
        prop_assert!(messages.is_empty() || accepted(&messages).is_ok());
    }

    #[test]
    fn a_window_never_splits_a_call_from_its_result(
        runs in (whole_run(0), whole_run(1), whole_run(2)),
        most in 0_usize..40,
    ) {
        let spoken = [runs.0, runs.1, runs.2].concat();
        let messages = project(window(&spoken, most));
        for message in &messages {
            match message {
                ChatMessage::Tool { text, .. } => prop_assert!(text != NO_RESULT),
                ChatMessage::User(text) => {
                    prop_assert!(text.starts_with("question") || text == LEFT_OUT);
                }
                ChatMessage::Assistant { .. } => {}
            }
        }
        let results = |messages: &[ChatMessage]| {
            messages.iter().filter(|message| matches!(message, ChatMessage::Tool { .. })).count()
        };
        let calls = |message: &ChatMessage| match message {
            ChatMessage::Assistant { calls, .. } => calls.len(),
            ChatMessage::User(_) | ChatMessage::Tool { .. } => 0,
        };
        prop_assert_eq!(results(&messages), messages.iter().map(calls).sum::<usize>());
        // And it leaves out no more than it must.
        let from = spoken.len().saturating_sub(most);
        let callers = spoken[from..].iter().filter(|spoken| spoken.author == Author::Caller).count();
        let asked = |message: &ChatMessage| matches!(message, ChatMessage::User(text) if text != LEFT_OUT);
        let shown = messages.iter().filter(|message| asked(message)).count();
        prop_assert_eq!(shown, callers);
    }
}

#[test]
fn what_a_model_got_wrong_is_sent_back_in_a_form_that_is_taken() {
    let said = |author, content| Spoken { author, run: run(1), content };
    let call = |name: &str, arguments: &str| ToolCall {
        id: "x".into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    let calls = vec![call("math.add", "{\"a\": 1"), call("", "[]"), call("add", "{\"a\": 1}")];
    let reply = ModelReply { text: " ".into(), calls, ..ModelReply::default() };
    let messages = project(&[
        said(Author::Caller, Content::text("go")),
        said(Author::Model, Content::json(&reply).unwrap()),
    ]);
    let Some(ChatMessage::Assistant { text, calls, .. }) = messages.get(1) else { panic!("{messages:?}") };
    let calls: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(
        (text.as_str(), calls),
        ("", vec![("math_add", "{}"), ("unknown", "{}"), ("add", "{\"a\": 1}")])
    );
}
