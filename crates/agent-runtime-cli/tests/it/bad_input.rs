//! Whatever is wrong: told with the thing and the remedy, and with the exit code that is documented.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::home::{FLEET, Home};
use crate::server::Server;

#[test]
fn an_unknown_agent_is_not_found() {
    Home::new()
        .run(&["run", "nobody", "hello"])
        .is(3, &["there is no agent `nobody`", "`agent-runtime agents`"]);
}

#[test]
fn an_unknown_run_and_an_unknown_snapshot_are_not_found() {
    let home = Home::new();
    let run = "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00";
    let state = "state:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00";

    home.run(&["log", run]).is(3, &[run]);
    home.run(&["cancel", run]).is(3, &[run]);
    home.run(&["decide", run, "fetch", "repeat"]).is(3, &[run]);
    home.run(&["restore", state]).is(3, &[state]);
    home.run(&["log", "last"]).is(3, &["there are no runs yet"]);
}

#[test]
fn an_agent_that_is_not_started_takes_no_runs() {
    let home = Home::new();
    home.good(&["agents", "stop", "librarian"]);

    home.run(&["run", "librarian", "hello"]).is(4, &["agent `librarian` is not started", "start it first"]);

    assert_eq!(home.json(&["runs"]), serde_json::json!([]));
}

#[test]
fn what_an_agents_state_does_not_allow_is_refused() {
    let home = Home::new();

    home.run(&["agents", "delete", "librarian"]).is(4, &["`librarian`"]);

    home.good(&["agents", "stop", "librarian"]);
    home.run(&["agents", "pause", "librarian"])
        .is(4, &["agent `librarian` cannot be paused", "start it first"]);
}

#[test]
fn an_empty_input_is_no_input() {
    Home::new().run(&["run", "librarian", ""]).is(2, &["the input is empty"]);
}

#[test]
fn an_input_of_20_mib_is_too_large() {
    let home = Home::new();

    home.run_with_input(&["run", "librarian", "-"], &vec![b'a'; 20 * 1024 * 1024])
        .is(2, &["20971520 bytes", "limit"]);

    assert_eq!(home.json(&["runs"]), serde_json::json!([]));
}

#[test]
fn bad_names_are_told_with_the_rule() {
    let home = Home::new();
    let long = "a".repeat(200);

    for name in ["../x", "a b", &long] {
        home.run(&["run", name, "hello"]).is(2, &["is no name", "1 to 64 of"]);
        home.run(&["run", "librarian", "hello", "--session", name]).is(2, &["is no name"]);
    }
    home.run(&["log", "run:x"]).is(2, &["an id like `run:main.17."]);
    home.run(&["run", "librarian", "hello", "--key", "a b"]).is(2, &["visible ASCII"]);
}

#[test]
fn bad_usage_is_told_with_what_is_right() {
    let home = Home::new();

    home.run(&["rnu", "librarian", "hello"]).is(2, &["run"]);
    home.run(&["run", "librarian"]).is(2, &["<INPUT>"]);
    home.run(&[]).is(2, &["Usage"]);
    let run = "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00";
    home.run(&["decide", run, "fetch", "assume"]).is(2, &["JSON"]);
    home.run(&["decide", run, "fetch", "assume", "{no"]).is(2, &["`{no` is no JSON"]);
    home.run(&["decide", run, "fetch", "repeat", "1"]).is(2, &["`repeat` takes no value"]);
}

#[test]
fn a_fleet_file_with_five_faults_is_told_all_five() {
    let home = Home::new();
    home.write(
        "fleet.toml",
        "stor = \"redb:a\"\n\
         durability = \"disc\"\n\
         [listen]\n\
         http = \"127.0.0.1:80000\"\n\
         [agents.\"a b\"]\n\
         kind = \"librarian\"\n\
         documents = \"docs\"\n\
         [agents.reader]\n\
         kind = \"librarien\"\n",
    );
    let five = [
        "fleet.toml:1:1: there is no setting `stor`",
        "did you mean `store`?",
        "fleet.toml:2:14: there is no durability `disc`",
        "did you mean `disk`?",
        "fleet.toml:4:8: `80000` is no port",
        "fleet.toml:5:9: `a b` is no name of an agent",
        "fleet.toml:9:8: there is no kind `librarien`",
        "did you mean `librarian`?",
        "error: `fleet.toml` has 5 faults",
    ];

    home.run(&["serve"]).is(2, &five);

    // A list is JSON where nobody sees it.
    let check = home.run(&["check"]);
    assert_eq!(check.code, 2);
    let told: serde_json::Value = serde_json::from_str(&check.out).expect("JSON");
    let lines: Vec<u64> =
        told["faults"].as_array().expect("a list").iter().filter_map(|f| f["line"].as_u64()).collect();
    assert_eq!(lines, [1, 2, 4, 5, 9]);
    assert!(!home.path().join("store").exists(), "nothing is made of a file that is wrong");
}

#[test]
fn a_fleet_file_that_is_not_there_is_told() {
    let home = Home::new();
    fs::remove_file(home.path().join("fleet.toml")).expect("it is there");

    home.run(&["serve"]).is(2, &["there is no fleet file `fleet.toml`", "--fleet"]);
    home.run(&["check", "other.toml"]).is(2, &["there is no fleet file `other.toml`"]);
    home.run(&["--fleet", "docs", "agents"]).is(2, &["the fleet file `docs` cannot be read"]);
}

