//! `health`: how the runtime and its agents are, and what the exit code says of it.

use serde_json::Value;

use crate::home::{FLEET, Home};
use crate::server::Server;

/// Asks until nobody has any doubt.
fn settled(home: &Home) -> Value {
    for _ in 0..300 {
        let done = home.run(&["health", "--json"]);
        let overview: Value = serde_json::from_str(&done.out).expect("it writes JSON");
        if overview["watched"]["unknown"] == 0 {
            let code = match overview["health"]["verdict"].as_str() {
                Some("healthy") => 0,
                Some("degraded") => 7,
                _ => 8,
            };
            assert_eq!(done.code, code, "{overview}");
            return overview;
        }
    }
    unreachable!("nobody looks")
}

#[test]
fn a_server_watches_itself_and_its_agents_and_what_is_broken_is_shown_by_code_and_reason() {
    let home = Home::new();
    home.write("fleet.toml", &format!("{FLEET}\n[health]\ninterval = \"1s\"\ndisk_space = \"off\"\n"));
    let server = Server::start(&home, &[]);

    let overview = settled(&home);
    assert_eq!(overview["watched"]["healthy"], 2, "{overview}");
    let agent = home.json(&["health", "librarian"]);
    assert_eq!(agent["health"]["reason"], "idle: no run is open", "{agent}");
    assert_eq!(server.http("GET", "/health", "").1["verdict"], "healthy");
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(server.http("GET", path, ""), (200, serde_json::json!({ "ok": true })), "{path}");
    }
    assert_eq!(home.json(&["status"])["health"]["verdict"], "healthy");
    home.run(&["health", "nobody"]).is(3, &["nobody"]);
    server.kill();

    // However much room there is, it is too little for somebody.
    home.write("fleet.toml", &format!("{FLEET}\n[health]\ndisk_space = \"1000000 TiB\"\n"));
    let server = Server::start(&home, &[]);
    let overview = settled(&home);
    let reason = overview["health"]["reason"].as_str().expect("it says why");
    assert!(reason.starts_with("runtime: ") && reason.contains("MiB are left under"), "{reason}");
    let health = server.http("GET", "/health", "");
    assert_eq!(
        (health.0, &health.1["worst"]),
        (200, &"runtime: disk_space".into()),
        "it takes runs all the same, and on TCP the check is named, without its reason"
    );
}

#[test]
fn where_nobody_watches_nobody_can_tell() {
    let home = Home::new();
    home.good(&["run", "librarian", "When does a lease end?"]);
    home.run(&["health"]).is(9, &[]);
    let done = home.run(&["health", "librarian", "--json"]);
    let report: Value = serde_json::from_str(&done.out).expect("it writes JSON");
    assert_eq!((done.code, &report["health"]["reason"]), (9, &"nobody monitors it".into()));

    home.write("fleet.toml", &format!("health = \"off\"\n{FLEET}"));
    let server = Server::start(&home, &[]);
    assert_eq!(home.run(&["health"]).code, 9);
    assert_eq!(server.http("GET", "/health", "").1["verdict"], Value::Null);
}
