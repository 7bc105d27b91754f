//! Tools for the web in a fleet file, and a server on loopback that they may reach or not.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;

use agent_runtime::fleet::Fleet;
use agent_runtime::log::Author;
use agent_runtime::prelude::*;
use agent_runtime::{MemoryStore, RuntimeManager, kinds};
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An agent that fetches a page by a tool with these settings.
fn fleet(name: &str, settings: &str, port: u16) -> String {
    format!(
        r#"
        [agents.{name}]
        kind = "llm"
        model = "scripted/{name}"
        tools = [{{ tool = "http_get"{settings} }}]
        replies = [
            {{ calls = [{{ tool = "http_get", arguments = {{ url = "http://127.0.0.1:{port}/page" }} }}] }},
            "That was the page.",
        ]
        "#
    )
}

/// What the tool told the model.
async fn told(runtime: &RuntimeManager, agent: &str) -> String {
    let agent: AgentRef = agent.parse().unwrap();
    let output = runtime.run_agent(agent.clone(), "Read the page.").await.unwrap().output.to_string();
    assert_eq!(output, "That was the page.");
    let said = runtime.messages(&agent, &SessionName::default(), None, 10).await.unwrap().items;
    said.into_iter().find(|said| said.author == Author::Tool).unwrap().content.to_string()
}

/// Answers one request with a page. What was asked for.
async fn answer(listener: &TcpListener) -> String {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(connection.read_u8().await.unwrap());
    }
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nGood morning";
    connection.write_all(page.as_bytes()).await.unwrap();
    String::from_utf8(asked).unwrap()
}

#[tokio::test]
async fn an_agent_of_a_fleet_file_fetches_what_it_may_and_reaches_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let agents = [
        ("reader", format!(r#", allow = ["127.0.0.1"], ports = [{port}]"#)),
        ("nowhere", String::new()),
        ("elsewhere", format!(r#", allow = ["127.0.0.2/32"], ports = [{port}]"#)),
        ("otherwise", r#", allow = ["127.0.0.1"]"#.to_owned()),
    ];
    let text: String = agents.iter().map(|(name, settings)| fleet(name, settings, port)).collect();
    let kinds = kinds("");
    let fleet = Fleet::check(&text, &kinds).unwrap();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new()));
    let builder = kinds.into_iter().fold(builder, |builder, kind| builder.kind(kind));
    let runtime = RuntimeManager::from(builder.open().await.unwrap());
    fleet.apply(runtime.as_runtime()).await.unwrap();

    let (told_reader, asked) = futures_util::future::join(told(&runtime, "reader"), answer(&listener)).await;
    assert!(told_reader.contains("Good morning"), "{told_reader}");
    assert!(asked.starts_with("GET /page HTTP/1.1\r\n"), "{asked}");

    for (agent, why) in [
        ("nowhere", "the operator allows 80, 443"),
        ("elsewhere", "127.0.0.1 is this machine"),
        ("otherwise", "the operator allows 80, 443"),
    ] {
        let told = told(&runtime, agent).await;
        assert!(told.contains(why), "{agent}: {told}");
    }
    assert!(listener.accept().now_or_never().is_none(), "nobody has connected");
}

#[test]
fn what_a_tool_for_the_web_may_reach_is_checked_with_the_file() {
    for (settings, fault) in [
        (r#", allow = "127.0.0.1""#, "`allow` has another type"),
        (r#", allow = ["http://a"]"#, "http://a"),
        (", ports = 8080", "`ports` is no list of ports; use a list like [8080]"),
        (", ports = [0]", "`ports` is no list of ports"),
        (", ports = [65536]", "`ports` is no list of ports"),
        (", port = [8080]", "`port` is unknown"),
    ] {
        let faults = Fleet::check(&fleet("reader", settings, 80), &kinds("")).unwrap_err().to_string();
        let told = faults.replace('\n', " ");
        assert!(
            told.contains(fault) || told.contains(fault.split(';').next().unwrap()),
            "{settings}: {told}"
        );
    }
}
