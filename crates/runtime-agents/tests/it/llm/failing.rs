//! How calls fail, and that every failure is told by its kind.

use std::time::Duration;

use runtime_agents::llm::GenaiModel;
use runtime_traits::model::{NoDeltas, Phase};
use runtime_traits::{Model, ModelError};
use serde_json::json;
use tokio::net::TcpListener;

use crate::llm::support::{
    Shown, anthropic_end, data, event, hello, key_file, model_at, openai_text, reply, stream,
};
use crate::wire::{Then, Wire, answer};

fn kind(error: &ModelError) -> &'static str {
    match error {
        ModelError::Key { .. } => "key",
        ModelError::UnknownModel { .. } => "unknown model",
        ModelError::Refused { .. } => "refused",
        ModelError::RateLimited { .. } => "rate limited",
        ModelError::Unavailable { .. } => "unavailable",
        ModelError::Unreachable { .. } => "unreachable",
        ModelError::Cut { .. } => "cut",
        ModelError::TimedOut { .. } => "timed out",
        ModelError::NoReply { .. } => "no reply",
        ModelError::AtLimit { .. } => "at-limit",
        ModelError::HeldOff { .. } => "held off",
    }
}

async fn failure(name: &str, answer: String) -> ModelError {
    reply(name, answer).await.unwrap_err()
}

