//! A provider of models on loopback, which speaks as OpenAI does and enforces a quota.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_runtime::SystemClock;
use runtime_traits::clock::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::counting::{Counting, Score};
use crate::chaos::dice::Dice;

/// A token for so many bytes of what is read: less than what is held for them, which is a token for three.
const BYTES_OF_A_TOKEN: u64 = 4;
/// How long a reply takes, in milliseconds.
const TAKES: (u64, u64) = (100, 600);

/// A provider. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Provider {
    url: String,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

/// Where the requests of all connections are taken.
#[derive(Debug)]
struct Desk {
    counting: Mutex<Counting>,
    dice: Mutex<Dice>,
    clock: SystemClock,
}

/// What is answered, and how long that takes.
struct Reply {
    text: String,
    takes: Duration,
}

impl Provider {
    pub(super) async fn start(counting: Counting, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let desk = Arc::new(Desk {
            counting: Mutex::new(counting),
            dice: Mutex::new(Dice::of(seed, "provider")),
            clock: SystemClock::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(listen(listener, Arc::clone(&desk)));
        Ok(Self { url, desk, _serving: serving })
    }

    /// What models are to be given as its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What reached it so far.
    pub(super) fn score(&self) -> Score {
        lock(&self.desk.counting).score().clone()
    }
}

async fn listen(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            // A caller that goes away is none of its business.
            drop(serve(stream, &desk).await);
        });
    }
}

async fn serve(mut stream: TcpStream, desk: &Desk) -> io::Result<()> {
    let mut came = Vec::new();
    while let Some(body) = request(&mut stream, &mut came).await? {
        let Reply { text, takes } = desk.reply(&body);
        tokio::time::sleep(takes).await;
        stream.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

/// The body of the next request; `None` when there is none.
async fn request(stream: &mut TcpStream, came: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let end = loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(came).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    while came.len() < end + length {
        if stream.read_buf(came).await? == 0 {
            return Ok(None);
        }
    }
    let body = came[end..end + length].to_vec();
    came.drain(..end + length);
    Ok(Some(body))
}

impl Desk {
    /// Counts a request at the moment at which it is there.
    fn reply(&self, body: &[u8]) -> Reply {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some((agent, read, most)) = asked_by(&asked) else {
            return Reply { text: answer("400 Bad Request", "", "{}"), takes: Duration::ZERO };
        };
        let (written, takes) = {
            let mut dice = lock(&self.dice);
            (dice.between(most.div_ceil(2), most), dice.between(TAKES.0, TAKES.1))
        };
        match lock(&self.counting).take(self.clock.now(), agent, read + written) {
            Ok(()) => Reply { text: completion(read, written), takes: Duration::from_millis(takes) },
            Err(after) => {
                let seconds = after.as_millis().div_ceil(1_000).max(1);
                let body =
                    json!({ "error": { "message": "Rate limit reached", "code": "rate_limit_exceeded" } });
                let header = format!("retry-after: {seconds}\r\n");
                let text = answer("429 Too Many Requests", &header, &body.to_string());
                Reply { text, takes: Duration::ZERO }
            }
        }
    }
}

/// Which agent asks, how many tokens it is billed for what it says, and for how many it asks at most.
fn asked_by(asked: &Value) -> Option<(usize, u64, u64)> {
    let messages = asked["messages"].as_array()?;
    let mut texts = messages.iter().filter_map(|message| message["content"].as_str());
    let bytes: usize = texts.clone().map(str::len).sum();
    let agent = texts.next_back()?.strip_prefix("Agent ")?.split(' ').next()?.parse().ok()?;
    let most = asked["max_tokens"].as_u64().or_else(|| asked["max_completion_tokens"].as_u64())?;
    Some((agent, bytes as u64 / BYTES_OF_A_TOKEN, most))
}

/// A reply as a stream of events.
fn completion(read: u64, written: u64) -> String {
    let piece = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "one", "object": "chat.completion.chunk", "model": "counted",
            "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let said = json!([{ "index": 0, "delta": { "role": "assistant", "content": "It is 42." }, "finish_reason": null }]);
    let over = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
    let usage =
        json!({ "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written });
    let events = [piece(said, Value::Null), piece(over, Value::Null), piece(json!([]), usage)].concat();
    answer("200 OK", "content-type: text/event-stream\r\n", &format!("{events}data: [DONE]\n\n"))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
