//! `events`: with a server and without, over a store and over Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use runtime_testkit::peers::RedisServer;
use rustix::process::Signal;
use serde_json::Value;

use crate::home::{FLEET, Home};
use crate::server::{Server, send};
use crate::terminal::on_a_terminal;

const KEPT: &str = r#"
[[events.topics]]
of = "orders/**"
keep = "7d"

[[events.topics]]
of = "short"
keep = "forever"
most = 64

[[events.rights]]
agent = "clerk"
of = "money/**"
allow = false
"#;

fn home() -> Home {
    let home = Home::new();
    home.write("fleet.toml", &format!("{FLEET}{KEPT}"));
    home
}

/// A tail, as a process.
struct Tail {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Tail {
    /// Starts one, and waits until it listens: on the standard error it says so only to people.
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&["events", "tail"]);
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().expect("the program was built");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("it writes text");
        serde_json::from_str(&line).expect("one JSON to a line")
    }

    /// Sends it a signal, and waits for its end; gives back its exit code, and what it said at last.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        send(&self.child, signal);
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("it writes text");
        (self.child.wait().expect("it was started").code(), rest)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Publishes until somebody hears it: a tail that was just started may not listen yet.
fn publish_until_heard(home: &Home, topic: &str, data: &str) {
    home.until(&["events", "publish", topic, data], |said| said["reached"] != 0);
}

fn numbers(lines: &str) -> Vec<(u64, u64)> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let number = |value: &Value| value.as_u64().expect("a number");
    lines.map(|line| (number(&line["position"]), number(&line["event"]["data"]))).collect()
}

#[test]
fn what_is_published_without_a_server_is_kept_and_replayed() {
    let home = home();
    let said = home.good(&["events", "publish", "orders/new", "1"]);
    assert_eq!(said, "published orders/new: kept as #1, nobody heard it\n");
    let told = home.json(&["events", "publish", "orders/new", "2"]);
    assert_eq!((&told["position"], &told["reached"]), (&2.into(), &0.into()));
    let id = told["id"].as_str().expect("an id");
    let again = home.json(&["events", "publish", "orders/new", "2", "--id", id]);
    assert_eq!(again["id"], id);

    let server = Server::start(&home, &[]);
    home.good(&["events", "publish", "orders/new", "3"]);

    let all = numbers(&home.good(&["events", "replay", "orders/new"]));
    assert_eq!(all.last().map(|(_, data)| *data), Some(3), "the server has what was kept before: {all:?}");
    let from = home.good(&["events", "replay", "orders/new", "--from", "2", "--limit", "1"]);
    assert_eq!(numbers(&from), [(2, 2)]);
    assert_eq!(numbers(&home.good(&["events", "replay", "orders/new", "--from", "1h"])), all);
    let later = home.run(&["events", "replay", "orders/new", "--from", "2099-01-01T00:00:00Z"]);
    assert_eq!((later.code, later.out.as_str()), (0, ""));
    server.kill();
    assert_eq!(numbers(&home.good(&["events", "replay", "orders/new"])), all, "after a crash too");
}

#[test]
fn a_tail_shows_what_matches_and_ends_with_ctrl_c() {
    let home = home();
    let _server = Server::start(&home, &[]);
    let mut tail = Tail::start(&home, &["till/*"]);
    publish_until_heard(&home, "till/7", r#"{"n": 1}"#);
    home.good(&["events", "publish", "other", "2"]);
    home.good(&["events", "publish", "till/8", "3"]);

    let first = tail.line();
    assert_eq!((&first["event"]["type"], &first["event"]["data"]["n"]), (&"till/7".into(), &1.into()));
    assert_eq!(tail.line()["event"]["data"], 3, "what is about something else is not shown");
    assert_eq!(tail.end(Signal::INT), (Some(130), String::new()));
}

#[test]
fn a_tail_outlives_its_server_and_misses_nothing_that_is_kept() {
    let home = home();
    let server = Server::start(&home, &[]);
    home.good(&["events", "publish", "orders/new", "0"]);
    let mut tail = Tail::start(&home, &["orders/new", "--from", "1"]);
    assert_eq!(tail.line()["position"], 1);

    server.kill();
    home.good(&["events", "publish", "orders/new", "1"]);
    let _server = Server::start(&home, &[]);
    home.good(&["events", "publish", "orders/new", "2"]);

    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = tail.line();
        if line["broken"].is_null() {
            seen.push((line["position"].clone(), line["event"]["data"].clone()));
        }
    }
    assert_eq!(seen, [(2.into(), 1.into()), (3.into(), 2.into())]);
}

