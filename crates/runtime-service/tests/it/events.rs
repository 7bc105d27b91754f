//! A run as server-sent events, by hand and by the client.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use runtime_testkit::fakes::runtime::{Answer, Call, Play};
use runtime_traits::runtime::{StreamItem, Submitted};
use runtime_traits::store::Seq;
use runtime_traits::{Content, Runtime, RuntimeError};
use tokio::time::timeout;

use crate::support::{Answer as Came, LONG, Place, client};

fn play(items: Vec<StreamItem>) -> Answer {
    Answer::Stream(Play { items: items.into_iter().map(Ok).collect(), stays_open: false })
}

fn stays_open(items: Vec<StreamItem>) -> Answer {
    Answer::Stream(Play { items: items.into_iter().map(Ok).collect(), stays_open: true })
}

fn asked_from(place: &Place) -> Vec<u64> {
    let streams = place.runtime.calls().into_iter();
    streams
        .filter_map(|call| match call {
            Call::Stream(_, from) => Some(from.0),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_question_is_answered_with_events_when_asked_so() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let mut items = samples.items(Seq(1));
    items.insert(2, StreamItem::Preview { step: None, text: "HE\nL".to_owned(), gap: false });
    place.runtime.answer(Answer::Submitted(Submitted { run: samples.run, repeated: false }));
    place.runtime.answer(play(items));
    let request = client()
        .post(place.url("/run"))
        .header("content-type", "application/json")
        .header("accept", "application/json;q=0.5, Text/Event-Stream")
        .body(r#"{"input": "hello"}"#);

    let answer = Came::of(request).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("location"), format!("/v1/runs/{}", samples.run));
    let events: Vec<&str> = answer.body.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 5, "{answer:?}");
    assert!(events[1].contains("event: entry\n") && events[1].contains("id: 1\n"));
    assert!(events[1].contains(r#""content":{"text":"hello"}"#));
    assert_eq!(events[3], "event: preview\ndata: {\"text\":\"HE\\nL\"}");
    assert!(events[4].contains("id: 3\n") && events[4].contains(r#""content":{"text":"HELLO"}"#));
}

#[tokio::test]
async fn a_question_with_its_key_resumes_after_the_last_event() {
    let place = Place::new().await;
    let request = client()
        .post(place.url("/run"))
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("idempotency-key", "k")
        .header("last-event-id", "2")
        .body(r#"{"input": "hello"}"#);

    let answer = Came::of(request).await;

    assert_eq!(asked_from(&place), [3]);
    assert!(!answer.body.contains("id: 2\n") && answer.body.contains("id: 3\n"), "{answer:?}");
}

#[tokio::test]
async fn an_idle_stream_shows_that_it_is_alive() {
    let place = Place::with(|service| service.keep_alive(Duration::from_millis(5))).await;
    let run = place.runtime.samples().run;
    place.runtime.answer(stays_open(Vec::new()));
    let response = client().get(place.url(&format!("/v1/runs/{run}/stream"))).send().await.expect("a stream");

    let mut pieces = response.bytes_stream();
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let piece = timeout(LONG, pieces.next()).await.expect("in time");
        seen.extend_from_slice(&piece.expect("open").expect("unbroken"));
    }

    let seen = String::from_utf8(seen).expect("text");
    assert!(seen.starts_with(": run\n\n:\n\n"), "{seen:?}");
}

#[tokio::test]
async fn a_broken_stream_is_resumed_without_a_gap_or_a_double() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let all = samples.items(Seq(1));
    // The first breaks after one entry; the second begins too early, the third with a gap.
    place.runtime.answer(play(all[..1].to_vec()));
    place.runtime.answer(Answer::Run(Box::new(samples.open_view())));
    place.runtime.answer(play(all[..2].to_vec()));
    place.runtime.answer(Answer::Run(Box::new(samples.open_view())));
    place.runtime.answer(play(vec![gap(&all[2])]));

    let stream = place.over_tcp().stream(&samples.run, Seq(1)).await.expect("a stream");
    let items: Result<Vec<StreamItem>, RuntimeError> = stream.try_collect().await;

    assert_eq!(items, Ok(all));
    assert_eq!(asked_from(&place), [1, 2, 3, 3]);
}

/// The entry one later than where it belongs.
fn gap(item: &StreamItem) -> StreamItem {
    let mut item = item.clone();
    if let StreamItem::Entry { entry, .. } = &mut item {
        entry.seq = Seq(entry.seq.0 + 1);
    }
    item
}

#[tokio::test]
async fn a_stream_behind_the_last_entry_ends() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;

    let stream = place.over_unix().stream(&run, Seq(9)).await.expect("a stream");
    let items: Vec<_> = timeout(LONG, stream.collect()).await.expect("it ends");

    assert_eq!(items, Vec::<Result<StreamItem, RuntimeError>>::new());
    assert_eq!(asked_from(&place), [9]);
}

#[tokio::test]
async fn an_error_in_a_stream_arrives_and_ends_it() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let damaged = RuntimeError::Damaged { what: "entry 2".to_owned() };
    let mut items: Vec<_> = samples.items(Seq(1)).into_iter().map(Ok).collect();
    items.insert(1, Err(damaged.clone()));
    let expected = vec![items[0].clone(), Err(damaged)];
    place.runtime.answer(Answer::Stream(Play { items, stays_open: false }));

    let stream = place.over_tcp().stream(&samples.run, Seq(1)).await.expect("a stream");
    let items: Vec<_> = timeout(LONG, stream.collect()).await.expect("it ends");

    assert_eq!(items, expected);
}

#[tokio::test]
async fn a_stream_that_never_gets_on_is_given_up() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    for _ in 0..40 {
        place.runtime.answer(play(Vec::new()));
        place.runtime.answer(Answer::Run(Box::new(samples.open_view())));
    }

    let remote = place.over_tcp().away_within(Duration::from_millis(400));
    let stream = remote.stream(&samples.run, Seq(1)).await.expect("a stream");
    let items: Vec<_> = timeout(LONG, stream.collect()).await.expect("it ends");

    assert_eq!(items.len(), 1);
    let error = items[0].as_ref().expect_err("given up");
    assert_eq!(error.code(), "unreachable");
}

#[tokio::test]
async fn a_silent_stream_is_asked_for_again() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let all = samples.items(Seq(1));
    place.runtime.answer(stays_open(all[..1].to_vec()));
    let remote = place.over_tcp().quiet_within(Duration::from_millis(50));

    let stream = remote.stream(&samples.run, Seq(1)).await.expect("a stream");
    let items: Result<Vec<StreamItem>, RuntimeError> =
        timeout(LONG, stream.try_collect()).await.expect("in time");

    assert_eq!(items, Ok(all));
    assert_eq!(asked_from(&place), [1, 2]);
}

#[tokio::test]
async fn a_large_output_arrives_whole() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let large = Content::text("ä\"\n".repeat(512 * 1024));
    let mut items = samples.items(Seq(3));
    if let StreamItem::Entry { content, .. } = &mut items[0] {
        *content = Some(large);
    }
    place.runtime.answer(play(items.clone()));

    let stream = place.over_unix().stream(&samples.run, Seq(3)).await.expect("a stream");
    let came: Result<Vec<StreamItem>, RuntimeError> =
        timeout(LONG, stream.try_collect()).await.expect("in time");

    assert!(came == Ok(items));
}