#[tokio::test]
async fn every_refusal_is_told_by_its_kind() {
    let openai = |code: &str| {
        json!({"error": {"message": "Sorry.", "type": "invalid_request_error", "code": code}}).to_string()
    };
    let anthropic =
        |sort: &str| json!({"type": "error", "error": {"type": sort, "message": "Sorry."}}).to_string();
    let gemini = |status: &str, reason: &str| {
        json!([{"error": {"code": 400, "message": "Sorry.", "status": status, "details": [{"reason": reason}]}}]).to_string()
    };
    let page = "<html><title>404 Not Found</title></html>".to_owned();
    let cases = [
        ("401 Unauthorized", openai("invalid_api_key"), "key"),
        ("403 Forbidden", openai("unsupported_country"), "key"),
        ("403 Forbidden", openai("model_not_found"), "unknown model"),
        ("404 Not Found", openai("model_not_found"), "unknown model"),
        ("404 Not Found", "{\"error\": \"model 'x' not found\"}".to_owned(), "unknown model"),
        ("404 Not Found", page, "no reply"),
        ("400 Bad Request", openai("context_length_exceeded"), "refused"),
        ("400 Bad Request", gemini("INVALID_ARGUMENT", "API_KEY_INVALID"), "key"),
        ("400 Bad Request", gemini("INVALID_ARGUMENT", "OTHER"), "refused"),
        ("413 Payload Too Large", anthropic("request_too_large"), "refused"),
        ("422 Unprocessable Entity", String::new(), "refused"),
        ("307 Temporary Redirect", String::new(), "refused"),
        ("429 Too Many Requests", anthropic("rate_limit_error"), "rate limited"),
        ("429 Too Many Requests", openai("insufficient_quota"), "refused"),
        ("500 Internal Server Error", openai("server_error"), "unavailable"),
        ("503 Service Unavailable", "try later".to_owned(), "unavailable"),
        ("529 Overloaded", anthropic("overloaded_error"), "unavailable"),
    ];
    for (status, body, expected) in cases {
        let error = failure("openai/gpt-4o", answer(status, "", &body)).await;
        assert_eq!(kind(&error), expected, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn what_the_provider_said_is_told_on_one_line() {
    let body = json!({"error": {"message": "The  model\n is away.", "type": "server_error"}}).to_string();
    let error =
        failure("openai/gpt-4o", answer("503 Service Unavailable", "Retry-After: 7\r\n", &body)).await;

    let (model, said) = ("openai/gpt-4o".to_owned(), "The model is away.".to_owned());
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(error, ModelError::Unavailable { model, status: 503, said, retry_after });

    let error = failure("openai/gpt-4o", answer("400 Bad Request", "", &"x".repeat(5000))).await;
    assert!(error.to_string().len() < 500, "{error}");
}

#[tokio::test]
async fn when_to_ask_again_is_told_in_seconds_milliseconds_or_by_a_date() {
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let cases = [
        ("Retry-After: 30\r\n".to_owned(), Some(30_000)),
        ("Retry-After: 30\r\nRetry-After-Ms: 1500\r\n".to_owned(), Some(1500)),
        (format!("{date}Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"), Some(30_000)),
        (format!("{date}Retry-After: Sun, 06 Nov 1994 08:00:00 GMT\r\n"), Some(0)),
        ("Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n".to_owned(), None),
        ("Retry-After: soon\r\n".to_owned(), None),
        (String::new(), None),
    ];
    for (headers, expected) in cases {
        let error = failure("openai/gpt-4o", answer("429 Too Many Requests", &headers, "{}")).await;
        assert_eq!(error.retry_after(), expected.map(Duration::from_millis), "{headers}");
    }
}

#[tokio::test]
async fn a_stream_without_its_finishing_event_is_cut() {
    let start = event(
        &json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}),
    );
    let gemini = data(&json!({"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}));
    let done_without_reason = format!("{}data: [DONE]\n\n", openai_text("Hel"));
    let cases = [
        ("openai/a", openai_text("Hel")),
        ("openai/a", done_without_reason),
        ("anthropic/a", start),
        ("anthropic/a", anthropic_end("end_turn", 1).replace("message_stop", "ping")),
        ("gemini/a", gemini),
        ("ollama/a", openai_text("Hel")),
        ("openai/a", String::new()),
    ];
    for (name, events) in cases {
        let error = failure(name, stream(std::slice::from_ref(&events))).await;
        assert_eq!(kind(&error), "cut", "{name} {events}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_drops_in_the_middle_is_cut_also_before_a_word() {
    // The length says that more was to come.
    let promised = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n";
    for said in [format!("{promised}{}", openai_text("Hel")), promised.to_owned(), String::new()] {
        let error = failure("openai/gpt-4o", said.clone()).await;
        assert_eq!(kind(&error), "cut", "{said}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_stream_of_events_is_no_reply() {
    let page =
        answer("200 OK", "Content-Type: text/html\r\n", "<!doctype html>\n\n<title>Welcome</title>\n\n");
    let json = answer("200 OK", "Content-Type: application/json\r\n", "{malformed json: <<<chaos>>>");
    let garbage = stream(&["data: <html>\n\n".to_owned()]);
    for (name, body) in [
        ("openai/a", &page),
        ("anthropic/a", &page),
        ("openai/a", &json),
        ("openai/a", &garbage),
        ("gemini/a", &garbage),
    ] {
        let error = failure(name, body.clone()).await;
        assert_eq!(kind(&error), "no reply", "{name} {body}: {error}");
    }
    // After a beginning it is a reply that broke.
    let broken = stream(&[openai_text("Hel"), "data: {\"choi\n\n".to_owned()]);
    assert_eq!(kind(&failure("openai/a", broken).await), "cut");
}

#[tokio::test]
async fn a_failure_within_the_stream_is_told_by_its_kind_unless_the_reply_has_begun() {
    let anthropic =
        |sort: &str| event(&json!({"type": "error", "error": {"type": sort, "message": "Sorry."}}));
    let openai = |error: serde_json::Value| data(&json!({ "error": error }));
    let cases = [
        ("anthropic/a", anthropic("overloaded_error"), "unavailable"),
        ("anthropic/a", anthropic("api_error"), "unavailable"),
        ("anthropic/a", anthropic("rate_limit_error"), "rate limited"),
        ("anthropic/a", anthropic("authentication_error"), "key"),
        ("anthropic/a", anthropic("invalid_request_error"), "refused"),
        ("openai/a", openai(json!({"message": "Sorry.", "code": 502})), "unavailable"),
        (
            "openai/a",
            openai(json!({"message": "Sorry.", "type": "server_error", "code": null})),
            "unavailable",
        ),
        ("openai/a", openai(json!({"message": "Sorry.", "code": 7})), "refused"),
    ];
    for (name, said, expected) in cases {
        let error = failure(name, stream(std::slice::from_ref(&said))).await;
        assert_eq!(kind(&error), expected, "{name} {said}: {error}");
    }
    let late = stream(&[openai_text("Hel"), openai(json!({"message": "Sorry.", "type": "server_error"}))]);
    let error = failure("openai/a", late).await;
    assert!(kind(&error) == "cut" && error.to_string().contains("Sorry."), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    // No host has such a name, and no resolver is asked for it.
    let long = format!("http://{}.example", "a".repeat(64));
    for url in [format!("http://127.0.0.1:{port}"), long] {
        let error = model_at("openai/a", &url).reply(&hello(), &NoDeltas).await.unwrap_err();
        assert_eq!(kind(&error), "unreachable", "{error}");
    }
}

/// Deadlines so short that they pass, in the phase that is asked for.
async fn timed_out(said: String, first: u64, between: u64) -> (ModelError, Wire, String) {
    let wire = Wire::says([said], Then::Hangs).await;
    let key = key_file();
    let model = GenaiModel::named("openai/a")
        .key(format!("file:{}", key.path().display()))
        .base_url(wire.url("/v1"))
        .first_byte(Duration::from_millis(first))
        .between_tokens(Duration::from_millis(between))
        .build()
        .unwrap();
    let shown = Shown::default();
    let error = model.reply(&hello(), &shown).await.unwrap_err();
    (error, wire, shown.text())
}

#[tokio::test]
async fn silence_ends_at_the_deadline_of_its_phase_and_closes_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    // A role without a word is no event, but it is a first byte.
    let role = data(&json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    let cases = [
        (String::new(), 50, 20_000, Phase::FirstByte, ""),
        (head.to_owned(), 50, 20_000, Phase::FirstByte, ""),
        (format!("{head}{role}"), 20_000, 50, Phase::BetweenTokens, ""),
        // A comment keeps a connection alive, and is no reply.
        (format!("{head}: still here\n\n"), 50, 20_000, Phase::FirstByte, ""),
        (format!("{head}{role}: still here\n\n"), 20_000, 50, Phase::BetweenTokens, ""),
        (format!("{head}{}", openai_text("Hel")), 20_000, 50, Phase::BetweenTokens, "Hel"),
    ];
    for (said, first, between, phase, shown) in cases {
        let (error, mut wire, text) = timed_out(said.clone(), first, between).await;
        let (model, after) = ("openai/a".to_owned(), Duration::from_millis(50));
        assert_eq!(error, ModelError::TimedOut { model, phase, after }, "{said}");
        assert_eq!(text, shown);
        wire.closed(1).await;
    }
}
