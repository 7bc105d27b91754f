//! Posting.

use std::time::Duration;

use runtime_agents::http::{HttpPost, WebError};
use runtime_traits::{Effect, Reconciled, StepCall, Tool};
use serde_json::json;

use crate::http::support::{call, here};
use crate::wire::{Then, Wire, answer};

const TEXT: &str = "Content-Type: text/plain\r\n";

#[tokio::test]
async fn a_post_carries_its_key_and_the_body_as_it_was_written() {
    let wire = Wire::says([answer("201 Created", TEXT, "done")], Then::Closes).await;
    let tool = HttpPost::new(here(&[wire.port()])).unwrap();
    let given = format!(r#"{{"url": "{}", "body": {{"z": 1.0, "a": [2]}}}}"#, wire.url("/orders"));
    for key in ["one", "one", "two"] {
        let call = StepCall::detached(key);
        assert_eq!(tool.call(&call, &given).await.unwrap(), "done");
    }

    let asked = wire.asked();
    assert_eq!(
        (asked[0].line.as_str(), asked[0].body.as_str()),
        ("POST /orders HTTP/1.1", r#"{"z": 1.0, "a": [2]}"#)
    );
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    let keys: Vec<_> = asked.iter().map(|asked| asked.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys[0], StepCall::detached("one").idempotency_key());
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn a_post_is_guarded_and_not_sent_on() {
    let moved = answer("307 Temporary Redirect", "Location: /elsewhere\r\n", "");
    let wire = Wire::says([moved], Then::Closes).await;
    let tool = HttpPost::new(here(&[wire.port()])).unwrap();
    let words = call(&tool, json!({"url": wire.url("/"), "body": 1})).await.unwrap_err();
    assert_eq!(words, WebError::Redirected { status: 307, to: wire.url("/elsewhere") }.to_string());
    assert_eq!(wire.reached(), 1);

    let words = call(&tool, json!({"url": "http://10.0.0.1/", "body": 1})).await.unwrap_err();
    assert!(words.contains("10.0.0.1 is private"), "{words}");
    let words = call(&tool, json!({"url": wire.url("/")})).await.unwrap_err();
    assert!(words.starts_with("the arguments do not fit"), "{words}");
}

#[tokio::test]
async fn a_lost_post_is_asked_after_where_the_operator_says() {
    let call = StepCall::detached("one");
    let cases = [
        (answer("200 OK", TEXT, "it was done"), Some(Reconciled::Done("it was done".to_owned()))),
        // What is under way is not done yet, and what has nothing to say has not said it.
        (answer("202 Accepted", TEXT, "still working"), Some(Reconciled::Unknown)),
        (answer("204 No Content", "", ""), Some(Reconciled::Unknown)),
        // What is under way is not done yet, and who has nothing to say has not said it.
        (answer("202 Accepted", TEXT, "still working"), Some(Reconciled::Unknown)),
        (answer("204 No Content", "", ""), Some(Reconciled::Unknown)),
        (answer("404 Not Found", TEXT, ""), Some(Reconciled::NotDone)),
        (answer("410 Gone", TEXT, ""), Some(Reconciled::NotDone)),
        (answer("500 Internal Server Error", TEXT, ""), Some(Reconciled::Unknown)),
        (String::new(), None),
    ];
    for (said, expected) in cases {
        let wire = Wire::says([said], Then::Closes).await;
        let tool =
            HttpPost::new(here(&[wire.port()])).unwrap().status_url(&wire.url("/status/{key}")).unwrap();
        assert_eq!(tool.reconcile(&call, "").await.ok(), expected);
        assert_eq!(wire.asked()[0].line, format!("GET /status/{} HTTP/1.1", call.idempotency_key()));
    }
    let tool = HttpPost::new(here(&[])).unwrap();
    assert_eq!(tool.reconcile(&call, "").await.unwrap(), Reconciled::Unknown);
    assert!(matches!(tool.clone().status_url("http://127.0.0.1/"), Err(WebError::Malformed { .. })));
    assert!(matches!(tool.status_url("http://10.0.0.1/{key}"), Err(WebError::Address { .. })));
}

#[tokio::test]
async fn a_post_tells_its_effect_limit_and_deadline_and_sends_its_headers() {
    let wire = Wire::says([answer("200 OK", TEXT, &"x".repeat(99))], Then::Closes).await;
    let tool = HttpPost::new(here(&[wire.port()])).unwrap();
    assert_eq!(tool.effect(), Effect::Idempotent { window: Duration::from_secs(86_400) });
    let window = Duration::from_secs(60);
    let tool = tool.window(window).most(10).timeout(Duration::from_secs(5));
    let tool = tool.header(&wire.url("/"), "authorization", "Bearer s3cr3t").unwrap();

    assert_eq!(tool.effect(), Effect::Idempotent { window });
    assert!(tool.within() > Duration::from_secs(5));
    assert_eq!(tool.spec().name, "http_post");
    let text = call(&tool, json!({"url": wire.url("/"), "body": null})).await.unwrap();
    assert_eq!(text, format!("{}\n[cut off after 10 bytes]", "x".repeat(10)));
    assert_eq!(wire.asked()[0].header("authorization"), Some("Bearer s3cr3t"));
}
