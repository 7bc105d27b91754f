//! A key is in no failure and in no log, whatever a provider says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use runtime_traits::ModelError;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::llm::support::{KEY, data, openai_text, reply, stream};
use crate::wire::{Then, Wire, answer};

/// What providers say that have read the key and tell it.
fn indiscretions() -> Vec<String> {
    let body = json!({"error": {"message": format!("Wrong key: {KEY}."), "code": KEY}}).to_string();
    vec![
        answer("401 Unauthorized", "", &body),
        answer("400 Bad Request", "", &format!("<html>{KEY}")),
        answer("503 Service Unavailable", "", &body),
        stream(&[data(&json!({"error": {"message": KEY}}))]),
        stream(&[openai_text("x"), data(&json!({"error": {"message": KEY}}))]),
        stream(&[format!("data: {KEY}\n\n")]),
    ]
}

/// A log that a test can read.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_key_is_in_no_failure() {
    for said in indiscretions() {
        let error = reply("openai/a", said.clone()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(KEY), "{said}: {error}");
    }
}

#[tokio::test]
async fn what_providers_say_is_in_no_log() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(log.clone()).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    tracing::warn!("the log is read");
    for name in ["openai/a", "anthropic/a", "gemini/a"] {
        for said in indiscretions() {
            reply(name, said).await.unwrap_err();
        }
    }

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is read") && log.lines().count() == 1, "{log}");
}

#[tokio::test]
async fn a_key_does_not_go_where_a_server_points() {
    let other = Wire::says([answer("200 OK", "", "")], Then::Closes).await;
    for status in ["302 Found", "307 Temporary Redirect"] {
        let points = answer(status, &format!("Location: {}\r\n", other.url("/v1/chat/completions")), "");
        let error = reply("openai/a", points).await.unwrap_err();
        assert!(matches!(error, ModelError::Refused { .. }), "{error}");
    }
    assert_eq!(other.reached(), 0);
}
