//! A server on this machine that says what it was told to say, byte by byte, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a connection when everything has been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is closed.
    Closes,
    /// It stays open until the other side closes it.
    Hangs,
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Method, path and version.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    #[cfg(feature = "llm")]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// The server. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Wire {
    port: u16,
    reached: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: watch::Receiver<usize>,
    _serving: JoinSet<()>,
}

impl Wire {
    /// Gives the answers one after the other, and the last one again and again.
    pub(crate) async fn says(answers: impl IntoIterator<Item = String>, then: Then) -> Self {
        Self::at("127.0.0.1:0", answers, then).await
    }

    /// The same at an address.
    pub(crate) async fn at(address: &str, answers: impl IntoIterator<Item = String>, then: Then) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (closing, closed) = watch::channel(0);
        let closing = Arc::new(closing);
        let mut answers: VecDeque<String> = answers.into_iter().collect();
        let (kept, mut serving) = (asked.clone(), JoinSet::new());
        let reached: Arc<AtomicUsize> = Arc::default();
        let count = reached.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let last = answers.len() == 1;
                let answer = if last { answers.front().cloned() } else { answers.pop_front() };
                let (kept, closing) = (kept.clone(), closing.clone());
                connections.spawn(async move {
                    serve(stream, &answer.unwrap_or_default(), then, &kept).await;
                    closing.send_modify(|count| *count += 1);
                });
            }
        });
        Self { port, reached, asked, closed, _serving: serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    #[cfg(feature = "http")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections came.
    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until that many connections are over.
    pub(crate) async fn closed(&mut self, count: usize) {
        self.closed.wait_for(|closed| *closed >= count).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, answer: &str, then: Then, kept: &Mutex<Vec<Asked>>) {
    let Some(asked) = read(&mut stream).await else { return };
    kept.lock().unwrap().push(asked);
    let said = stream.write_all(answer.as_bytes()).await;
    if said.is_ok() && then == Then::Hangs {
        let _ = stream.read(&mut [0; 1]).await;
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let mut asked = Asked { line, headers, body: String::new() };
    let len: usize = asked.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + len {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    asked.body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    Some(asked)
}

/// An answer with a body whose end is told by its length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
