//! What becomes of a run whose server ends, by asking or by force.
//!
//! A paused agent takes runs and begins no step: so a run can be held in its middle for as long as a test needs.

use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::home::Home;
use crate::server::{Server, send};

/// Begins a run that stops at its first step, in a process that waits for it.
fn held_run(home: &Home) -> Child {
    home.good(&["agents", "pause", "librarian"]);
    let mut command = home.command(&["run", "librarian", "When does a lease end?"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    home.until(&["runs", "--open"], |runs| runs.as_array().is_some_and(|runs| runs.len() == 1));
    waiting.expect("the program was built")
}

fn answer_of(mut child: Child) -> (Option<i32>, String) {
    let mut answer = String::new();
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut answer).expect("text");
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    let status = child.wait().expect("it was started");
    (status.code(), format!("{answer}{said}"))
}

#[test]
fn a_run_whose_server_is_killed_in_the_middle_is_finished_by_the_next_one() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let waiting = held_run(&home);

    server.kill();
    let server = Server::start(&home, &[]);

    assert_eq!(server.ready["open_runs"], 1);
    home.good(&["agents", "resume", "librarian"]);
    let runs = home.until(&["runs"], |runs| runs[0]["phase"] == "ended");
    assert_eq!(runs.as_array().expect("a list").len(), 1, "no run was lost, and none was made");
    assert!(runs[0]["attempt"].as_u64().expect("a number") >= 2, "it was begun again: {runs}");
    // Who waited for the run over the socket has its answer, from the other server.
    let (code, answer) = answer_of(waiting);
    assert_eq!(code, Some(0), "{answer}");
    assert_eq!(answer.matches("docs/leases.md:3").count(), 1, "{answer}");
}

#[test]
fn looking_at_a_store_that_nobody_serves_sets_nothing_off() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let mut waiting = held_run(&home);
    server.kill();
    waiting.kill().expect("it runs");
    waiting.wait().expect("it was started");

    home.good(&["agents", "resume", "librarian"]);
    home.good(&["log", "last"]);

    assert_eq!(home.run(&["runs"]).err, "", "a parked run is not waited for");
    let runs = home.json(&["runs"]);
    assert_eq!((&runs[0]["phase"], &runs[0]["attempt"]), (&"parked".into(), &1.into()));
    let log = home.good(&["log", "--follow", "last"]);
    assert!(log.contains("docs/leases.md:3"), "following is working: {log}");
}

#[test]
fn sigterm_parks_what_does_not_end_and_the_exit_code_is_0() {
    let home = Home::new();
    let mut server = Server::start(&home, &["--drain", "0"]);
    let mut waiting = held_run(&home);

    server.signal(Signal::TERM);

    assert_eq!(server.wait().code(), Some(0));
    waiting.kill().expect("it waits");
    waiting.wait().expect("it was started");
    assert_eq!(home.json(&["runs", "--open"]).as_array().expect("a list").len(), 1, "it is kept");
    let _server = Server::start(&home, &[]);
    home.good(&["agents", "resume", "librarian"]);
    home.until(&["runs"], |runs| runs[0]["outcome"]["completed"].is_object());
}

#[test]
fn sigterm_and_sigint_end_an_idle_server_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut server = Server::start(&home, &["--drain", "600"]);

        server.signal(signal);

        assert_eq!(server.wait().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_second_signal_ends_it_without_waiting_for_runs() {
    let home = Home::new().with_many_documents();
    let mut server = Server::start(&home, &["--drain", "600"]);
    let mut command = home.command(&["run", "librarian", "When does a lease end?"]);
    let mut waiting = command.stderr(Stdio::null()).spawn().expect("the program was built");
    home.until(&["runs", "--open"], |runs| runs.as_array().is_some_and(|runs| runs.len() == 1));

    server.signal(Signal::TERM);
    home.until(&["status"], |status| status["readiness"] == "draining");
    let probed = ["/livez", "/readyz", "/startupz"].map(|path| server.http("GET", path, "").0);
    assert_eq!(probed, [200, 503, 200], "it takes no more runs, lives, and has begun");
    server.signal(Signal::INT);

    assert_eq!(server.wait().code(), Some(130));
    waiting.kill().expect("it waits");
    waiting.wait().expect("it was started");
}

#[test]
fn who_stops_waiting_for_a_run_at_a_server_does_not_end_it() {
    let home = Home::new();
    let _server = Server::start(&home, &[]);
    let waiting = held_run(&home);

    send(&waiting, Signal::INT);

    let (code, said) = answer_of(waiting);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("goes on at the server"), "{said}");
    home.good(&["agents", "resume", "librarian"]);
    home.until(&["runs"], |runs| runs[0]["outcome"]["completed"].is_object());
}
