//! Servers that do not come to an end: what is taken of a reply has a bound, and so has the time that it takes.

use std::time::Duration;

use runtime_agents::llm::GenaiModel;
use runtime_traits::model::{NoDeltas, Phase};
use runtime_traits::{Model, ModelError, ModelRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::llm::support::{
    Shown, hello, key_file, model_at, openai_call, openai_end, openai_text, reply, stream,
};
use crate::wire::{Then, Wire};

const MIB: usize = 1024 * 1024;
/// More than any reply here may have, and more than waits between the two sides.
const FLOOD: usize = 48 * MIB;
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";

/// A server that says a beginning and then a piece again and again.
struct Flood {
    url: String,
    /// Whether everything was taken.
    taken: JoinSet<bool>,
}

impl Flood {
    async fn of(head: &'static str, piece: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let mut taken = JoinSet::new();
        taken.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 65536]).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            while sent < FLOOD && stream.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
            }
            sent >= FLOOD
        });
        Self { url, taken }
    }

    /// How a call of a model there fails, and what it showed. The server is not heard to its end.
    async fn fails(mut self) -> (ModelError, String) {
        let shown = Shown::default();
        let error = model_at("openai/a", &self.url).reply(&hello(), &shown).await.unwrap_err();
        self.was_cut(&error).await;
        (error, shown.text())
    }

    /// The other side closed before everything was said.
    async fn was_cut(&mut self, error: &ModelError) {
        let all = self.taken.join_next().await.unwrap().unwrap();
        assert!(!all, "all of it was taken: {error}");
    }
}

fn why(error: &ModelError) -> String {
    let ModelError::Cut { cause, .. } = error else { panic!("{error}") };
    cause.to_string()
}

#[tokio::test]
async fn a_text_without_an_end_is_cut() {
    let (error, shown) = Flood::of(EVENTS, openai_text(&"x".repeat(8 * 1024))).await.fails().await;
    assert_eq!(why(&error), "more than 1054976 bytes were said in it");
    assert!((MIB..2 * MIB).contains(&shown.len()), "{}", shown.len());
}

#[tokio::test]
async fn arguments_without_an_end_are_cut() {
    let piece = openai_call(0, Some("a"), Some("look"), &"x".repeat(32 * 1024));
    let (error, _) = Flood::of(EVENTS, piece).await.fails().await;
    assert_eq!(why(&error), "more than 1054976 bytes were said in it");
}

#[tokio::test]
async fn calls_without_an_end_are_cut() {
    let calls = (0..200).map(|nth| openai_call(0, Some(&format!("id {nth}")), Some("look"), "{}"));
    let calls: Vec<String> = calls.chain([openai_end("tool_calls")]).collect();
    let error = reply("openai/a", stream(&calls)).await.unwrap_err();
    assert_eq!(why(&error), "it has more than 128 calls");
}

#[tokio::test]
async fn the_number_of_a_call_makes_no_room_for_all_those_below_it() {
    let far = openai_call(100_000, Some("a"), Some("look"), "{}");
    let error = reply("openai/a", stream(&[far, openai_end("tool_calls")])).await.unwrap_err();
    assert_eq!(why(&error), "it has more than 128 calls");
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_also_if_it_comes_in_crumbs() {
    for (head, piece) in
        [(EVENTS, "x".repeat(64 * 1024)), (CHUNKS, "10\r\nxxxxxxxxxxxxxxxx\r\n".repeat(1000))]
    {
        let (error, shown) = Flood::of(head, piece).await.fails().await;
        assert_eq!(why(&error), "its server sent an event of more than 1048576 bytes");
        assert_eq!(shown, "");
    }
}

#[tokio::test]
async fn comments_without_an_end_are_cut() {
    let (error, _) = Flood::of(EVENTS, format!(": {}\n\n", "x".repeat(1000))).await.fails().await;
    assert_eq!(why(&error), "its server sent more than 1150976 bytes for it");
}

#[tokio::test]
async fn a_refusal_without_an_end_is_read_at_its_beginning() {
    let (error, _) = Flood::of(BROKEN, "no ".repeat(10_000)).await.fails().await;
    let ModelError::Unavailable { status: 500, said, .. } = error else { panic!("{error}") };
    assert!(said.starts_with("no no no") && said.len() < 400, "{said}");
}

/// How a call fails that may have a flood, but has little time for it.
async fn hurried(piece: &str, first_byte: Duration, whole_reply: Duration) -> ModelError {
    let key = key_file();
    let mut flood = Flood::of(EVENTS, piece.to_owned()).await;
    let model = GenaiModel::named("openai/a")
        .key(format!("file:{}", key.path().display()))
        .base_url(&flood.url)
        .first_byte(first_byte)
        .whole_reply(whole_reply)
        .build()
        .unwrap();
    let request = ModelRequest { max_tokens: u32::MAX, ..hello() };
    let error = model.reply(&request, &NoDeltas).await.unwrap_err();
    flood.was_cut(&error).await;
    error
}

#[tokio::test]
async fn comments_are_no_progress_however_many_come() {
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(60));
    let error = hurried(": ping\n\n", short, long).await;
    let (model, phase) = ("openai/a".to_owned(), Phase::FirstByte);
    assert_eq!(error, ModelError::TimedOut { model, phase, after: short });
}

#[tokio::test]
async fn a_reply_that_goes_on_and_on_is_cut_at_the_deadline_of_the_whole() {
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(60));
    let error = hurried(&openai_text("x"), long, short).await;
    assert_eq!(why(&error), "it was not whole after 0.05 s");
}

#[tokio::test]
async fn a_large_piece_is_shown_in_small_ones() {
    let text = "ä".repeat(50_000);
    let wire = Wire::says([stream(&[openai_text(&text), openai_end("stop")])], Then::Closes);
    let shown = Shown::default();
    let said = model_at("openai/a", &wire.await.url("/v1")).reply(&hello(), &shown).await.unwrap();
    assert_eq!((said.text, shown.text(), shown.pieces()), (text.clone(), text, 25));
}