#[test]
fn a_documents_folder_that_is_missing_or_a_file_is_told_where_it_is_written() {
    let home = Home::new();

    home.write("fleet.toml", &FLEET.replace("\"docs\"", "\"nowhere\""));
    home.run(&["run", "librarian", "hello"])
        .is(2, &["fleet.toml:10:13:", "`nowhere` does not exist", "set `documents`"]);

    home.write("fleet.toml", &FLEET.replace("\"docs\"", "\"docs/leases.md\""));
    home.run(&["run", "librarian", "hello"]).is(2, &["fleet.toml:10:13:", "`docs/leases.md` is a file"]);
}

#[test]
fn a_store_that_is_none_or_cannot_be_opened_is_told() {
    let home = Home::new();
    home.write("notes.txt", "These are notes, and no store.\n");

    home.run(&["--store", "floppy:a", "agents"]).is(2, &["no store `floppy:a`"]);
    home.run(&["--store", "redb:notes.txt", "agents"]).is(5, &["`notes.txt`"]);
    home.run(&["--store", "redb:docs", "agents"]).is(5, &["`docs`"]);
    let notes = fs::read_to_string(home.path().join("notes.txt")).expect("it is there");
    assert_eq!(notes, "These are notes, and no store.\n");
}

#[test]
fn a_store_that_another_process_has_open_is_told() {
    let home = Home::new();
    home.good(&["agents"]);
    let store = fs::File::open(home.path().join("store/agents.redb")).expect("it is there");
    rustix::fs::flock(&store, rustix::fs::FlockOperation::LockExclusive).expect("nobody has it");

    home.run(&["agents"]).is(4, &["`store/agents.redb` is in use by another command", "serve"]);
    home.run(&["serve"]).is(4, &["`store/agents.redb` is in use"]);

    drop(store);
    home.good(&["agents"]);
}

#[test]
fn a_store_that_is_open_elsewhere_for_a_moment_is_waited_for() {
    let home = Home::new();
    home.good(&["agents"]);
    for command in ["agents", "serve"] {
        let store = fs::File::open(home.path().join("store/agents.redb")).expect("it is there");
        rustix::fs::flock(&store, rustix::fs::FlockOperation::LockExclusive).expect("nobody has it");
        let mut child = home.command(&[command]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().expect("the program was built");
        let mut said = String::new();
        let err = child.stderr.take().expect("it is piped");
        BufReader::new(err).read_line(&mut said).expect("it writes text");
        assert!(said.contains("`store/agents.redb` is open elsewhere"), "{said}");

        drop(store);

        let mut told = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut told).expect("text");
        assert!(told.contains("librarian"), "`{command}` did not come to it: {told}");
        drop(child.kill());
        child.wait().expect("it was started");
    }
}

#[test]
fn a_store_that_gives_less_than_the_fleet_file_asks_for_says_so() {
    let home = Home::new();
    let fleet = FLEET.replace("redb:store/agents.redb", "sled:store/agents.sled");
    home.write("fleet.toml", &fleet);
    let quiet = home.run(&["run", "librarian", "lease"]);
    assert!(quiet.code == 0 && !quiet.err.contains("durability"), "{quiet:#?}");

    home.write("fleet.toml", &format!("durability = \"disk\"\n{fleet}"));

    let told = "the fleet file asks for the durability `disk`, and this store gives `process` at most";
    home.run(&["run", "librarian", "lease"]).is(0, &[told]);
    assert_eq!(home.json(&["status"])["store"]["best"], "process");
}

#[test]
fn a_store_in_memory_is_nothing_that_another_command_could_look_at_or_change() {
    let home = Home::new();
    home.write("fleet.toml", &FLEET.replace("redb:store/agents.redb", "memory:"));
    let _server = Server::start(&home, &[]);

    for command in [
        &["agents"][..],
        &["agents", "stop", "librarian"],
        &["runs"],
        &["log", "last"],
        &["cancel", "last"],
        &["decide", "last", "search", "repeat"],
        &["save", "librarian"],
        &["status"],
    ] {
        home.run(command).is(4, &["belongs to the process that made it", "redb:PATH"]);
    }
    home.good(&["run", "librarian", "lease"]);
    home.good(&["check"]);
}

#[test]
fn a_second_server_of_a_store_is_refused() {
    let home = Home::new();
    let _server = Server::start(&home, &[]);

    home.run(&["serve"]).is(4, &["the store `store/agents.redb` is served already"]);
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_left() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();

    home.run(&["serve", "--listen", &address]).is(5, &[&format!("`{address}` is in use"), "another port"]);

    assert!(!home.path().join("store/agents.redb.sock").exists());
    let server = Server::start(&home, &[]);
    assert_eq!(server.http("GET", "/health", "").0, 200);
}

#[test]
fn an_address_that_others_could_reach_is_refused() {
    Home::new().run(&["serve", "--listen", "0.0.0.0:8000"]).is(2, &["`0.0.0.0:8000`", "127.0.0.1"]);
}

#[test]
fn errors_are_json_for_programs() {
    let done = Home::new().run(&["run", "nobody", "hello", "--json"]);

    assert_eq!(done.code, 3);
    assert_eq!(done.out, "");
    let told: serde_json::Value = serde_json::from_str(&done.err).expect("JSON");
    assert_eq!(told["code"], "unknown-agent");
}

#[test]
fn bad_usage_is_json_for_programs_too() {
    let home = Home::new();
    for args in
        [&["rnu", "--json"][..], &["--json", "run", "librarian"], &["log", "run:x", "--json"], &["--json"]]
    {
        let done = home.run(args);

        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}");
        let told: serde_json::Value = serde_json::from_str(&done.err).expect("JSON");
        assert_eq!(told["code"], "usage", "{told}");
        assert!(!told["message"].as_str().expect("text").starts_with("error"), "{told}");
    }
    assert!(home.run(&["rnu", "--", "--json"]).err.starts_with("error: "), "this is no option");
    assert!(home.good(&["--help", "--json"]).contains("Usage"), "help is no error");
}
