//! Fetching.

use std::time::Duration;

use runtime_agents::http::{HttpGet, WebError};
use runtime_traits::{Effect, StepCall, Tool};
use serde_json::json;

use crate::http::support::{call, get, here};
use crate::wire::{Then, Wire, answer};

const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";

async fn said(answer: String) -> Result<String, String> {
    let wire = Wire::says([answer], Then::Closes).await;
    let tool = HttpGet::new(here(&[wire.port()])).unwrap().most(20);
    get(&tool, &wire.url("/")).await
}

#[tokio::test]
async fn a_text_is_fetched_up_to_its_limit() {
    assert_eq!(said(answer("200 OK", TEXT, "Good mörning")).await.as_deref(), Ok("Good mörning"));
    assert_eq!(said(answer("200 OK", TEXT, &"x".repeat(20))).await, Ok("x".repeat(20)));
    let cut = said(answer("200 OK", TEXT, &"x".repeat(9999))).await.unwrap();
    assert_eq!(cut, format!("{}\n[cut off after 20 bytes]", "x".repeat(20)));
}

#[tokio::test]
async fn only_text_is_given_to_the_model() {
    for media in [
        "text/html",
        "application/json",
        "Application/Problem+JSON; charset=x",
        "image/svg+xml",
        "application/xml",
    ] {
        let expected = if media == "image/svg+xml" { None } else { Some("x") };
        let answer = answer("200 OK", &format!("Content-Type: {media}\r\n"), "x");
        assert_eq!(said(answer).await.ok().as_deref(), expected, "{media}");
    }
    for media in ["image/png", "application/octet-stream", "application/zip", "video", ""] {
        let words = said(answer("200 OK", &format!("Content-Type: {media}\r\n"), "x")).await.unwrap_err();
        assert_eq!(words, WebError::NoText { media: media.to_owned() }.to_string());
    }
    assert_eq!(said(answer("200 OK", "", "x")).await.as_deref(), Ok("x"));
    assert!(said(answer("200 OK", "", "x\0")).await.unwrap_err().contains("no text"));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_words() {
    let words =
        said(answer("404 Not Found", "Content-Type: image/png\r\n", "There  is\nnothing")).await.unwrap_err();
    assert_eq!(words, "it answers with status 404: There is nothing");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told() {
    let tool = HttpGet::new(here(&[])).unwrap();
    for arguments in [json!({}), json!({"url": 7}), json!({"url": "http://a/", "more": 1}), json!([])] {
        let words = call(&tool, arguments.clone()).await.unwrap_err();
        assert!(words.starts_with("the arguments do not fit"), "{arguments}: {words}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_breaks_off_or_says_nothing_is_told() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nHel".to_owned();
    for said in [said(broken).await, said(String::new()).await] {
        let words = said.unwrap_err();
        assert!(words.starts_with("`127.0.0.1` cannot be asked: "), "{words}");
    }
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nHel"] {
        let mut wire = Wire::says([begun.to_owned()], Then::Hangs).await;
        let within = Duration::from_millis(50);
        let tool = HttpGet::new(here(&[wire.port()])).unwrap().timeout(within);
        assert_eq!(get(&tool, &wire.url("/")).await, Err(WebError::TimedOut { within }.to_string()));
        wire.closed(1).await;
    }
}

#[tokio::test]
async fn it_follows_where_it_is_sent_and_takes_its_headers_to_their_origin_only() {
    let end = Wire::at("127.0.0.3:0", [answer("200 OK", TEXT, "the end")], Then::Closes).await;
    let far = format!("Location: http://127.0.0.3:{}/end\r\n", end.port());
    let hops = [
        answer("301 Moved Permanently", "Location: /second?a=b\r\n", ""),
        answer("307 Temporary Redirect", "Location: third\r\n", ""),
        answer("303 See Other", &far, ""),
    ];
    let start = Wire::says(hops, Then::Closes).await;
    let tool = HttpGet::new(here(&[start.port(), end.port()])).unwrap();
    let tool = tool.header(&start.url("/"), "X-Key", "s3cr3t").unwrap();

    assert_eq!(get(&tool, &start.url("/first")).await.as_deref(), Ok("the end"));
    let lines: Vec<String> =
        start.asked().iter().chain(&end.asked()).map(|asked| asked.line.clone()).collect();
    assert_eq!(lines, ["/first", "/second?a=b", "/third", "/end"].map(|path| format!("GET {path} HTTP/1.1")));
    assert!(start.asked().iter().all(|asked| asked.header("x-key") == Some("s3cr3t")));
    assert_eq!(end.asked()[0].header("x-key"), None);
    assert_eq!(end.asked()[0].header("referer"), None);
    assert!(!format!("{tool:?}").contains("s3cr3t"));

    assert!(matches!(tool.clone().header("http://10.0.0.1/", "a", "b"), Err(WebError::Address { .. })));
    assert!(matches!(tool.clone().header("http://8.8.8.8/", "a b", "b"), Err(WebError::Malformed { .. })));
    assert!(matches!(tool.header("http://8.8.8.8/", "a", "b\n"), Err(WebError::Malformed { .. })));
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_more() {
    for (count, expected) in
        [(5, Ok("the end".to_owned())), (6, Err(WebError::Redirects { most: 5 }.to_string()))]
    {
        let hop = answer("302 Found", "Location: /on\r\n", "");
        let hops = std::iter::repeat_n(hop, count).chain([answer("200 OK", TEXT, "the end")]);
        let wire = Wire::says(hops, Then::Closes).await;
        let tool = HttpGet::new(here(&[wire.port()])).unwrap();
        assert_eq!(get(&tool, &wire.url("/")).await, expected);
        assert_eq!(wire.reached(), 6);
    }
}

#[test]
fn a_fetch_may_be_repeated_and_says_so() {
    let tool = HttpGet::new(here(&[])).unwrap().timeout(Duration::from_secs(5));

    assert_eq!(tool.effect(), Effect::Repeatable);
    assert!(tool.within() > Duration::from_secs(5), "its own words are heard first");
    let schema: serde_json::Value = serde_json::from_str(tool.spec().parameters.get()).unwrap();
    assert_eq!(schema["required"], json!(["url"]));
}

#[tokio::test]
async fn what_is_away_is_told_from_what_answers_and_each_host_is_a_place_of_its_own() {
    let away = async |url: &str, ports: &[u16]| {
        let tool = HttpGet::new(here(ports)).unwrap();
        let arguments = json!({ "url": url }).to_string();
        tool.call(&StepCall::detached("a"), &arguments).await.unwrap_err().is_away()
    };
    for (status, is_away) in [
        ("404 Not Found", false),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", true),
        ("503 Service Unavailable", true),
    ] {
        let wire = Wire::says([answer(status, TEXT, "")], Then::Closes).await;
        assert_eq!(away(&wire.url("/"), &[wire.port()]).await, is_away, "{status}");
    }
    let port = {
        let wire = Wire::says([String::new()], Then::Closes).await;
        wire.port()
    };
    assert!(away(&format!("http://127.0.0.1:{port}/"), &[port]).await, "nobody listens there any more");
    assert!(!away("http://127.0.0.1:1/", &[]).await, "a rule is in the way");

    let tool = HttpGet::new(here(&[])).unwrap();
    let place = |url: &str| tool.place(&json!({ "url": url }).to_string());
    assert_eq!(place("https://a.example/x?y").as_deref(), Some("a.example:443"));
    assert_eq!(place("http://me:secret@A.example:8080/").as_deref(), Some("a.example:8080"));
    assert_eq!((place("nothing"), tool.place("{}")), (None, None));
}
