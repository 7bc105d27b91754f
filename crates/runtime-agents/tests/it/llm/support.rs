//! Models at a server on this machine, and what providers say.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime_agents::llm::{GenaiModel, Provider};
use runtime_traits::model::ChatMessage;
use runtime_traits::{Deltas, Model, ModelError, ModelReply, ModelRequest};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::wire::{Then, Wire, answer};

/// The key of all tests. It stands in a file, and nowhere else.
pub(crate) const KEY: &str = "sk-test-0123456789";

/// Keeps what is shown, as it is put together.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Vec<String>>, AtomicUsize);

impl Shown {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().concat()
    }

    pub(crate) fn retractions(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }

    pub(crate) fn pieces(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Deltas for Shown {
    fn text(&self, piece: &str) {
        self.0.lock().unwrap().push(piece.to_owned());
    }

    fn retract(&self) {
        self.0.lock().unwrap().clear();
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn key_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{KEY}").unwrap();
    file
}

/// A model of the provider at the address, with short deadlines.
pub(crate) fn model_at(name: &str, url: &str) -> GenaiModel {
    let key = key_file();
    GenaiModel::named(name)
        .key(format!("file:{}", key.path().display()))
        .base_url(url)
        .first_byte(Duration::from_secs(20))
        .between_tokens(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// A model of each provider, by the name of the provider.
pub(crate) fn name_of(provider: Provider) -> String {
    format!("{provider}/some-model")
}

pub(crate) fn hello() -> ModelRequest {
    ModelRequest {
        messages: vec![ChatMessage::User("Hello".to_owned())],
        max_tokens: 100,
        ..ModelRequest::default()
    }
}

/// An answer that is a stream of events.
pub(crate) fn stream(events: &[String]) -> String {
    answer("200 OK", "Content-Type: text/event-stream\r\n", &events.concat())
}

/// One event of OpenAI's.
pub(crate) fn data(json: &Value) -> String {
    format!("data: {json}\n\n")
}

/// One event of Anthropic's.
pub(crate) fn event(json: &Value) -> String {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap())
}

pub(crate) fn openai_text(piece: &str) -> String {
    data(&json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}))
}

pub(crate) fn openai_call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> String {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let (Some(id), Some(name)) = (id, name) {
        call["id"] = json!(id);
        call["function"]["name"] = json!(name);
    }
    data(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]}))
}

pub(crate) fn openai_end(reason: &str) -> String {
    let end = data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
    format!(
        "{end}{}data: [DONE]\n\n",
        data(&json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}))
    )
}

pub(crate) fn anthropic_end(reason: &str, output: u32) -> String {
    let delta = event(
        &json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": output}}),
    );
    format!("{delta}{}", event(&json!({"type": "message_stop"})))
}

/// What the model makes of an answer.
pub(crate) async fn reply(name: &str, answer: String) -> Result<ModelReply, ModelError> {
    let wire = Wire::says([answer], Then::Closes).await;
    let shown = Shown::default();
    let reply = model_at(name, &wire.url("/v1")).reply(&hello(), &shown).await;
    if let Ok(reply) = &reply {
        assert_eq!(reply.text, shown.text(), "the deltas add up to the text");
    }
    reply
}

/// What is sent for a request.
pub(crate) async fn sent(name: &str, request: &ModelRequest) -> Value {
    let wire = Wire::says([answer("400 Bad Request", "", "{}")], Then::Closes).await;
    model_at(name, &wire.url("/v1")).reply(request, &Shown::default()).await.unwrap_err();
    wire.asked()[0].json()
}
