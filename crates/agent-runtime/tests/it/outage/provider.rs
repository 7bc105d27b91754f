//! A provider of models that can be away: a server that answers as OpenAI does, and knows when it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How a provider is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// It answers with a trouble of its own.
    Unavailable,
    /// It takes the question, and says nothing.
    Silent,
}

/// The server. Dropped, it is gone, and nothing listens at its address.
#[derive(Debug)]
pub(super) struct Provider {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    away: Mutex<Option<Away>>,
    asked: Mutex<Vec<Duration>>,
    began: Instant,
}

impl Provider {
    /// A provider on a port of its own.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock of the executor, which the test has paused"
    )]
    pub(super) async fn start() -> Self {
        let began = Instant::now();
        let state = Arc::new(State { away: Mutex::default(), asked: Mutex::default(), began });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut provider = Self { address, state, serving: JoinSet::new() };
        provider.listen(listener);
        provider
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Is away from now on in this way; `None`: is back.
    pub(super) fn is_away(&self, how: Option<Away>) {
        *self.state.away.lock().unwrap() = how;
    }

    /// Is gone: nothing listens, and every connection is closed.
    pub(super) async fn goes(&mut self) {
        self.serving.shutdown().await;
    }

    /// Listens again.
    pub(super) async fn comes_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.listen(listener);
    }

    /// When it was asked, since it was started.
    pub(super) fn asked(&self) -> Vec<Duration> {
        self.state.asked.lock().unwrap().clone()
    }

    fn listen(&mut self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        self.serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
    }
}

/// Answers one question, and closes.
async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some(()) = read(&mut stream).await else { return };
    state.asked.lock().unwrap().push(state.began.elapsed());
    let away = *state.away.lock().unwrap();
    let answer = match away {
        Some(Away::Silent) => return std::future::pending().await,
        Some(Away::Unavailable) => answer("503 Service Unavailable", "text/plain", "I am away."),
        None => answer("200 OK", "text/event-stream", REPLY),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

const REPLY: &str = concat!(
    r#"data: {"choices": [{"index": 0, "delta": {"content": "It is 42."}, "finish_reason": null}]}"#,
    "\n\n",
    r#"data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#,
    "\n\n",
    r#"data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}"#,
    "\n\ndata: [DONE]\n\n"
);

fn answer(status: &str, media: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a question to its end.
async fn read(stream: &mut TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let len = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let len: usize = len.and_then(|len| len.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + len {
                return Some(());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
