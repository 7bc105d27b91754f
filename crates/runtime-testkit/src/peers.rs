//! Programs that somebody else wrote, started as processes of their own: `cargo xtask test` installs them.

mod proxy;
mod redis;

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use proxy::CutProxy;
pub use redis::RedisServer;

/// aimock: a server that answers as OpenAI and Anthropic do, on a port of its own. Killed when dropped.
#[derive(Debug)]
pub struct Aimock {
    child: Child,
    url: String,
    _files: [NamedTempFile; 2],
}

/// Node.js closes a connection that was idle for five seconds. On a busy machine a client may be about to use it just
/// then, and a test that counts calls would count that one twice.
const PATIENT: &str = "const http = require('node:http'); const make = http.createServer; \
    http.createServer = (...args) => Object.assign(make(...args), { keepAliveTimeout: 600000 }); \
    require('node:module').syncBuiltinESMExports();";

impl Aimock {
    /// Starts it with what it is to say: its fixtures, as its documentation describes them.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start(fixtures: &Value) -> Self {
        let mut file = tempfile::Builder::new().suffix(".json").tempfile().expect("there is room for a file");
        write!(file, "{}", json!({ "fixtures": fixtures })).expect("there is room for a file");
        let mut patient =
            tempfile::Builder::new().suffix(".cjs").tempfile().expect("there is room for a file");
        write!(patient, "{PATIENT}").expect("there is room for a file");
        let mut child = Command::new(installed("AGENT_RUNTIME_NODE"))
            .arg("--require")
            .arg(patient.path())
            .arg(installed("AGENT_RUNTIME_AIMOCK"))
            .args(["--host", "127.0.0.1", "--port", "0", "--chunk-size", "4", "--fixtures"])
            .arg(file.path())
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("Node.js can be started");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            let read = output.read_line(&mut line).expect("its output is text");
            assert!(read > 0, "the server ended: {said}");
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
            said.push_str(&line);
        };
        // What else it says is read by nobody, and must not block it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, url, _files: [file, patient] }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says it was asked and answered, oldest first.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn journal(&self) -> Vec<Value> {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /__aimock/journal HTTP/1.0\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        serde_json::from_str(body).expect("its journal is JSON")
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(name: &str) -> OsString {
    let remedy = "this test needs a program that is not installed here; type `cargo xtask test`, or `cargo xtask \
                  tools` and set what it prints";
    let found = env::var_os(name);
    assert!(found.is_some(), "`{name}` is not set: {remedy}");
    found.unwrap_or_default()
}
