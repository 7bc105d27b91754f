//! A provider of models on loopback that can be away, and knows when it was asked.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_runtime::SystemClock;
use runtime_traits::clock::{Clock, UnixMillis};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a caller may need for its question, and for the answer.
const WITHIN: Duration = Duration::from_secs(10);

/// A provider. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Provider {
    address: SocketAddr,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Desk {
    is_away: AtomicBool,
    clock: SystemClock,
    asked: Mutex<Vec<UnixMillis>>,
}

impl Provider {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            is_away: AtomicBool::new(false),
            clock: SystemClock::default(),
            asked: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(listen(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, _serving: serving })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.desk.clock.now()
    }

    pub(super) fn set_away(&self, is_away: bool) {
        self.desk.is_away.store(is_away, Ordering::SeqCst);
    }

    /// When it was asked.
    pub(super) fn asked(&self) -> Vec<UnixMillis> {
        self.desk.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            // A caller that goes away is none of its business.
            drop(timeout(WITHIN, serve(stream, &desk)).await);
        });
    }
}

/// Answers one question.
async fn serve(mut stream: TcpStream, desk: &Desk) -> io::Result<()> {
    if !read(&mut stream).await? {
        return Ok(());
    }
    desk.asked.lock().unwrap_or_else(PoisonError::into_inner).push(desk.clock.now());
    let (status, media, body) = if desk.is_away.load(Ordering::SeqCst) {
        ("503 Service Unavailable", "text/plain", "away")
    } else {
        ("200 OK", "text/event-stream", REPLY)
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Whether a whole question came.
async fn read(stream: &mut TcpStream) -> io::Result<bool> {
    let mut came = Vec::new();
    loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if came.len() >= end + 4 + length {
                return Ok(true);
            }
        }
        if stream.read_buf(&mut came).await? == 0 {
            return Ok(false);
        }
    }
}

const REPLY: &str = concat!(
    r#"data: {"choices": [{"index": 0, "delta": {"content": "It is 42."}, "finish_reason": null}]}"#,
    "\n\n",
    r#"data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#,
    "\n\n",
    r#"data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}"#,
    "\n\ndata: [DONE]\n\n"
);
