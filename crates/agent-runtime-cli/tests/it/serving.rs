//! With a server: the other commands ask it, and so does whoever speaks HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use rustix::process::Signal;

use crate::home::{FLEET, Home};
use crate::server::Server;

#[test]
fn it_answers_over_http_and_over_the_socket() {
    let home = Home::new();
    let server = Server::start(&home, &[]);

    let (status, answer) = server.http("POST", "/run", r#"{"input": "When does a lease end?"}"#);
    assert_eq!(status, 200, "{answer}");
    assert!(answer["output"].as_str().expect("text").contains("docs/leases.md:3"));
    assert_eq!(server.http("GET", "/health", "").0, 200);
    assert_eq!(server.http("GET", "/status", "").0, 200);

    let said = home.good(&["run", "librarian", "When does a lease end?"]);
    assert!(said.contains("docs/leases.md:3"), "{said}");
    assert_eq!(home.json(&["runs"]).as_array().expect("a list").len(), 2, "both are in the one store");
}

#[test]
fn a_tcp_port_gives_nobody_control_of_a_server() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let spy = r#"{"kind": "librarian", "name": "spy", "config": {"documents": "/etc"}}"#;

    for (path, body) in [("/v1/agents", spy), ("/v1/shutdown", r#"{"within_ms": 0}"#)] {
        let (status, problem) = server.http("POST", path, body);
        assert_eq!(status, 403, "{problem}");
        assert_eq!(problem["type"], "urn:agent-runtime:problem:socket-only");
    }

    let agents = home.json(&["agents"]);
    assert_eq!(agents.as_array().expect("a list").len(), 1, "{agents}");
    let (_, answer) = server.http("POST", "/run", r#"{"input": "lease"}"#);
    let run = format!("/v1/runs/{}", answer["run_id"].as_str().expect("an id"));
    assert_eq!(server.http("GET", &run, "").0, 200, "where a run is, who asked may ask");
}

#[test]
fn it_says_what_the_fleet_file_did_and_stops_what_it_does_not_name() {
    let home = Home::new();
    let mut server = Server::start(&home, &[]);
    assert_eq!(server.ready["agents"], serde_json::json!([{ "name": "librarian", "change": "added" }]));
    assert_eq!(server.ready["left"], serde_json::json!([]));
    server.signal(Signal::TERM);
    server.wait();

    home.write("fleet.toml", &FLEET.replace("agents.librarian", "agents.other"));
    let server = Server::start(&home, &[]);

    assert_eq!(server.ready["agents"], serde_json::json!([{ "name": "other", "change": "added" }]));
    assert_eq!(server.ready["left"], serde_json::json!(["librarian"]));
    assert_eq!(home.json(&["agents", "show", "librarian"])["want"], "stopped");
    assert_eq!(home.json(&["agents", "show", "other"])["want"], "active");
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let home = Home::new();
    let socket = home.path().join("store/agents.redb.sock");
    let mut server = Server::start(&home, &[]);

    let mode = fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    server.signal(Signal::TERM);
    server.wait();
    assert!(!socket.exists());
}

#[test]
fn the_socket_of_a_killed_server_is_replaced() {
    let home = Home::new();
    let socket = home.path().join("store/agents.redb.sock");
    fs::create_dir(home.path().join("store")).expect("it is not there");
    drop(UnixListener::bind(&socket).expect("a socket that nobody listens on"));
    assert!(socket.exists());

    let _server = Server::start(&home, &[]);

    let said = home.json(&["status"]);
    assert_eq!(said["readiness"], "ready");
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_server() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    server.kill();
    assert!(home.path().join("store/agents.redb.sock").exists(), "a killed server leaves it");

    home.good(&["run", "librarian", "lease"]);
}

#[test]
fn a_store_in_a_deep_folder_is_served_all_the_same() {
    let home = Home::new();
    let deep = format!("{}/{}", "a".repeat(100), "b".repeat(100));
    home.write("fleet.toml", &FLEET.replace("store/agents.redb", &format!("{deep}/agents.redb")));

    let _server = Server::start(&home, &[]);

    assert!(home.path().join(deep).join("agents.redb.sock").exists());
    home.good(&["run", "librarian", "lease"]);
}

#[test]
fn a_store_in_memory_is_served_over_http_only() {
    let home = Home::new();
    let server = Server::start(&home, &["--store", "memory:"]);

    assert_eq!(server.ready["socket"], serde_json::Value::Null);
    assert_eq!(server.http("POST", "/run", r#"{"input": "lease"}"#).0, 200);
}
