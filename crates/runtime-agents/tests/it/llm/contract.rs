//! The clauses of the contract of models, each by its name.

use runtime_traits::model::{NoDeltas, TokenUsage};
use runtime_traits::{Model, ModelError};
use serde_json::json;

use crate::llm::support::{Shown, data, hello, model_at, openai_end, openai_text, reply, stream};
use crate::wire::{Then, Wire, answer};

#[tokio::test]
async fn whole_reply() {
    let said = stream(&[openai_text("Good "), openai_text("morning"), openai_end("stop")]);
    let wire = Wire::says([said], Then::Closes).await;

    let reply = model_at("openai/a", &wire.url("/v1")).reply(&hello(), &NoDeltas).await.unwrap();
    assert_eq!(reply.text, "Good morning");
}

#[tokio::test]
async fn deltas_add_up() {
    let said = stream(&[openai_text("Good "), openai_text("morning"), openai_end("stop")]);
    let wire = Wire::says([said], Then::Closes).await;
    let shown = Shown::default();

    let reply = model_at("openai/a", &wire.url("/v1")).reply(&hello(), &shown).await.unwrap();
    assert_eq!((shown.text(), shown.pieces()), (reply.text, 2));
}

#[tokio::test]
async fn repeat_retracts() {
    // It never repeats by itself, so it never takes back.
    for said in [answer("503 Service Unavailable", "", "{}"), stream(&[openai_text("Hel")]), String::new()] {
        let wire = Wire::says([said], Then::Closes).await;
        let shown = Shown::default();
        model_at("openai/a", &wire.url("/v1")).reply(&hello(), &shown).await.unwrap_err();
        assert_eq!((wire.reached(), shown.retractions()), (1, 0));
    }
}

#[tokio::test]
async fn usage_or_none() {
    let usage = Some(TokenUsage { input: 7, output: 3 });
    assert_eq!(reply("openai/a", stream(&[openai_end("stop")])).await.unwrap().usage, usage);

    let end = data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    assert_eq!(reply("openai/a", stream(&[end, "data: [DONE]\n\n".to_owned()])).await.unwrap().usage, None);
}

#[tokio::test]
async fn droppable() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let mut wire = Wire::says([format!("{head}{}", openai_text("Hel"))], Then::Hangs).await;
    let model = model_at("openai/a", &wire.url("/v1"));
    let (request, shown) = (hello(), Shown::default());
    let mut call = model.reply(&request, &shown);
    while shown.text().is_empty() {
        tokio::select! {
            reply = &mut call => panic!("{reply:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(call);

    // The server sees the end of the connection, which it would keep open for ever.
    wire.closed(1).await;
    assert_eq!((shown.text().as_str(), wire.reached()), ("Hel", 1));
}

#[tokio::test]
async fn errors_are_typed() {
    let transient = async |said: String| reply("openai/a", said).await.unwrap_err().is_transient();

    for status in ["429 Too Many Requests", "500 Internal Server Error", "529 Overloaded"] {
        assert!(transient(answer(status, "", "{}")).await, "{status}");
    }
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found"] {
        assert!(!transient(answer(status, "", "{}")).await, "{status}");
    }
    assert!(transient(stream(&[openai_text("Hel")])).await);
    assert!(!transient(answer("200 OK", "", "<html>")).await);
    let cut = reply("openai/a", stream(&[openai_text("Hel")])).await.unwrap_err();
    assert!(matches!(&cut, ModelError::Cut { model, .. } if model == "openai/a") && cut.may_be_billed());
}
