//! An agent with a model: what it asks, what it does, and what it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use runtime_agents::tools::{Approval, Calculator, FnTool};
use runtime_agents::{Gate, LlmAgent, LlmAgentBuilder, ScriptedModel, Turn};
use runtime_traits::log::StepFailure;
use runtime_traits::model::{ChatMessage, StopReason, ToolResult};
use runtime_traits::{AgentError, Content, Effect, ModelError, ModelRequest, StepSort};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::session::{Session, denied};

fn agent(turns: impl IntoIterator<Item = Turn>) -> (LlmAgentBuilder, Arc<ScriptedModel>) {
    let model = Arc::new(ScriptedModel::in_order("test", turns).recording());
    (LlmAgent::new("assistant", Arc::clone(&model)), model)
}

fn text(text: &str) -> Turn {
    Turn::from(text)
}

fn calls(tool: &str, arguments: &str) -> Turn {
    Turn::default().calls(tool, arguments)
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

fn tool(name: &str, says: &'static str) -> FnTool {
    FnTool::new(name, "Says something.", move |_: Nothing| async move { Ok(says) })
}

/// The results that the model was shown in its last request, with their calls.
fn results(model: &ScriptedModel) -> Vec<(String, String)> {
    let request: ModelRequest = model.requests().pop().unwrap();
    let results = request.messages.into_iter().filter_map(|message| match message {
        ChatMessage::Tool { call, text } => Some((call, text)),
        _ => None,
    });
    results.collect()
}

fn error(output: Result<String, AgentError>) -> String {
    output.unwrap_err().message().to_owned()
}

#[tokio::test]
async fn a_run_without_tools_is_one_step_with_a_small_request() {
    let (builder, model) = agent([text("Good ").then("day.").used(12, 4)]);
    let agent = builder.instructions("Be brief.").max_tokens(99).temperature(0.5).build().unwrap();
    let session = Session::default();
    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "Good day.");

    let step = session.step("turn-1/model");
    assert_eq!(session.keys(), ["turn-1/model"]);
    assert_eq!((step.ask.sort, step.ask.effect, step.ask.says), (StepSort::Model, Effect::Repeatable, true));
    let asked = json!({"model": "scripted/test", "turn": 1, "messages": 1, "max_tokens": 99});
    assert_eq!(step.ask.request.parse::<Value>().unwrap(), asked);
    assert_eq!(session.previews(), ["Good ", "day."]);
    let request = &model.requests()[0];
    assert_eq!((&*request.system, request.max_tokens, request.temperature), ("Be brief.", 99, Some(0.5)));
    assert_eq!(request.messages, [ChatMessage::User("Hello".into())]);
    let usage = session.usage();
    assert_eq!(
        (usage.input_tokens, usage.output_tokens, usage.model_calls, usage.estimated_tokens),
        (12, 4, 1, 0)
    );
}

#[tokio::test]
async fn a_tool_is_a_step_whose_result_the_model_is_shown() {
    let call = calls("calculator", r#" {"expression": "6 * 7"} "#).used(1, 1);
    let (builder, model) = agent([call, text("It is 42.").used(1, 1)]);
    let agent = builder.tool(Calculator::new()).build().unwrap();
    let session = Session::default();
    assert_eq!(session.run(&agent, "6 * 7?").await.unwrap(), "It is 42.");

    assert_eq!(session.keys(), ["turn-1/model", "turn-1/0.calculator", "turn-2/model"]);
    let step = session.step("turn-1/0.calculator");
    assert_eq!((step.ask.sort, step.ask.effect, step.ask.says), (StepSort::Tool, Effect::Pure, true));
    assert!(step.ask.within.is_some() && !step.ask.approval);
    let asked = json!({"tool": "calculator", "arguments": {"expression": "6 * 7"}});
    assert_eq!(step.ask.request.parse::<Value>().unwrap(), asked);
    let value: ToolResult = step.result.unwrap().unwrap().parse().unwrap();
    assert_eq!(value, ToolResult { call: "call_1_0".into(), text: "42".into(), failed: false });
    assert_eq!(results(&model), [("call_1".to_owned(), "42".to_owned())]);
    assert_eq!((session.usage().tool_calls, session.usage().model_calls), (1, 2));
}

#[tokio::test]
async fn the_calls_of_one_reply_are_made_side_by_side() {
    let both = calls("first", "{}").calls("second", "{}");
    let (builder, model) = agent([both, text("done")]);
    let (one, two) = (Gate::new(), Gate::new());
    // Each waits for the other to have begun.
    let meet = |name: &'static str, mine: Gate, other: Gate| {
        let work = move |_: Nothing| {
            let (mine, other) = (mine.clone(), other.clone());
            async move {
                mine.open();
                wait(&other).await;
                Ok(name)
            }
        };
        FnTool::new(name, "Meets.", work)
    };
    let agent =
        builder.tool(meet("first", one.clone(), two.clone())).tool(meet("second", two, one)).build().unwrap();
    assert_eq!(Session::default().run(&agent, "go").await.unwrap(), "done");
    let shown = results(&model);
    assert_eq!(shown, [("call_1".into(), "first".into()), ("call_2".into(), "second".into())]);
}

