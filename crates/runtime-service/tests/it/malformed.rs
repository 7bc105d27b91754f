//! Whatever a caller sends gets a 4xx problem document, and the next caller is served.

use std::time::Duration;

use crate::support::{Answer, Place, client};

#[tokio::test]
async fn malformed_requests_of_the_routes_are_told_what_is_wrong() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;
    let deep = format!(r#"{{"input": {{"json": {}}}}}"#, "[".repeat(100_000));
    let cases: Vec<(&str, String, &str, u16, &str)> = vec![
        ("POST", "/run".into(), "", 400, "bad-json"),
        ("POST", "/run".into(), "{", 400, "bad-json"),
        ("POST", "/run".into(), "null", 400, "bad-json"),
        ("POST", "/run".into(), "{}", 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": 7}"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": {"text": "a", "json": 1}}"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": {"poem": "a"}}"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": "a", "colour": 1}"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": "a", "input": "b"}"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": "a"} x"#, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": "\ud800"}"#, 400, "bad-json"),
        ("POST", "/run".into(), &deep, 400, "bad-json"),
        ("POST", "/run".into(), r#"{"input": "a", "agent": "../x"}"#, 400, "bad-name"),
        ("POST", "/run".into(), r#"{"input": "a", "session": "a b"}"#, 400, "bad-name"),
        ("GET", "/run".into(), "", 405, "method-not-allowed"),
        ("DELETE", "/health".into(), "", 405, "method-not-allowed"),
        ("BREW", "/health".into(), "", 405, "method-not-allowed"),
        ("GET", "/".into(), "", 404, "no-such-route"),
        ("GET", "/v2/agents".into(), "", 404, "no-such-route"),
        ("GET", "/v1/agents/".into(), "", 404, "no-such-route"),
        ("GET", "/v1/agents/a%20b".into(), "", 400, "bad-name"),
        ("GET", "/v1/agents/..%2Fx".into(), "", 400, "bad-name"),
        ("GET", "/v1/agents/%ff".into(), "", 400, "bad-path"),
        ("GET", format!("/v1/agents/{}", "a".repeat(200)), "", 400, "bad-name"),
        ("GET", "/v1/agents/agent:nonsense".into(), "", 400, "bad-name"),
        ("GET", "/v1/runs/17".into(), "", 400, "bad-name"),
        ("POST", "/v1/snapshots/17/restore".into(), "{}", 400, "bad-name"),
        ("GET", "/v1/agents?limit=-1".into(), "", 400, "bad-query"),
        ("GET", "/v1/agents?colour=red".into(), "", 400, "bad-query"),
        ("GET", "/v1/runs?agent=nobody".into(), "", 400, "bad-query"),
        ("GET", "/v1/runs?open=perhaps".into(), "", 400, "bad-query"),
        ("GET", format!("/v1/runs/{run}/join"), "", 400, "bad-query"),
        ("GET", format!("/v1/runs/{run}/join?within_ms=1e3"), "", 400, "bad-query"),
        ("POST", format!("/v1/runs/{run}/decide"), r#"{"step": "a b", "decision": "fail"}"#, 400, "bad-json"),
        ("POST", format!("/v1/runs/{run}/cancel"), r#"{"within_ms": -1}"#, 400, "bad-json"),
        ("POST", "/v1/agents".into(), r#"{"kind": "a b", "name": "x"}"#, 400, "bad-json"),
        ("POST", "/v1/shutdown".into(), r#"{"within_ms": 1, "now": true}"#, 400, "bad-json"),
    ];

    for (method, path, body, status, code) in cases {
        let method = method.parse().expect("a method");
        let request = client()
            .request(method, place.url(&path))
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = Answer::of(request).await;
        let shown = body.get(..body.len().min(60));
        assert_eq!(answer.status, status, "{path} {shown:?} {answer:?}");
        assert_eq!(answer.problem(), code, "{path} {shown:?}");
    }
    assert!(place.runtime.calls().is_empty(), "nothing of it reached the runtime");
    assert_eq!(place.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let place = Place::new().await;

    let answer = Answer::of(client().delete(place.url("/v1/agents"))).await;

    let allowed: Vec<&str> = answer.header("allow").split(',').collect();
    assert!(allowed.contains(&"GET") && allowed.contains(&"POST"), "{answer:?}");
}

type Headers = Vec<(&'static str, &'static str)>;

#[tokio::test]
async fn headers_that_make_no_sense_are_told_so() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;
    let json = ("content-type", "application/json");
    let stream = format!("/v1/runs/{run}/stream");
    let cases: [(&str, &str, Headers, u16, &str); 12] = [
        ("POST", "/run", vec![], 415, "unsupported-media-type"),
        ("POST", "/run", vec![("content-type", "text/plain")], 415, "unsupported-media-type"),
        ("POST", "/run", vec![json, ("idempotency-key", "")], 400, "bad-name"),
        ("POST", "/run", vec![json, ("idempotency-key", "a b")], 400, "bad-name"),
        ("POST", "/run", vec![json, ("idempotency-key", "ü")], 400, "bad-header"),
        ("POST", "/run", vec![json, ("idempotency-key", "a"), ("idempotency-key", "b")], 400, "bad-header"),
        ("POST", "/run", vec![json, ("last-event-id", "x")], 400, "bad-header"),
        (
            "POST",
            "/run",
            vec![json, ("last-event-id", "3"), ("accept", "text/event-stream")],
            400,
            "nothing-to-resume",
        ),
        ("GET", &stream, vec![("last-event-id", "-1")], 400, "bad-header"),
        ("POST", "/run", vec![json, ("origin", "https://evil.example")], 403, "foreign-origin"),
        ("POST", "/run", vec![json, ("origin", "null")], 403, "foreign-origin"),
        ("GET", "/health", vec![("host", "evil.example")], 421, "foreign-host"),
    ];

    for (method, path, headers, status, code) in cases {
        let method = method.parse().expect("a method");
        let mut request = client().request(method, place.url(path)).body(r#"{"input": "x"}"#);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{path} {headers:?} {answer:?}");
        assert_eq!(answer.problem(), code, "{path} {headers:?}");
    }
    assert!(place.runtime.calls().is_empty());
}

#[tokio::test]
async fn what_is_no_http_gets_a_problem_document_too() {
    let place = Place::with(|service| service.header_timeout(Duration::from_secs(2))).await;
    let long_uri = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    let many = (0..200).fold(String::new(), |all, n| all + &format!("x-{n}: y\r\n"));
    let many = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    let large = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    let cases: Vec<Vec<u8>> = vec![
        b"hello\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET /health HTTP/9.9\r\nhost: localhost\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nho st: localhost\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n".to_vec(),
        b"GET /he alth HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"GET /\xff\xfe HTTP/1.1\r\nhost: \xff\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_vec(),
        b"POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: x\r\n\r\n{}".to_vec(),
        b"POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        b"POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: gzip\r\n\r\n{}".to_vec(),
        b"POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n".to_vec(),
        b"POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec(),
        b"GET http://evil.example/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec(),
        b"CONNECT evil.example:80 HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_vec(),
        long_uri.into_bytes(),
        many.into_bytes(),
        large.into_bytes(),
    ];

    for case in cases {
        let shown = String::from_utf8_lossy(&case[..case.len().min(90)]).into_owned();
        let answer = place.raw(&case).await;
        let status = answer.strip_prefix("HTTP/1.1 4").or(answer.strip_prefix("HTTP/1.0 4"));
        assert!(status.is_some(), "{shown:?} got {answer:?}");
        assert!(answer.contains("content-type: application/problem+json"), "{shown:?} got {answer:?}");
        assert!(answer.contains("urn:agent-runtime:problem:"), "{shown:?} got {answer:?}");
    }
    assert!(place.runtime.calls().is_empty());
    assert_eq!(place.get("/health").await.status, 200);
}
