//! `POST /run`.

use std::time::Duration;

use runtime_testkit::fakes::runtime::{Answer, Call};
use runtime_traits::log::FailureKind;
use runtime_traits::runtime::{Finished, Joined, Submitted};
use runtime_traits::{
    AgentRef, Content, IdempotencyKey, Outcome, Payload, RunFailure, RunId, RunRequest, SessionName,
};
use serde_json::json;

use crate::support::{Answer as Came, Place, client, scribe};

fn submitted(call: &Call) -> (&AgentRef, &RunRequest) {
    let asked = match call {
        Call::Submit(agent, request) => Some((agent, request)),
        _ => None,
    };
    asked.expect("the call is a submit")
}

fn ended(finished: Finished) -> Answer {
    Answer::Joined(Box::new(Joined::Ended(finished)))
}

#[tokio::test]
async fn text_is_answered_with_text() {
    let place = Place::new().await;
    let samples = place.runtime.samples();

    let answer = place.post("/run", r#"{"input": "hello"}"#).await;

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "run_id": samples.run.to_string(),
            "session": "default",
            "output": "HELLO",
            "usage": {"input_tokens": 5, "output_tokens": 5, "model_calls": 1, "tool_calls": 0, "estimated_tokens": 0},
        })
    );
    let calls = place.runtime.calls();
    assert_eq!(submitted(&calls[0]), (&scribe(), &RunRequest::new("hello")));
}

#[tokio::test]
async fn a_priority_goes_with_the_run_however_it_is_asked_for() {
    let place = Place::new().await;
    place.post("/run", r#"{"input": "x", "priority": 7}"#).await;
    assert_eq!(submitted(&place.runtime.calls()[0]).1.priority, 7);
    let beyond = place.post("/run", r#"{"input": "x", "priority": 256}"#).await;
    assert_eq!(beyond.status, 400);
}

fn spelt(json: &'static str) -> Content {
    Content { media: runtime_traits::Media::Json, bytes: bytes::Bytes::from_static(json.as_bytes()) }
}

#[tokio::test]
async fn every_form_of_input_arrives() {
    let place = Place::new().await;
    let forms = [
        (r#""a \u00fc\n""#, Content::text("a ü\n")),
        (r#"{"text": "a"}"#, Content::text("a")),
        // As it was spelt: its digest tells whether an idempotency key comes with the same input.
        (r#"{"json": {"b": [1, null]}}"#, spelt(r#"{"b": [1, null]}"#)),
        (r#""""#, Content::text("")),
    ];

    for (form, content) in forms {
        let before = place.runtime.calls().len();
        let answer = place.post("/run", &format!(r#"{{"input": {form}}}"#)).await;
        assert_eq!(answer.status, 200, "{form}");
        let calls = place.runtime.calls();
        assert_eq!(submitted(&calls[before]).1.input, content);
    }
}

#[tokio::test]
async fn session_agent_and_key_are_taken() {
    let place = Place::new().await;
    let request = client()
        .post(place.url("/run"))
        .header("content-type", "application/json; charset=utf-8")
        .header("idempotency-key", "k-1")
        .body(r#"{"input": "x", "session": "s", "agent": "other"}"#);

    let answer = Came::of(request).await;

    assert_eq!(answer.status, 200);
    let calls = place.runtime.calls();
    let (agent, request) = submitted(&calls[0]);
    assert_eq!(agent.to_string(), "other");
    assert_eq!(request.session, SessionName::new("s").expect("a name"));
    assert_eq!(request.idempotency_key, IdempotencyKey::new("k-1").ok());
}

#[tokio::test]
async fn json_is_answered_with_json_as_it_was_written() {
    let place = Place::new().await;
    let mut finished = place.runtime.samples().finished();
    let mut output = Content::text(r#"{"z": 12345678901234567890123, "a": 0.1}"#);
    output.media = runtime_traits::Media::Json;
    finished.output = Some(output);
    place.runtime.answer(Answer::Submitted(Submitted { run: finished.run, repeated: false }));
    place.runtime.answer(ended(finished));

    let answer = place.post("/run", r#"{"input": "x"}"#).await;

    let whole = r#""output":{"z": 12345678901234567890123, "a": 0.1}"#;
    assert!(answer.body.contains(whole), "{answer:?}");
}

#[tokio::test]
async fn a_run_that_failed_is_a_problem() {
    let place = Place::new().await;
    let mut finished = place.runtime.samples().finished();
    let failure = RunFailure { kind: FailureKind::Agent, message: "no model".to_owned() };
    finished.outcome = Outcome::Failed(failure);
    finished.output = None;
    place.runtime.answer(Answer::Submitted(Submitted { run: finished.run, repeated: false }));
    place.runtime.answer(ended(finished));

    let answer = place.post("/run", r#"{"input": "x"}"#).await;

    assert_eq!((answer.status, answer.problem().as_str()), (500, "run-failed"));
    assert!(answer.body.contains("no model"));
}

#[tokio::test]
async fn a_run_that_goes_on_as_another_is_followed() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let next = RunId::from_parts(samples.run.partition(), uuid::Uuid::from_u128(99));
    let mut first = samples.finished();
    first.outcome = Outcome::Continued(next);
    first.output = None;
    let mut second = samples.finished();
    second.run = next;
    second.outcome = Outcome::Completed(Payload::of(&samples.output));
    place.runtime.answer(Answer::Submitted(Submitted { run: first.run, repeated: false }));
    place.runtime.answer(ended(first)).answer(ended(second));

    let answer = place.post("/run", r#"{"input": "x"}"#).await;

    assert_eq!(answer.json()["run_id"], next.to_string());
}

#[tokio::test]
async fn an_open_run_is_answered_with_where_it_is() {
    let place = Place::with(|service| service.wait_limit(Duration::from_millis(5))).await;
    let samples = place.runtime.samples();
    let open = Joined::Open(Box::new(samples.open_view()));
    place.runtime.answer(Answer::Submitted(Submitted { run: samples.run, repeated: false }));
    place.runtime.answer(Answer::Joined(Box::new(open)));

    let answer = place.post("/run", r#"{"input": "x"}"#).await;

    assert_eq!(answer.status, 202);
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/v1/runs/{}", samples.run));
    assert_eq!(answer.json()["status"], "running");
    assert_eq!(place.get(&location).await.json()["run"], samples.run.to_string());
}

#[tokio::test]
async fn a_service_without_a_default_agent_wants_one_named() {
    let place = Place::new().await;
    let listeners = runtime_service::Listeners::none().tcp(crate::support::any_port()).await.expect("a port");
    let serving = runtime_service::AgentService::over(place.runtime.clone()).start(listeners);
    let url = format!("http://{}/run", serving.addresses()[0]);
    let request = client().post(url).header("content-type", "application/json").body(r#"{"input": "x"}"#);

    let answer = Came::of(request).await;

    assert_eq!((answer.status, answer.problem().as_str()), (400, "no-agent-named"));
    assert!(place.runtime.calls().is_empty());
    serving.stop().await;
}