async fn wait(gate: &Gate) {
    gate.pass().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_to_the_model_and_recorded() {
    let wrong = calls("missing", "{}")
        .calls("calculator", "{expression")
        .calls("calculator", r#"{"expression": 7}"#)
        .calls("calculator", "")
        .calls("calculator", r#"{"expression": "1/0"}"#)
        .calls("calculator", r#"{"expression": "2+2"}"#);
    let (builder, model) = agent([wrong, text("I see.")]);
    let agent = builder.tool(Calculator::new()).build().unwrap();
    let session = Session::default();
    session.run(&agent, "go").await.unwrap();

    let shown: Vec<String> = results(&model).into_iter().map(|(_, text)| text).collect();
    let parts = [
        "Error: there is no tool `missing`; the tools are: `calculator`",
        "do not fit its schema: it is no JSON",
        "at `/expression`: 7 is not of type \"string\"",
        "\"expression\" is a required property",
        "Error: there is no division by zero",
        "4",
    ];
    assert_eq!(shown.len(), parts.len());
    for (text, part) in shown.iter().zip(parts) {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    // Nothing was executed for the first four, and all of it is remembered.
    let tools = |key: &String| key.ends_with(".calculator");
    assert_eq!(
        session.keys().into_iter().filter(tools).collect::<Vec<_>>(),
        ["turn-1/4.calculator", "turn-1/5.calculator"]
    );
    assert_eq!(session.step("turn-1/0.said").ask.effect, Effect::Pure);
    let failed = |key: &str| session.step(key).result.unwrap().unwrap().parse::<ToolResult>().unwrap().failed;
    assert!(failed("turn-1/0.said") && failed("turn-1/4.calculator") && !failed("turn-1/5.calculator"));
    assert_eq!(session.history().len(), 1 + 1 + 6 + 1 + 1);
}

#[tokio::test]
async fn a_panicking_an_endless_and_a_denied_tool_harm_only_their_steps() {
    let all = calls("panics", "{}").calls("hangs", "{}").calls("asks", "{}").calls("works", "{}");
    let (builder, model) = agent([all, text("So be it.")]);
    let panics = FnTool::new("panics", "Panics.", |_: Nothing| async move {
        if true {
            panic!("no way");
        }
        Ok(())
    });
    let hangs = FnTool::new("hangs", "Hangs.", |_: Nothing| async move {
        std::future::pending::<()>().await;
        Ok(())
    });
    let asks = tool("asks", "never said").needs_approval(Approval::Always);
    let agent = builder.tool(panics).tool(hangs).tool(asks).tool(tool("works", "fine")).build().unwrap();
    let session = Session::default();
    session.times_out("turn-1/1.hangs");
    session.answer("turn-1/2.asks", denied("not today"));
    assert_eq!(session.run(&agent, "go").await.unwrap(), "So be it.");

    let shown: Vec<String> = results(&model).into_iter().map(|(_, text)| text).collect();
    assert_eq!(shown[0], "Error: the tool panicked: no way");
    assert_eq!(shown[1], "Error: the time of the call was over (its deadline passed)");
    assert_eq!(shown[2], "Error: somebody did not consent to the call, so it was not made (not today)");
    assert_eq!(shown[3], "fine");
    // Those without a value are said by a step of their own, so that later runs know them.
    let said = session.keys().into_iter().filter(|key| key.ends_with(".said"));
    assert_eq!(said.collect::<Vec<_>>(), ["turn-1/1.said", "turn-1/2.said"]);
    assert_eq!(session.step("turn-1/2.asks").tries, 0);
}

#[tokio::test]
async fn a_rule_says_which_calls_need_consent_and_consent_lets_them_pass() {
    #[derive(Deserialize, JsonSchema)]
    struct Payment {
        cents: u64,
    }
    let pay = FnTool::new("pay", "Pays.", |payment: Payment| async move { Ok(payment.cents) });
    let pay = pay.needs_approval(Approval::when(|payment: &Payment| payment.cents > 100));
    let both = calls("pay", r#"{"cents": 50}"#).calls("pay", r#"{"cents": 500}"#);
    let (builder, model) = agent([both, text("paid")]);
    let agent = builder.tool(pay).build().unwrap();
    let session = Session::default();
    session.begin();
    {
        let mut run = Box::pin(session.attempt(&agent, "go"));
        assert!(run.as_mut().now_or_never().is_none(), "it waits for the consent");
    }
    assert!(!session.step("turn-1/0.pay").ask.approval);
    assert!(session.step("turn-1/1.pay").ask.approval);
    session.answer("turn-1/1.pay", Ok(Content::text("")));
    assert_eq!(session.attempt(&agent, "go").await.unwrap(), "paid");
    let shown: Vec<String> = results(&model).into_iter().map(|(_, text)| text).collect();
    assert_eq!(shown, ["50", "500"]);
    assert_eq!(session.step("turn-1/0.pay").tries, 1, "what was settled is not done again");
}

#[tokio::test]
async fn a_name_that_is_there_twice_does_not_pass_by_a_rule() {
    let pay = tool("pay", "paid").needs_approval(Approval::when(|given: &Value| given["cents"] != 1));
    let twice = calls("pay", r#"{"cents": 9, "cents": 1}"#)
        .calls("pay", r#"{"to": [{"a": {"b": 1, "\u0062": 2}}], "cents": 1}"#)
        .calls("pay", r#"{"to": [{"a": 1}, {"a": 1}], "a": 1, "cents": 1}"#);
    let (builder, model) = agent([twice, text("I see.")]);
    let agent = builder.tool(pay).build().unwrap();
    let session = Session::default();
    session.run(&agent, "go").await.unwrap();

    let shown: Vec<String> = results(&model).into_iter().map(|(_, text)| text).collect();
    let told = |name: &str| {
        format!("Error: the arguments of `pay` have `{name}` twice in one object; write each name once")
    };
    assert_eq!(shown, [told("cents"), told("b"), "paid".to_owned()]);
    assert_eq!(session.step("turn-1/2.pay").tries, 1);
}

#[tokio::test]
async fn a_rule_that_panics_asks_for_consent() {
    let broken = Approval::When(Arc::new(|_: &str| panic!("a bad rule")));
    let (builder, _) = agent([calls("pay", "{}"), text("no")]);
    let agent = builder.tool(tool("pay", "paid").needs_approval(broken)).build().unwrap();
    let session = Session::default();
    session.answer("turn-1/0.pay", denied("no"));
    session.run(&agent, "go").await.unwrap();
    assert!(session.step("turn-1/0.pay").ask.approval);
}

#[tokio::test]
async fn a_model_that_loops_for_ever_comes_to_the_limit() {
    let model = ScriptedModel::by("loop", |_, _| calls("again", "{}"));
    let agent = LlmAgent::new("loop", model).tool(tool("again", "and again")).max_steps(3).build().unwrap();
    let session = Session::default();
    let said = error(session.run(&agent, "go").await);
    assert!(said.contains("3 calls of its model") && said.contains("raise `max_steps`"), "{said}");
    assert_eq!(session.usage().model_calls, 3);
}

#[tokio::test]
async fn replies_that_are_no_answers_end_the_run_with_a_sentence() {
    let filtered = text("Well").stops(StopReason::Filtered);
    let cut = Turn::default().stops(StopReason::Length);
    let half = text("Half an ans").stops(StopReason::Length);
    let refuses = ModelError::Key { model: "scripted/test".into(), said: "no key".into() };
    for (turn, expected) in [
        (filtered, Err("held the reply back")),
        (cut, Err("raise `max_tokens`")),
        (half, Ok("Half an ans")),
        (Turn::default().fails(refuses), Err("`scripted/test` refuses the key (no key)")),
        (Turn::default(), Ok("")),
    ] {
        let agent = agent([turn]).0.build().unwrap();
        match (Session::default().run(&agent, "go").await, expected) {
            (Ok(output), Ok(expected)) => assert_eq!(output, expected),
            (Err(error), Err(expected)) => {
                assert!(error.message().contains(expected), "{}", error.message());
                assert!(!error.message().contains("turn-1/model"), "{}", error.message());
            }
            (output, expected) => panic!("{output:?} instead of {expected:?}"),
        }
    }
    let (builder, model) = agent([text("?")]);
    let said = error(Session::default().run(&builder.build().unwrap(), " \n").await);
    assert!(said.contains("the input is empty"), "{said}");
    assert_eq!(model.asked(), 0);
}

#[tokio::test]
async fn an_output_that_does_not_fit_is_sent_back_with_what_is_wrong() {
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct City {
        name: String,
        people: u32,
    }
    let good = "```json\n{\"name\": \"Bergen\", \"people\": 291000}\n```";
    let (builder, model) = agent([text("Bergen!"), text(r#"{"name": "Bergen"}"#), text(good)]);
    let session = Session::default();
    let agent = builder.output::<City>().build().unwrap();
    assert_eq!(session.run(&agent, "Which?").await.unwrap(), r#"{"name": "Bergen", "people": 291000}"#);
    let requests = model.requests();
    assert!(requests[0].output.is_some());
    let last = |n: usize| format!("{:?}", requests[n].messages.last().unwrap());
    assert!(last(1).contains("it is no JSON"), "{}", last(1));
    assert!(last(2).contains(r#"\"people\" is a required property"#), "{}", last(2));

    let agent = agent_with_output([text("one"), text("two")]).max_steps(2).build().unwrap();
    let said = error(Session::default().run(&agent, "Which?").await);
    assert!(
        said.contains("`max_steps`") && said.contains("its last answer was refused: it is no JSON"),
        "{said}"
    );
}

fn agent_with_output(turns: impl IntoIterator<Item = Turn>) -> LlmAgentBuilder {
    agent(turns).0.output_schema(json!({"type": "object"}))
}

#[tokio::test]
async fn a_failed_run_of_the_model_keeps_what_was_settled() {
    let failure = ModelError::Refused { model: "scripted/test".into(), status: 400, said: "bad".into() };
    let (builder, _) = agent([calls("calculator", r#"{"expression": "1"}"#), Turn::default().fails(failure)]);
    let agent = builder.tool(Calculator::new()).build().unwrap();
    let session = Session::default();
    assert!(error(session.run(&agent, "go").await).contains("status 400"));
    let result: StepFailure = session.step("turn-2/model").result.unwrap().unwrap_err();
    assert!(result.message.contains("status 400"));
    assert_eq!(session.history().len(), 3, "the input, the call and its result");
}

#[tokio::test]
async fn a_cancelled_run_ends_without_another_word() {
    let gate = Gate::new();
    let (builder, model) = agent([calls("waits", "{}"), text("never")]);
    let inside = gate.clone();
    let waits = FnTool::new("waits", "Waits.", move |_: Nothing| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            Ok(())
        }
    });
    let agent = builder.tool(waits).build().unwrap();
    let session = Session::default();
    session.begin();
    let ((), output) = tokio::join!(
        async {
            gate.reached().await;
            session.cancel();
        },
        session.attempt(&agent, "go")
    );
    assert!(error(output).contains("the run is being cancelled"));
    assert_eq!(model.asked(), 1);
    assert_eq!(session.keys(), ["turn-1/model", "turn-1/0.waits"]);
}

#[tokio::test]
async fn a_reconciling_tool_is_asked_what_became_of_its_call() {
    for (says, expected, called) in
        [("done", "as it was", 1), ("not done", "sent", 2), ("unknown", "Error: somebody", 1)]
    {
        let (builder, model) = agent([calls("send", "{}"), text("ok")]);
        let sender = crate::tools::Sender::new(says);
        let count: Arc<AtomicU32> = sender.called();
        let agent = builder.tool(sender).build().unwrap();
        let session = Session::default();
        session.begin();
        session.attempt(&agent, "go").await.unwrap();
        session.forget("turn-1/0.send");
        session.forget("turn-2/model");
        let model_after = ScriptedModel::by("test", |_, _| text("ok")).recording();
        let model_after = Arc::new(model_after);
        drop(model);
        let again = LlmAgent::new("assistant", Arc::clone(&model_after));
        let again = again.tool(crate::tools::Sender::counting(says, Arc::clone(&count))).build().unwrap();
        session.attempt(&again, "go").await.unwrap();
        assert!(results(&model_after)[0].1.starts_with(expected), "{says}: {:?}", results(&model_after));
        assert_eq!(count.load(Ordering::SeqCst), called, "{says}");
        assert_eq!(session.asked_to_reconcile(), 1);
    }
}
