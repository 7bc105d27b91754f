//! Nothing but what the rules allow is reached: counted by a server that would be.

use runtime_agents::http::{HttpGet, WebRules};

use crate::http::support::{Hosts, get};
use crate::http::table::{CLOUD, NAMED, NOT_WEB, PLAIN, SENT_ON, SIX, SPELT};
use crate::wire::{Then, Wire, answer};

/// Listens wherever this machine can be reached.
async fn trap() -> Wire {
    Wire::at("[::]:0", [answer("200 OK", "Content-Type: text/plain\r\n", "reached")], Then::Closes).await
}

fn put(template: &str, port: u16) -> String {
    template.replace(":P", &format!(":{port}"))
}

/// Fetches each address and wants it refused with its words.
async fn refuses(tool: &HttpGet, port: u16, rows: impl IntoIterator<Item = (&str, &str)>) -> usize {
    let mut count = 0;
    for (template, words) in rows {
        let url = put(template, port);
        let said = get(tool, &url).await.expect_err(&url);
        assert!(said.contains(words), "{url}: {said}");
        count += 1;
    }
    count
}

/// A server on an allowed address that sends on to `to`; what comes of it.
async fn sent_on(trap: &Wire, to: &str) -> String {
    let redirect = answer("302 Found", &format!("Location: {}\r\n", put(to, trap.port())), "");
    let server = Wire::at("127.0.0.2:0", [redirect], Then::Closes).await;
    let rules = WebRules::default().port(trap.port()).port(server.port()).allow("127.0.0.2").unwrap();
    let tool = HttpGet::new(rules.lookup(Hosts::of(&[("localhost", &[&["127.0.0.1"]])]))).unwrap();
    let said = get(&tool, &format!("http://127.0.0.2:{}/", server.port())).await.expect_err(to);
    assert!(server.reached() > 0, "{to}: {said}");
    said
}

#[tokio::test]
async fn of_one_hundred_and_twenty_addresses_and_tricks_none_reaches_anything() {
    let trap = trap().await;
    let port = trap.port();
    let named: Vec<(&str, &[&[&str]])> =
        NAMED.iter().map(|(host, found, _)| (*host, std::slice::from_ref(found))).collect();
    let tool = HttpGet::new(WebRules::default().port(port).lookup(Hosts::of(&named))).unwrap();

    let literal = PLAIN.iter().chain(SPELT).chain(CLOUD).chain(SIX).map(|url| (*url, " is not asked: "));
    let mut rows = refuses(&tool, port, literal).await;
    rows += refuses(&tool, port, NOT_WEB.iter().copied()).await;
    for (host, _, words) in NAMED {
        rows += refuses(&tool, port, [(format!("http://{host}:P/").as_str(), *words)]).await;
    }
    for (to, words) in SENT_ON {
        let said = sent_on(&trap, to).await;
        assert!(said.contains(words), "{to}: {said}");
        rows += 1;
    }

    assert!(rows >= 120, "{rows}");
    assert_eq!(trap.reached(), 0);
}

#[tokio::test]
async fn without_the_guard_every_spelling_reaches_this_machine() {
    let trap = trap().await;
    let rules = WebRules::default().port(trap.port()).allow("0.0.0.0/0").unwrap().allow("::/0").unwrap();
    let tool = HttpGet::new(rules).unwrap();
    for template in
        SPELT.iter().chain(&["http://[::1]:P/", "http://[::ffff:127.0.0.1]:P/", "http://0.0.0.0:P/"])
    {
        let url = put(template, trap.port());
        assert_eq!(get(&tool, &url).await.as_deref(), Ok("reached"), "{url}");
    }
    assert_eq!(trap.reached(), SPELT.len() + 3);
}

#[tokio::test]
async fn a_host_that_is_elsewhere_a_moment_later_is_asked_where_it_was_or_not_at_all() {
    let body = |text: &str| answer("200 OK", "Content-Type: text/plain\r\n", text);
    let good = Wire::at("127.0.0.2:0", [body("good")], Then::Closes).await;
    let bad = Wire::at(&format!("127.0.0.1:{}", good.port()), [body("bad")], Then::Closes).await;
    let url = format!("http://turning.example:{}/", good.port());
    let rules = || WebRules::default().port(good.port()).allow("127.0.0.2").unwrap();
    let tool = |answers: &[&[&str]]| {
        HttpGet::new(rules().lookup(Hosts::of(&[("turning.example", answers)]))).unwrap()
    };

    // A guard that looked it up by itself would have taken the first answer, and its client the second.
    let turning = tool(&[&["127.0.0.2"], &["127.0.0.1"]]);
    assert_eq!(get(&turning, &url).await.as_deref(), Ok("good"));
    for _ in 0..3 {
        let said = get(&turning, &url).await.unwrap_err();
        assert!(said.contains("127.0.0.1 is this machine"), "{said}");
    }
    // One bad address among good ones is enough: nobody knows which one would be taken.
    for answers in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        get(&tool(&[&answers]), &url).await.unwrap_err();
    }

    assert_eq!((good.reached(), bad.reached()), (1, 0));
}