#[test]
fn a_durable_tail_goes_on_where_it_was() {
    let home = home();
    let _server = Server::start(&home, &[]);
    for data in ["1", "2"] {
        home.good(&["events", "publish", "orders/new", data]);
    }
    let mut tail = Tail::start(&home, &["orders/new", "--durable", "mailer"]);
    assert_eq!((tail.line()["position"].clone(), tail.line()["position"].clone()), (1.into(), 2.into()));
    // The third is shown when the second is settled, and then nothing is under way.
    home.good(&["events", "publish", "orders/new", "3"]);
    assert_eq!(tail.line()["position"], 3);
    let (code, _) = tail.end(Signal::INT);
    assert_eq!(code, Some(130));

    home.good(&["events", "publish", "orders/new", "4"]);
    let mut tail = Tail::start(&home, &["orders/new", "--durable", "mailer"]);
    let next = tail.line()["position"].as_u64();
    // The end may have come before it could say that the third was shown: at least once.
    assert!(matches!(next, Some(3 | 4)), "{next:?}");
}

#[test]
fn dead_letters_are_listed_with_their_causes() {
    let home = home();
    let server = Server::start(&home, &["--listen", "127.0.0.1:0"]);
    assert!(home.run(&["events", "dead-letters", "mailer"]).err.is_empty());
    home.good(&["events", "publish", "orders/new", "7"]);
    let socket = home.path().join("store/agents.redb.sock");
    let mut reader = ask(&socket, "GET", "/v1/events?topic=orders/new&durable=mailer&attempts=1", "");
    let mut seen = String::new();
    while !seen.contains("id: 1\n") {
        assert!(reader.read_line(&mut seen).expect("text") > 0, "{seen}");
    }
    let failed = r#"{"topic": "orders/new", "durable": "mailer", "position": 1, "failed": "card refused"}"#;
    let said = whole(ask(&socket, "POST", "/v1/events/done", failed));
    assert!(said.ends_with(r#"{"dead_letter":true}"#), "{said}");
    drop(reader);

    let letters = || home.json(&["events", "dead-letters", "mailer", "--topic", "orders/new"]);
    assert_eq!(letters()[0]["event"]["deadcause"], "card refused");
    assert_eq!(letters()[0]["sent_again"], Value::Null);
    assert_eq!(
        home.json(&["events", "dead-letters", "mailer", "--topic", "other"]),
        Value::Array(Vec::new())
    );
    let mut command = home.command(&["events", "dead-letters", "mailer"]);
    command.env("NO_COLOR", "1");
    let (code, shown) = on_a_terminal(command);
    assert!(
        code == 0 && shown.contains("card refused") && shown.contains("events requeue mailer --all"),
        "{shown}"
    );

    // Once through the server, and once more without it.
    home.run(&["events", "requeue", "mailer"]).is(2, &["PLACE", "--all"]);
    let requeue = |args: &[&str]| home.json(&[&["events", "requeue", "mailer"], args].concat());
    assert_eq!(requeue(&["7"]), serde_json::json!({ "sent": 0, "before": 0 }));
    assert_eq!(requeue(&["1"]), serde_json::json!({ "sent": 1, "before": 0 }));
    drop(server);
    assert_eq!(requeue(&["--all"]), serde_json::json!({ "sent": 0, "before": 1 }));
    assert!(letters()[0]["sent_again"].is_string());
    assert_eq!(letters().as_array().map(Vec::len), Some(1));
    assert_eq!(numbers(&home.good(&["events", "replay", "orders/new"])), [(1, 7), (2, 7)]);
}

/// Has an event published that a durable subscription fails at.
fn fail_at(home: &Home, topic: &str) {
    home.good(&["events", "publish", topic, "7"]);
    let socket = home.path().join("store/agents.redb.sock");
    let mut reader = ask(&socket, "GET", &format!("/v1/events?topic={topic}&durable=mailer&attempts=1"), "");
    let mut seen = String::new();
    while !seen.contains("id: 1\n") {
        assert!(reader.read_line(&mut seen).expect("text") > 0, "{seen}");
    }
    let failed = format!(r#"{{"topic": "{topic}", "durable": "mailer", "position": 1, "failed": "no"}}"#);
    let said = whole(ask(&socket, "POST", "/v1/events/done", &failed));
    assert!(said.ends_with(r#"{"dead_letter":true}"#), "{said}");
}

#[test]
fn a_dead_letter_that_cannot_be_sent_is_told_with_its_reason_and_the_others_are_sent() {
    let home = home();
    let server = Server::start(&home, &["--listen", "127.0.0.1:0"]);
    ["short", "orders/a", "orders/b"].iter().for_each(|topic| fail_at(&home, topic));
    drop(server);
    // What was in `short` is not kept any more.
    home.write("fleet.toml", &format!("{FLEET}{}", KEPT.replace("\"short\"", "\"long\"")));

    // Through the server, and then without it.
    let server = Server::start(&home, &["--listen", "127.0.0.1:0"]);
    let told = home.run(&["events", "requeue", "mailer", "--all", "--json"]);
    told.is(4, &[]);
    let told: Value = serde_json::from_str(&told.out).expect("it is JSON");
    assert_eq!((&told["sent"], &told["before"], &told["unsent"]), (&2.into(), &0.into(), &1.into()));
    assert_eq!(told["why"][0]["position"], 1);
    assert_eq!(told["why"][0]["error"]["not_durable"]["topic"], "short");
    drop(server);
    let told = home.run(&["events", "requeue", "mailer", "--all"]);
    told.is(4, &["1 dead letter cannot be sent", "#1: the events of `short` are not kept"]);
}

/// Asks over the socket.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> BufReader<UnixStream> {
    let mut connection = UnixStream::connect(socket).expect("it listens");
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    BufReader::new(connection)
}

fn whole(mut answer: BufReader<UnixStream>) -> String {
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("it answers in text");
    text
}

#[test]
fn people_see_a_line_for_each_event() {
    let home = home();
    home.good(&["events", "publish", "orders/new", r#"{"item": "a chair"}"#]);
    let mut command = home.command(&["events", "replay", "orders/new"]);
    command.env("NO_COLOR", "1");

    let (code, shown) = on_a_terminal(command);

    assert_eq!(code, 0);
    let line = shown.lines().next().expect("a line");
    assert!(line.ends_with(r#"  #1  orders/new  cli  {"item": "a chair"}"#), "{line}");
    let mut command = home.command(&["events", "publish", "nowhere", "1"]);
    command.env("NO_COLOR", "1");
    let (_, shown) = on_a_terminal(command);
    assert!(shown.contains("nobody heard it") && shown.contains("it is gone"), "{shown}");
}

#[track_caller]
fn refused(home: &Home, code: i32, args: &[&str], words: &[&str]) {
    home.run(&[&["events"], args].concat()).is(code, words);
}

fn refused_with_and_without_a_server(home: &Home) {
    let refused = |code: i32, args: &[&str], words: &[&str]| refused(home, code, args, words);
    refused(2, &["publish", "a//b", "1"], &["`a//b` has the segment ``"]);
    refused(2, &["publish", "a/*", "1"], &["wildcard", "name it in full"]);
    refused(2, &["publish", "a", "{"], &["no JSON", "quotation marks"]);
    // More than an argument may have.
    let large = format!("\"{}\"", "x".repeat(300_000));
    let too_large = home.run_with_input(&["events", "publish", "a", "-"], large.as_bytes());
    too_large.is(2, &["262144 are allowed"]);
    refused(4, &["publish", "agents/x/run.completed", "1"], &["a topic of the runtime"]);
    refused(4, &["publish", "money/paid", "1", "--agent", "clerk"], &["agent `clerk`", "may not publish"]);
    refused(4, &["replay", "live"], &["are not kept", "a rule that keeps them"]);
    refused(2, &["replay", "orders/new", "--from", "yesterday"], &["a place like 42"]);
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let home = home();
    refused_with_and_without_a_server(&home);
    let refused = |code: i32, args: &[&str], words: &[&str]| refused(&home, code, args, words);
    refused(4, &["tail"], &["nobody serves", "agent-runtime serve"]);

    let _server = Server::start(&home, &[]);
    refused_with_and_without_a_server(&home);
    refused(2, &["tail", "a/**/b"], &["goes on after `**`"]);
    refused(2, &["tail", "orders/**", "--durable", "x"], &["one topic", "name it in full"]);
    refused(4, &["tail", "live", "--durable", "x"], &["are not kept"]);
    let told = home.run(&["events", "publish", "agents/x", "1", "--json"]);
    let told: Value = serde_json::from_str(&told.err).expect("JSON");
    assert_eq!(told["code"], "protected-topic");
}

#[test]
fn a_replay_from_before_retention_names_the_first_place() {
    let home = home();
    let server = Server::start(&home, &[]);
    let socket = home.path().join("store/agents.redb.sock");
    let cloud =
        |n: u32| format!(r#"{{"specversion":"1.0","id":"{n}","source":"test","type":"short","data":{n}}}"#);
    for number in 1..=200 {
        let published = whole(ask(&socket, "POST", "/v1/events", &cloud(number)));
        assert!(published.starts_with("HTTP/1.1 201"), "{published}");
    }
    // It is trimmed beside the publishing.
    let first = || numbers(&home.good(&["events", "replay", "short", "--limit", "1"]))[0].0;
    assert!((0..100).any(|_| first() > 1), "it was trimmed");

    home.run(&["events", "replay", "short", "--from", "1"])
        .is(3, &["`short` is kept from place", "begin there"]);
    drop(server);
    home.run(&["events", "replay", "short", "--from", "1"]).is(3, &["is kept from place"]);
}

#[test]
fn over_redis_the_bus_is_there_without_the_store_and_its_absence_is_told() {
    let redis = RedisServer::start();
    let home = Home::new();
    let fleet = |uri: &str| format!("{FLEET}\n[events]\nbus = \"{uri}\"\n{KEPT}");
    home.write("fleet.toml", &fleet(&format!("redis+unix://{}", redis.socket().display())));
    home.good(&["events", "publish", "orders/new", "1"]);
    let server = Server::start(&home, &[]);
    assert!(server.ready["events"].as_str().is_some_and(|events| events.starts_with("redis+unix:")));
    home.good(&["events", "publish", "orders/new", "2"]);
    assert_eq!(numbers(&home.good(&["events", "replay", "orders/new"])), [(1, 1), (2, 2)]);

    // Whoever publishes while it is away waits for it.
    redis.kill();
    let mut command = home.command(&["events", "publish", "orders/new", "3"]);
    let publishing = command.stdout(Stdio::piped()).spawn().expect("the program was built");
    redis.revive();
    let said = publishing.wait_with_output().expect("it was started");
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("kept as #3"), "{said:?}");
    drop(server);

    home.write("fleet.toml", &fleet("redis://127.0.0.1:1"));
    home.run(&["events", "publish", "orders/new", "5"]).is(5, &["cannot be reached", "127.0.0.1:1"]);
    home.run(&["serve"]).is(5, &["cannot be reached", "127.0.0.1:1"]);
}

#[test]
fn what_waits_for_a_bus_that_is_away_is_in_the_status_in_the_same_words_everywhere() {
    let redis = RedisServer::start();
    let home = Home::new();
    let keep = "[[events.topics]]\nof = \"agents/**\"\nkeep = \"1d\"\n";
    let uri = format!("redis+unix://{}", redis.socket().display());
    home.write("fleet.toml", &format!("{FLEET}\n[events]\nbus = \"{uri}\"\n{keep}"));
    let server = Server::start(&home, &["--listen", "127.0.0.1:0"]);
    home.until(&["status"], |status| status["telling"]["waiting"] == 0);

    redis.kill();
    home.good(&["run", "librarian", "lease"]);
    home.until(&["status"], |status| status["telling"]["since"].is_u64());
    let told = home.json(&["status"])["telling"].clone();
    assert!(told["waiting"].as_u64().is_some_and(|waiting| waiting > 0), "{told}");
    let (_, over_http) = server.http("GET", "/status", "");
    assert_eq!(over_http["node"]["telling"], told);
    let mut command = home.command(&["status"]);
    command.env("NO_COLOR", "1");
    let (_, shown) = on_a_terminal(command);
    assert!(shown.contains(" wait for it, since "), "{shown}");

    redis.revive();
    home.until(&["status"], |status| status["telling"]["waiting"] == 0);
    let mut command = home.command(&["status"]);
    command.env("NO_COLOR", "1");
    let (_, shown) = on_a_terminal(command);
    assert!(shown.contains("nothing waits for it"), "{shown}");
}
