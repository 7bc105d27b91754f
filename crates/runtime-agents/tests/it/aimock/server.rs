//! The server as a child process on a port of its own.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runtime_agents::llm::GenaiModel;
use runtime_traits::ModelRequest;
use runtime_traits::model::ChatMessage;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::llm::support::key_file;

/// Both formats of the wire: the provider and the path below which the server speaks it.
pub(crate) const FORMATS: [&str; 2] = ["openai/gpt-4o", "anthropic/claude-sonnet"];

/// The server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Aimock {
    child: Child,
    url: String,
    _fixtures: NamedTempFile,
}

impl Aimock {
    /// Starts it with what it is to say.
    pub(crate) fn start(fixtures: &Value) -> Self {
        let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        write!(file, "{}", json!({ "fixtures": fixtures })).unwrap();
        let mut child = Command::new(installed("AGENT_RUNTIME_NODE"))
            .arg(installed("AGENT_RUNTIME_AIMOCK"))
            .args(["--host", "127.0.0.1", "--port", "0", "--chunk-size", "4", "--fixtures"])
            .arg(file.path())
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("Node.js can be started");
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                panic!("the server ended: {said}");
            }
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
            said.push_str(&line);
        };
        // What else it says is read by nobody, and must not block it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, url, _fixtures: file }
    }

    /// A model of the server.
    pub(crate) fn model(&self, name: &str, first_byte: Duration, between_tokens: Duration) -> GenaiModel {
        let key = key_file();
        GenaiModel::named(name)
            .key(format!("file:{}", key.path().display()))
            .base_url(format!("{}/v1", self.url))
            .first_byte(first_byte)
            .between_tokens(between_tokens)
            .build()
            .unwrap()
    }

    /// A model of the server that has time.
    pub(crate) fn patient(&self, name: &str) -> GenaiModel {
        self.model(name, Duration::from_secs(20), Duration::from_secs(20))
    }

    /// What the server says it was asked and answered, oldest first.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"GET /__aimock/journal HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a caller says.
pub(crate) fn says(text: &str) -> ModelRequest {
    let messages = vec![ChatMessage::User(text.to_owned())];
    ModelRequest { messages, max_tokens: 100, ..ModelRequest::default() }
}

fn installed(name: &str) -> std::ffi::OsString {
    env::var_os(name).unwrap_or_else(|| {
        panic!(
            "`{name}` is not set: this test needs a model server that is not installed here; \
             type `cargo xtask test`, or `cargo xtask tools` and set what it prints"
        )
    })
}
