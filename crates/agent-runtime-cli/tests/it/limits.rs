//! `limits`: what all agents may use together.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::Home;
use crate::server::Server;

const CLERK: &str = r#"
store = "redb:store/agents.redb"

[listen]
http = "127.0.0.1:0"

[agents.clerk]
kind = "llm"
model = "scripted/clerk"
max_tokens = 40
replies = ["Done."]
again = true
"#;

fn home(limits: &str) -> Home {
    let home = Home::new();
    home.write("fleet.toml", &format!("{limits}\n{CLERK}"));
    home
}

fn used(home: &Home, limit: &str) -> Value {
    let shown = home.json(&["limits"]);
    let all = shown["usage"]["limits"].as_array().expect("a list").clone();
    all.into_iter().find(|used| used["limit"] == limit).unwrap_or_default()
}

#[test]
fn limits_are_shown_and_changed_and_hold_a_call_that_waits_also_over_a_kill_of_the_server() {
    let home = home("");
    let server = Server::start(&home, &[]);
    assert!(home.good(&["limits"]).contains("\"usage\""), "where no person reads, it is JSON");
    let asked = server.http("POST", "/run", r#"{"input": "one"}"#);
    assert_eq!(asked.0, 200, "nothing is limited: {}", asked.1);

    let said = home.good(&["limits", "max_requests_per_minute=1", "max_tokens_total=100000"]);
    assert!(said.contains("all agents together may use, since 20"), "{said}");
    assert!(said.contains("for runs under way too: max_requests_per_minute 0 of 1, "), "{said}");
    home.good(&["run", "clerk", "two"]);
    let mut waiting = home.command(&["run", "clerk", "three"]).spawn().expect("the program was built");
    let runs = home.until(&["runs", "--open"], |runs| runs[0]["room"]["limit"] == "max_requests_per_minute");
    assert_eq!(runs.as_array().map(Vec::len), Some(1));
    assert_eq!(home.json(&["limits"])["usage"]["waiting"], 1);
    let before = home.json(&["limits"]);
    server.signal(Signal::KILL);
    drop(server);
    waiting.kill().and_then(|()| waiting.wait()).expect("it was started");

    let _server = Server::start(&home, &[]);
    home.until(&["runs", "--open"], |runs| runs[0]["room"]["limit"] == "max_requests_per_minute");
    let after = home.json(&["limits"]);
    assert_eq!(
        (&after["limits"], &after["since"], &after["by"]),
        (&before["limits"], &before["since"], &json!("hand"))
    );
    let of_minute = used(&home, "max_requests_per_minute");
    assert_eq!(
        (&of_minute["used"], &of_minute["max"]),
        (&json!(1), &json!(1)),
        "a restart gives nothing back"
    );
    let said = home.good(&["limits", "max_requests_per_minute=5", "max_tokens_total="]);
    assert!(said.contains("max_requests_per_minute ") && !said.contains("max_tokens_total"), "{said}");

    home.until(&["runs"], |runs| runs[2]["phase"] == "ended");
    assert_eq!(used(&home, "max_requests_per_minute")["used"], 2);
}

#[test]
fn the_fleet_file_sets_its_limits_again_with_the_next_server_which_is_said() {
    let home = home("limits = { max_tokens_total = 9000 }");
    let server = Server::start(&home, &[]);
    assert_eq!(server.ready["limits"], "added");
    assert_eq!(home.json(&["limits"])["by"], "fleet_file");

    home.run(&["limits", "max_tokens_total=7000"]).is(0, &["the next `serve` sets those again"]);
    server.kill();
    // Without a server a command opens the store itself, and undoes nothing.
    assert_eq!(home.json(&["limits"])["limits"], json!({ "max_tokens_total": 7000 }));

    let server = Server::start(&home, &[]);
    assert_eq!(server.ready["limits"], "changed");
    assert_eq!(home.json(&["limits"])["limits"], json!({ "max_tokens_total": 9000 }));
    server.kill();
    home.write("fleet.toml", CLERK);
    let _server = Server::start(&home, &[]);
    assert_eq!(home.json(&["limits"])["limits"], Value::Null, "what the file says no more is lifted");
}

#[test]
fn what_makes_no_sense_of_all_agents_is_refused_by_name_and_changes_nothing() {
    let home = home("");
    let _server = Server::start(&home, &[]);
    home.good(&["limits", "max_tokens_total=100"]);

    for (given, words) in [
        ("max_run_seconds=5", vec!["`max_run_seconds` is of one agent or one of its runs", "agents limit"]),
        ("max_tokens_per_run=5", vec!["`max_tokens_per_run` is of"]),
        ("on_limit=refuse", vec!["`on_limit` is of one agent"]),
        ("max_cost_total=0", vec!["`max_cost_total` is 0"]),
        ("max_tokens_per_minute=101", vec!["`max_tokens_per_minute` is more than `max_tokens_total`"]),
        ("max_tokens_total=-1", vec!["max_tokens_total=-1", "no whole number"]),
        ("max_cost_per_day=-1", vec!["max_cost_per_day=-1"]),
        ("max_tokens=1", vec!["max_tokens=1", "max_tokens_total"]),
        ("max_tokens_total", vec!["NAME=VALUE"]),
    ] {
        home.run(&["limits", given]).is(2, &words);
    }
    let unchanged = home.json(&["limits"])["limits"].clone();
    assert_eq!(unchanged, json!({ "max_tokens_total": 100 }));
}

#[test]
fn people_are_shown_a_list() {
    let limits = r#"limits = { max_tokens_total = 9000, max_cost_per_day = "2.50" }
prices = { "scripted/clerk" = { input = "1", output = "2" } }"#;
    let home = home(limits);
    let _server = Server::start(&home, &[]);

    let (_, shown) = crate::terminal::on_a_terminal(home.command(&["limits"]));

    for line in ["max_tokens_total", "0 of 9000", "max_cost_per_day", "of 2.50", "by the fleet file, 20"] {
        assert!(shown.contains(line), "`{line}` is missing in {shown}");
    }
}
