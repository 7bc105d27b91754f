//! What a run is shown of its conversation, what a crash costs, and what is booked.

use std::sync::Arc;

use futures_util::FutureExt as _;
use runtime_agents::tools::{Calculator, FnTool};
use runtime_agents::{Gate, LlmAgent, Retrying, ScriptedModel, Turn};
use runtime_traits::log::Author;
use runtime_traits::model::{ChatMessage, LEFT_OUT};
use runtime_traits::{Agent as _, Cause, Effect, ModelError, Usage};

use crate::session::Session;

fn sum(expression: &str) -> Turn {
    Turn::default().calls("calculator", format!(r#"{{"expression": "{expression}"}}"#))
}

fn cut() -> ModelError {
    ModelError::Cut { model: "scripted/test".into(), cause: Cause::says("reset") }
}

#[tokio::test]
async fn the_next_run_is_shown_the_calls_and_results_of_the_last() {
    let turns = [sum("6*7"), Turn::from("It is 42."), Turn::from("I said 42.")];
    let model = Arc::new(ScriptedModel::in_order("test", turns).recording());
    let agent = LlmAgent::new("a", Arc::clone(&model)).tool(Calculator::new()).build().unwrap();
    let session = Session::default();
    session.run(&agent, "6*7?").await.unwrap();
    session.run(&agent, "What did you say?").await.unwrap();
    let shown = model.requests().pop().unwrap().messages;
    let said: Vec<String> = shown
        .iter()
        .map(|message| match message {
            ChatMessage::User(text) => format!("user {text}"),
            ChatMessage::Assistant { text, calls, .. } => format!("assistant {text} {}", calls.len()),
            ChatMessage::Tool { call, text } => format!("tool {call} {text}"),
        })
        .collect();
    assert_eq!(
        said,
        ["user 6*7?", "assistant  1", "tool call_1 42", "assistant It is 42. 0", "user What did you say?"]
    );
}

#[tokio::test]
async fn the_window_bounds_what_is_shown_and_begins_with_a_caller() {
    let model = Arc::new(ScriptedModel::by("test", |_, n| Turn::from(format!("answer {n}"))).recording());
    let agent = LlmAgent::new("a", Arc::clone(&model)).window(7).build().unwrap();
    assert_eq!(agent.remembers(), 7);
    let session = Session::default();
    for n in 0..20 {
        session.run(&agent, &format!("question {n}")).await.unwrap();
    }
    assert_eq!(session.history().len(), 60, "caller, model and agent, each time");
    let shown = model.requests().pop().unwrap().messages;
    // Seven messages: the agent's word of one run, and two whole runs. The first is cut off.
    assert_eq!(shown.len(), 5);
    assert_eq!(shown[0], ChatMessage::User("question 17".into()));
    let asked = &session.step("turn-1/model").ask.request;
    assert!(asked.bytes.len() < 80, "the request does not grow with the conversation");

    let none = LlmAgent::new("a", Arc::clone(&model)).window(0).build().unwrap();
    session.run(&none, "alone").await.unwrap();
    assert_eq!(model.requests().pop().unwrap().messages, [ChatMessage::User("alone".into())]);
}

#[tokio::test]
async fn a_crash_repeats_only_what_was_in_flight_and_books_it() {
    let gate = Gate::new();
    let script = |gate: &Gate| [sum("6*7").used(10, 3), Turn::from("It is").waits(gate).used(20, 4)];
    let model = Arc::new(ScriptedModel::new("test", script(&gate)));
    let build = |model: &Arc<ScriptedModel>| {
        LlmAgent::new("a", Arc::clone(model)).tool(Calculator::new()).max_tokens(100).build().unwrap()
    };
    let session = Session::default();
    session.begin();
    {
        let agent = build(&model);
        let mut run = Box::pin(session.attempt(&agent, "6*7?"));
        assert!(run.as_mut().now_or_never().is_none());
        gate.reached().await;
    }
    gate.open();
    assert_eq!(session.attempt(&build(&model), "6*7?").await.unwrap(), "It is");
    assert_eq!(model.asked(), 3, "the first question is not asked again");
    assert_eq!(session.step("turn-1/0.calculator").tries, 1);
    assert_eq!(session.step("turn-2/model").tries, 2);

    let first = session.step("turn-1/model").usage;
    assert_eq!(first, Usage { input_tokens: 10, output_tokens: 3, model_calls: 1, ..Usage::default() });
    // The call that the crash ended is booked at what was held for it, and marked.
    let second = session.step("turn-2/model").usage;
    let estimated_input = second.input_tokens - 20;
    assert!(estimated_input > 0);
    assert_eq!((second.output_tokens, second.model_calls), (4 + 100, 2));
    assert_eq!(second.estimated_tokens, estimated_input + 100);
}

#[tokio::test]
async fn usage_that_nobody_reports_is_booked_at_its_reservation() {
    let run = async |turn: Turn| {
        let agent = LlmAgent::new("a", ScriptedModel::new("test", [turn])).max_tokens(100);
        let agent = agent.instructions("x".repeat(270)).build().unwrap();
        let session = Session::default();
        drop(session.run(&agent, &"y".repeat(30)).await);
        session.usage()
    };
    // 300 bytes are 100 tokens, and a tenth more.
    let reserved =
        Usage { input_tokens: 110, output_tokens: 100, model_calls: 1, tool_calls: 0, estimated_tokens: 210 };
    assert_eq!(run(Turn::from("?")).await, reserved);
    assert_eq!(run(Turn::from("?").fails(cut())).await, reserved);
    let busy = ModelError::RateLimited { model: "scripted/test".into(), retry_after: None };
    assert_eq!(run(Turn::default().fails(busy)).await, Usage { model_calls: 1, ..Usage::default() });
    let used = Usage { input_tokens: 7, output_tokens: 0, model_calls: 1, ..Usage::default() };
    assert_eq!(run(Turn::from("?").used(7, 0)).await, used);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_broke_off_inside_is_booked_beside_the_one_that_came_through() {
    let busy = ModelError::RateLimited { model: "scripted/test".into(), retry_after: None };
    let turns = [
        Turn::from("It ").fails(cut()),
        Turn::default().fails(busy),
        Turn::default().fails(cut()),
        Turn::from("It is.").used(5, 2),
    ];
    let model = Retrying::new(ScriptedModel::in_order("test", turns), 5);
    let agent = LlmAgent::new("a", model).max_tokens(100).build().unwrap();
    let session = Session::default();
    assert_eq!(session.run(&agent, "y".repeat(30).as_str()).await.unwrap(), "It is.");
    let usage = session.usage();
    assert_eq!((usage.input_tokens, usage.output_tokens), (5 + 2 * 11, 2 + 2 * 100));
    assert_eq!((usage.estimated_tokens, usage.model_calls), (222, 4), "what is refused is a request");
    assert_eq!((session.previews(), session.retracted()), (vec!["It is.".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_which_nobody_says_what_it_took_is_booked_with_all_that_was_held_for_it() {
    for turns in
        [vec![Turn::from("It ").fails(cut()), Turn::from("It is.").used(5, 2)], vec![Turn::from("?")]]
    {
        let each = if turns.len() == 2 { (5, 2) } else { (0, 0) };
        let model = Retrying::new(ScriptedModel::in_order("test", turns), 5);
        let agent = LlmAgent::new("a", model).max_tokens(100).build().unwrap();
        let session = Session::default();
        session.holds_more(3_000);
        session.run(&agent, "y".repeat(30).as_str()).await.unwrap();
        let usage = session.usage();
        assert_eq!((usage.input_tokens, usage.output_tokens), (each.0 + 3_011, each.1 + 100));
        assert_eq!(usage.estimated_tokens, 3_111, "nobody said it");
    }
}

#[tokio::test]
async fn ids_of_providers_do_not_matter() {
    // The same id twice in a reply, and again in the next.
    let mut twice = sum("1+1");
    twice = twice.calls("calculator", r#"{"expression": "2+2"}"#);
    let model =
        Arc::new(ScriptedModel::in_order("test", [twice.clone(), twice, Turn::from("done")]).recording());
    let agent = LlmAgent::new("a", Arc::clone(&model)).tool(Calculator::new()).build().unwrap();
    let session = Session::default();
    session.run(&agent, "go").await.unwrap();
    let shown = model.requests().pop().unwrap().messages;
    let results: Vec<_> = shown
        .into_iter()
        .filter_map(|message| match message {
            ChatMessage::Tool { call, text } => Some(format!("{call} {text}")),
            _ => None,
        })
        .collect();
    assert_eq!(results, ["call_1 2", "call_2 4", "call_3 2", "call_4 4"]);
    let said = session.history();
    let ids =
        said.iter().filter(|spoken| spoken.author == Author::Tool).map(|spoken| spoken.content.to_string());
    assert!(ids.last().unwrap().contains("call_2_1"));
}

#[tokio::test]
async fn a_flood_of_calls_and_of_text_is_cut() {
    let flood = (0..100).fold(Turn::default(), |turn, _| turn.calls("large", "{}"));
    let model = Arc::new(ScriptedModel::in_order("test", [flood, Turn::from("enough")]).recording());
    let large = FnTool::new("large", "Gives a lot.", |(): ()| async { Ok("ä".repeat(100_000)) });
    let agent = LlmAgent::new("a", Arc::clone(&model)).tool(large.effect(Effect::Pure)).build().unwrap();
    let session = Session::default();
    session.run(&agent, "go").await.unwrap();
    assert_eq!(session.usage().tool_calls, 64);
    let shown = model.requests().pop().unwrap().messages;
    let Some(ChatMessage::Tool { text, .. }) = shown.last() else { panic!("{:?}", shown.last()) };
    assert!(text.len() < 66_000 && text.ends_with("the whole result has 200000 bytes)"));
}

#[tokio::test]
async fn a_run_longer_than_the_window_is_remembered_by_its_end() {
    let turns: Vec<Turn> =
        (0..4).map(|_| sum("6*7")).chain([Turn::from("It is 42."), Turn::from("Yes.")]).collect();
    let model = Arc::new(ScriptedModel::in_order("test", turns).recording());
    let agent = LlmAgent::new("a", Arc::clone(&model)).tool(Calculator::new()).window(5).build().unwrap();
    let session = Session::default();
    session.run(&agent, "6*7?").await.unwrap();
    session.run(&agent, "Sure?").await.unwrap();

    let shown = model.requests().pop().unwrap().messages;
    let user = |text: &str| ChatMessage::User(text.to_owned());
    assert_eq!((shown.first(), shown.last()), (Some(&user(LEFT_OUT)), Some(&user("Sure?"))));
    let said =
        |message: &ChatMessage| matches!(message, ChatMessage::Assistant { text, .. } if text == "It is 42.");
    assert!(shown.iter().any(said), "{shown:?}");
}
