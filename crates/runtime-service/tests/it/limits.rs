//! What a caller may cost.

use std::time::Duration;

use futures_util::StreamExt;
use runtime_service::AgentService;
use runtime_testkit::fakes::runtime::{Answer, Call, Play};
use runtime_traits::runtime::StreamItem;
use runtime_traits::{Content, RunRequest, Runtime, RuntimeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LONG, Place, scribe};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_input_of_20_mib_reaches_the_runtime_which_rules_on_it() {
    let place = Place::new().await;
    let input = Content::text("x".repeat(20 * MIB));
    let refusal = RuntimeError::TooLarge {
        what: "the input".to_owned(),
        size: 20 * MIB as u64,
        limit: 16 * MIB as u64,
    };
    place.runtime.fail(refusal.clone());

    let refused = place.over_tcp().submit(&scribe(), RunRequest::new(input.clone())).await;

    assert_eq!(refused, Err(refusal));
    let calls = place.runtime.calls();
    assert!(matches!(&calls[..], [Call::Submit(_, request)] if request.input == input));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_its_size() {
    let place = Place::with(|service| service.body_limit(MIB)).await;
    let body = format!(r#"{{"input": "{}"}}"#, "x".repeat(8 * MIB));

    for _ in 0..5 {
        let answer = place.post("/run", &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
        assert_eq!(answer.json()["error"]["too_large"]["size"], body.len());
    }

    let remote = place.over_unix();
    let submitted = remote.submit(&scribe(), "x".repeat(8 * MIB).into()).await;
    assert!(matches!(submitted, Err(RuntimeError::TooLarge { limit, .. }) if limit == MIB as u64));
    assert!(place.runtime.calls().is_empty());
}

#[tokio::test]
async fn who_listens_only_after_sending_too_much_is_answered_too() {
    let place = Place::with(|service| service.body_limit(1000)).await;
    let mut io = TcpStream::connect(place.address).await.expect("a connection");
    let head = format!(
        "POST /run HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        32 * MIB
    );

    io.write_all(head.as_bytes()).await.expect("written");
    for _ in 0..32 {
        io.write_all(&[b'x'; MIB]).await.expect("the service takes it and throws it away");
    }
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.expect("in good order");

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let place = Place::with(|service| service.body_limit(1000)).await;
    let mut request = b"POST /run HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        request.extend_from_slice(b"64\r\n");
        request.extend_from_slice(&[b'x'; 100]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");

    let answer = place.raw(&request).await;

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("has 10000 bytes, and the limit is 1000; split it"), "{answer}");
}

#[tokio::test]
async fn who_waits_for_leave_to_send_too_much_is_refused_at_once() {
    let place = Place::with(|service| service.body_limit(1000)).await;

    let answer = place
        .raw(b"POST /run HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 5000\r\n\r\n")
        .await;

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let place = Place::with(|service| service.body_timeout(Duration::from_millis(50))).await;

    let answer = place
        .raw(b"POST /run HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{")
        .await;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body-timeout"), "{answer}");
}

#[tokio::test]
async fn headers_that_do_not_come_close_the_connection() {
    let place = Place::with(|service| service.header_timeout(Duration::from_millis(50))).await;

    // `raw` gives up after a time that is much longer.
    assert_eq!(place.raw(b"").await, "");
    assert_eq!(place.raw(b"GET /health HTTP/1.1\r\nhost: loc").await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let place = Place::with(|service| service.connection_limit(1)).await;
    let mut first = TcpStream::connect(place.address).await.expect("a connection");
    first.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
    let mut begin = [0; 15];
    first.read_exact(&mut begin).await.expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");

    let second = place.raw(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;

    assert!(second.starts_with("HTTP/1.1 503"), "{second}");
    assert!(second.contains("too-many-connections") && second.contains("retry-after: 1"));
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let settings = |service: AgentService| {
        let service = service.write_timeout(Duration::from_millis(50));
        service.connection_limit(1)
    };
    let place = Place::with(settings).await;
    let samples = place.runtime.samples();
    let large = StreamItem::Preview { step: None, text: "x".repeat(MIB), gap: false };
    place.runtime.answer(Answer::Stream(Play {
        items: (0..200).map(|_| Ok(large.clone())).collect(),
        stays_open: true,
    }));
    let mut io = TcpStream::connect(place.address).await.expect("a connection");
    let request = format!("GET /v1/runs/{}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n", samples.run);
    io.write_all(request.as_bytes()).await.expect("written");
    let mut begin = [0; 15];
    io.read_exact(&mut begin).await.expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");

    // The only place is free again once the service has cut the connection on which nothing more is read.
    let freed = async { while place.get("/health").await.status == 503 {} };

    timeout(LONG, freed).await.expect("cut off in time");
}

#[tokio::test]
async fn one_slow_reader_holds_nobody_up() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;
    place.runtime.answer(Answer::Stream(Play {
        items: (0..50)
            .map(|_| Ok(StreamItem::Preview { step: None, text: "x".repeat(MIB), gap: false }))
            .collect(),
        stays_open: true,
    }));
    let mut slow = place.over_tcp().stream(&run, runtime_traits::store::Seq(1)).await.expect("a stream");

    for _ in 0..20 {
        assert_eq!(place.get("/health").await.status, 200);
    }

    assert!(matches!(slow.next().await, Some(Ok(StreamItem::Preview { .. }))));
}
