//! An agent whose models are away: it goes along its chain, waits, and goes on where its log says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_agents::{LlmAgent, LlmKind, NoModels, Retrying, ScriptedModel, Turn};
use runtime_traits::log::StepFailureKind;
use runtime_traits::model::{Deltas, NoDeltas, Phase};
use runtime_traits::{
    AgentError, AgentKind, AgentSpec, Cause, Model, ModelError, ModelReply, ModelRequest, SpecError, Usage,
};
use serde_json::{Value, json};

use crate::session::Session;

const SECOND: Duration = Duration::from_secs(1);

fn held_off(model: &str, seconds: u64) -> Turn {
    let retry_after = Duration::from_secs(seconds);
    Turn::default().fails(ModelError::HeldOff { model: model.to_owned(), retry_after })
}

fn unreachable(model: &str) -> ModelError {
    ModelError::Unreachable { model: model.to_owned(), cause: Cause::says("connection refused") }
}

fn gone(model: &str) -> Turn {
    Turn::default().fails(unreachable(model))
}

fn model(name: &str, turns: impl IntoIterator<Item = Turn>) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::in_order(name, turns).recording())
}

/// A model that is held off by a breaker as soon as it has failed.
#[derive(Debug)]
struct Held(Arc<ScriptedModel>, Option<Duration>);

#[async_trait]
impl Model for Held {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn held_off(&self) -> Option<Duration> {
        self.1
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        self.0.reply(request, deltas).await
    }
}

fn said(output: Result<String, AgentError>) -> String {
    output.unwrap_err().message().to_owned()
}

fn kinds(session: &Session) -> Vec<Option<StepFailureKind>> {
    session.steps().iter().map(|step| step.result.as_ref().unwrap().as_ref().err().map(|f| f.kind)).collect()
}

#[tokio::test]
async fn a_model_that_is_held_off_is_waited_for_and_nothing_is_booked_meanwhile() {
    let first = model("a", [held_off("a", 7), held_off("a", 3), Turn::from("Here I am.").used(3, 4)]);
    let agent = LlmAgent::new("assistant", Arc::clone(&first)).build().unwrap();
    let session = Session::default();

    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "Here I am.");
    assert_eq!(session.keys(), ["turn-1/model", "turn-1/model#2", "turn-1/model#3"]);
    let waits = [("turn-1/sleep".to_owned(), 7 * SECOND), ("turn-1/sleep#2".to_owned(), 3 * SECOND)];
    assert_eq!(session.waits(), waits);
    assert_eq!(session.step("turn-1/model").usage, Usage::default(), "nobody was asked");
    assert_eq!((session.usage().model_calls, session.usage().input_tokens), (1, 3));
    let away = |seconds| Some(StepFailureKind::Away { held_off: Some(seconds * SECOND) });
    assert_eq!(kinds(&session), [away(7), away(3), None]);
}

#[tokio::test]
async fn a_run_that_is_replayed_waits_as_its_log_says_and_asks_nobody_again() {
    let first = model("a", [held_off("a", 7), Turn::from("Here I am.")]);
    let agent = LlmAgent::new("assistant", Arc::clone(&first)).build().unwrap();
    let session = Session::default();
    session.begin();
    for _ in 0..3 {
        assert_eq!(session.attempt(&agent, "Hello").await.unwrap(), "Here I am.");
    }
    assert_eq!((first.asked(), session.waits().len()), (2, 1));
}

#[tokio::test]
async fn where_the_first_model_is_away_the_next_one_answers_and_each_try_names_its_model() {
    for away in [held_off("a", 7), gone("a")] {
        let (first, second) = (model("a", [away]), model("b", [Turn::from("I am b.").used(1, 2)]));
        let agent =
            LlmAgent::new("assistant", Arc::clone(&first)).fallback(Arc::clone(&second)).build().unwrap();
        let session = Session::default();

        assert_eq!(session.run(&agent, "Hello").await.unwrap(), "I am b.");
        assert_eq!(session.waits(), []);
        for (key, name) in [("turn-1/model", "scripted/a"), ("turn-1/model#2", "scripted/b")] {
            let ask = session.step(key).ask;
            assert_eq!(ask.request.parse::<Value>().unwrap()["model"], name);
            assert_eq!(
                ask.model.unwrap().name,
                name,
                "its price and its quota are those of the one that is asked"
            );
        }
        assert_eq!(session.step("turn-1/model#2").usage.output_tokens, 2);
    }
}

#[tokio::test]
async fn each_turn_asks_the_first_model_first() {
    let call = Turn::default().calls("ask_nobody", "{}");
    let (first, second) = (model("a", [gone("a"), Turn::from("I am back.")]), model("b", [call]));
    let agent = LlmAgent::new("assistant", Arc::clone(&first)).fallback(Arc::clone(&second)).build().unwrap();
    let session = Session::default();

    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "I am back.");
    assert_eq!((first.asked(), second.asked()), (2, 1));
    // What the second one said is a part of the conversation.
    assert_eq!(first.requests()[1].messages.len(), 3);
}

#[tokio::test]
async fn where_all_are_away_the_run_waits_for_the_one_that_is_tried_first() {
    let first = model("a", [held_off("a", 9), Turn::from("I am a.")]);
    let second = model("b", [held_off("b", 2)]);
    let third = model("c", [gone("c")]);
    let agent =
        LlmAgent::new("assistant", Arc::clone(&first)).fallback(second).fallback(third).build().unwrap();
    let session = Session::default();

    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "I am a.");
    assert_eq!(session.waits(), [("turn-1/sleep".to_owned(), 2 * SECOND)]);
}

#[tokio::test]
async fn a_model_that_fails_and_is_not_held_off_fails_the_run_with_its_own_sentence() {
    let agent = LlmAgent::new("assistant", model("a", [gone("a")])).build().unwrap();
    let session = Session::default();
    assert_eq!(said(session.run(&agent, "Hello").await), "`a` cannot be reached: connection refused");
    assert_eq!((session.waits(), session.usage().model_calls), (vec![], 1));
}

#[tokio::test]
async fn a_refusal_is_no_reason_to_ask_another_model() {
    let refused = ModelError::Refused { model: "a".into(), status: 400, said: "too long".into() };
    let (first, second) = (model("a", [Turn::default().fails(refused)]), model("b", [Turn::from("b")]));
    let agent = LlmAgent::new("assistant", first).fallback(Arc::clone(&second)).build().unwrap();
    assert!(said(Session::default().run(&agent, "Hello").await).contains("too long"));
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn a_call_that_fails_while_its_model_is_held_off_is_paid_and_then_waited_for() {
    let first = model("a", [gone("a"), Turn::from("Here I am.")]);
    let guarded = Held(Arc::clone(&first), Some(4 * SECOND));
    let agent = LlmAgent::new("assistant", Retrying::new(guarded, 5)).build().unwrap();
    let session = Session::default();

    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "Here I am.");
    assert_eq!(session.waits(), [("turn-1/sleep".to_owned(), 4 * SECOND)]);
    assert_eq!(session.step("turn-1/model").usage.model_calls, 1, "it was asked once, and not once more");
    assert_eq!(first.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_sent_away_by_the_pace_is_not_booked_and_waited_for_in_the_log() {
    // The breaker is closed again: only the answer says that nobody was asked.
    let first = model("a", [held_off("a", 9), Turn::from("Here I am.").used(3, 4)]);
    let agent = LlmAgent::new("assistant", Retrying::new(first, 4)).build().unwrap();
    let session = Session::default();

    assert_eq!(session.run(&agent, "Hello").await.unwrap(), "Here I am.");
    assert_eq!(session.waits(), [("turn-1/sleep".to_owned(), 9 * SECOND)]);
    assert_eq!(session.step("turn-1/model").usage, Usage::default(), "nobody was asked");
    assert_eq!(session.usage().model_calls, 1);
}

#[tokio::test]
async fn a_run_waits_no_longer_than_its_agent_says() {
    let first = model("a", [20, 20, 30, 30].map(|seconds| held_off("a", seconds)));
    let agent = LlmAgent::new("assistant", first).outage(60 * SECOND).build().unwrap();
    let session = Session::default();
    let why = said(session.run(&agent, "Hello").await);
    assert!(why.ends_with("a turn may wait 60 s for it, and has: raise `outage`"), "{why}");
    let waits: Vec<Duration> = session.waits().into_iter().map(|(_, wait)| wait).collect();
    assert_eq!(waits, [20 * SECOND; 3]);

    let agent = LlmAgent::new("assistant", model("a", [held_off("a", 1)])).outage(Duration::ZERO);
    let session = Session::default();
    assert!(session.run(&agent.build().unwrap(), "Hello").await.is_err());
    assert_eq!(session.waits(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_off_is_not_asked_once_more() {
    let asked = async |error: ModelError, held: Option<Duration>| {
        let scripted = model("a", [Turn::default().fails(error), Turn::from("Here I am.")]);
        let retrying = Retrying::new(Held(Arc::clone(&scripted), held), 3);
        let reply = retrying.reply(&ModelRequest::default(), &NoDeltas).await;
        (scripted.asked(), reply.is_ok())
    };
    let model = || "a".to_owned();
    let timed_out = ModelError::TimedOut { model: model(), phase: Phase::FirstByte, after: SECOND };
    let unavailable =
        ModelError::Unavailable { model: model(), status: 503, said: String::new(), retry_after: None };
    let held = ModelError::HeldOff { model: model(), retry_after: SECOND };
    for breaker in [Some(SECOND), None] {
        assert_eq!(asked(held.clone(), breaker).await, (1, false), "whatever the breaker is by now");
    }
    for error in [unreachable("a"), timed_out, unavailable] {
        assert_eq!(asked(error.clone(), Some(SECOND)).await, (1, false), "{error}");
        assert_eq!(asked(error.clone(), None).await, (2, true), "{error}");
    }
    let busy = ModelError::RateLimited { model: model(), retry_after: None };
    assert_eq!(asked(busy, Some(SECOND)).await, (2, true), "the provider is there");
}

fn spec(config: &Value) -> AgentSpec {
    AgentSpec::new("llm", "helper").unwrap().configured(config).unwrap()
}

fn refused(config: &Value) -> String {
    let error = LlmKind::new(NoModels).check(&spec(config)).unwrap_err();
    assert!(matches!(&error, SpecError::Config { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_declaration_names_the_chain_and_how_long_a_run_waits() {
    let config = json!({
        "model": "scripted/a", "replies": [{"calls": [{"tool": "nobody"}]}, "I am a."],
        "fallback": [{"model": "scripted/b", "replies": ["I am b."]}, {"model": "scripted/c", "replies": ["c"]}],
        "outage": 0,
    });
    let agent = LlmKind::new(NoModels).build(&spec(&config)).unwrap();
    assert_eq!(Session::default().run(&*agent, "Hello").await.unwrap(), "I am a.");
    let shown = format!("{agent:?}");
    assert!(
        shown.contains("scripted/b") && shown.contains("scripted/c") && shown.contains("outage: 0ns"),
        "{shown}"
    );
}

#[test]
fn every_fault_of_a_chain_is_told_by_its_setting() {
    let with = |fallback: Value| json!({"model": "scripted/a", "replies": ["a"], "fallback": fallback});
    let cases = [
        (with(json!("openai/gpt-4o")), "setting `fallback` has another type"),
        (with(json!([7])), "setting `fallback` has another type"),
        (
            with(json!([{"model": "scripted/b", "replies": ["b"], "tempreature": 1}])),
            "unknown setting `tempreature`",
        ),
        (with(json!([{"key": "env:KEY"}])), "setting `model` is missing"),
        (with(json!(["gpt-4o"])), "setting `model` names no provider"),
        (
            with(json!(vec![json!({"model": "scripted/b", "replies": ["b"]}); 9])),
            "setting `fallback` is 9 models",
        ),
        (
            json!({"model": "scripted/a", "replies": ["a"], "outage": "long"}),
            "setting `outage` has another type",
        ),
        (json!({"model": "scripted/a", "replies": ["a"], "outage": 604_801}), "setting `outage` is 604801"),
    ];
    for (config, expected) in cases {
        let said = refused(&config);
        assert!(said.contains(expected), "{said}");
    }
}
