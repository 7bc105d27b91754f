//! A conversation on a terminal, as somebody holds it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use runtime_testkit::agents::Gates;
use rustix::process::Signal;
use tokio::runtime::Runtime as Executor;

use crate::clerk::{fleet, kinds};
use crate::home::Home;
use crate::hosted::{home, serve_kinds};
use crate::server::send;
use crate::terminal::pair;

/// A conversation that a test holds. It is killed when this is dropped.
struct Talk {
    child: Child,
    terminal: File,
    /// What was written since it was last looked for.
    unread: String,
    whole: String,
}

impl Talk {
    fn begin(mut command: Command, columns: u16) -> Self {
        let (terminal, side) = pair(columns);
        let other = || side.try_clone().expect("a descriptor");
        command.stdin(other()).stdout(other()).stderr(other());
        let child = command.spawn().expect("the program was built");
        Self { child, terminal, unread: String::new(), whole: String::new() }
    }

    /// Reads until this was written. What was before it is read too.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let read = self.terminal.read(&mut bytes).unwrap_or(0);
            assert!(read > 0, "`{text}` is missing in: {}", self.whole);
            let piece = String::from_utf8_lossy(&bytes[..read]).into_owned();
            self.unread.push_str(&piece);
            self.whole.push_str(&piece);
        }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("it reads");
    }

    /// At the prompt: types a line.
    #[track_caller]
    fn says(&mut self, line: &str) {
        self.until("› ");
        self.types(&format!("{line}\r"));
        self.until("\n");
    }

    /// At the prompt: leaves.
    #[track_caller]
    fn leaves(mut self) -> String {
        self.until("› ");
        self.types("\u{4}");
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = self.terminal.read(&mut bytes) {
            self.whole.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        let status = self.child.wait().expect("it was started");
        assert_eq!(status.code(), Some(0), "{}", self.whole);
        std::mem::take(&mut self.whole)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn served(names: &[&str]) -> (Home, Gates, Executor) {
    let (home, gates) = (home(), Gates::new());
    let server = serve_kinds(home.path(), kinds(&gates), &fleet(names));
    (home, gates, server)
}

fn chat(home: &Home, args: &[&str], columns: u16) -> Talk {
    let mut command = home.command(&["chat"]);
    command
        .args(args)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", home.path().join("state"));
    // The program ends a line where the terminal is as wide as it says.
    Talk::begin(command, columns)
}

#[test]
fn a_conversation_is_held_and_taken_up_again() {
    let (home, _, _server) = served(&["clerk"]);

    let mut talk = chat(&home, &["clerk"], 80);
    talk.says("hello");
    talk.until("You say: hello");
    talk.says("search leases");
    let shown = talk.until("It is: search of leases");
    assert!(shown.contains("Let me see."), "{shown}");
    assert!(shown.contains("✓ search  what: \"leases\""), "{shown}");
    talk.leaves();

    let mut talk = chat(&home, &["clerk"], 80);
    let shown = talk.until("It is: search of leases");
    assert!(shown.contains("› hello"), "{shown}");
    assert_eq!(
        shown.matches("You say: hello").count(),
        1,
        "its outcome says no more than the model did: {shown}"
    );
    assert!(shown.contains("✓ search  what: \"leases\""), "{shown}");
    // The arrow up gives what was typed last.
    talk.until("› ");
    talk.types("\u{1b}[A\u{1b}[A\r");
    talk.until("You say: hello");
    talk.leaves();
    let file = home.path().join("state/agent-runtime/chat_history");
    assert!(fs::read_to_string(&file).expect("it is there").contains("search leases"));
    let mode = fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn consent_is_asked_for_where_the_conversation_is() {
    let (home, gates, _server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk"], 80);

    talk.says("pay rent");
    let asked = talk.until("reason › ");
    assert!(asked.contains("\"what\": \"rent\""), "{asked}");
    assert_eq!(gates.times("rent"), 0);
    talk.types("/help\r");
    talk.until("/rollback");
    talk.until("reason › ");
    talk.types("y\r");
    talk.until("It is: pay of rent");
    assert_eq!(gates.times("rent"), 1);

    talk.says("pay taxes");
    talk.until("reason › ");
    talk.types("not before June\r");
    talk.until("not before June");
    talk.until("It is: not done: consent was refused: not before June");
    assert_eq!(gates.times("taxes"), 0);
    talk.leaves();
}

#[test]
fn what_was_typed_before_a_call_was_shown_is_no_consent_to_it() {
    let (home, gates, _server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk"], 80);
    talk.says("hold door");
    talk.until("Half a sentence");

    // While an answer is made: for the agent, and for whatever comes then.
    talk.types("pay rent\ry\r");
    gates.open("door");

    talk.until("and the rest.");
    talk.until("reason › ");
    talk.types("n\r");
    talk.until("not done");
    assert_eq!(gates.times("rent"), 0);
}

#[test]
fn ctrl_c_ends_the_answer_and_not_the_conversation() {
    let (home, _, _server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk"], 80);
    talk.says("hold door");
    talk.until("Half a sentence");

    send(&talk.child, Signal::INT);

    talk.until("interrupted");
    talk.says("hello");
    talk.until("You say: hello");
    talk.leaves();
    let runs = home.json(&["runs"]);
    assert!(runs[0]["outcome"]["cancelled"].is_object(), "{runs}");
}

#[test]
fn whoever_follows_a_log_is_told_what_a_called_run_waits_for() {
    let (home, gates, _server) = served(&["call", "consent"]);
    home.run(&["run", "call", "consent door"]).is(6, &[]);
    let runs = home.json(&["runs"]);
    let (caller, called) = (runs[0]["run"].as_str().expect("an id"), runs[1]["run"].as_str().expect("an id"));
    let mut command = home.command(&["log", "--follow", caller]);
    command.env("TERM", "xterm").env("NO_COLOR", "1");

    let mut follows = Talk::begin(command, 200);
    follows.until("consent is asked for: act");
    follows.until(&format!("agent-runtime approve {called} act --digest "));
    let digest = follows.until("\r\n");
    home.good(&["approve", called, "--digest", digest.trim()]);

    follows.until("completed");
    assert_eq!(gates.times("door"), 1);
}

#[test]
fn a_question_is_answered_or_the_turn_is_taken_back() {
    let (home, _, _server) = served(&["ask"]);
    let mut talk = chat(&home, &["ask"], 80);

    talk.says("Which size?");
    talk.until("answer › ");
    talk.types("/rollback Which colour?\r");
    talk.until("? Which colour?");
    talk.until("answer › ");
    talk.types("red\r");
    talk.says("/rollback Which shape?");
    talk.until("the last turn is over");
    talk.leaves();

    let said = home.json(&["messages", "ask"]);
    let texts: Vec<&str> =
        said.as_array().expect("a list").iter().filter_map(|said| said["content"]["text"].as_str()).collect();
    assert_eq!(texts, ["Which colour?", "red"], "{said}");
}

#[test]
fn a_conversation_whose_program_was_killed_goes_on_where_it_was() {
    let (home, gates, server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk"], 80);
    talk.says("pay rent");
    talk.until("reason › ");
    drop(talk);
    drop(server);

    let _server = serve_kinds(home.path(), kinds(&gates), &fleet(&["clerk"]));
    let mut talk = chat(&home, &["clerk"], 80);
    let asked = talk.until("reason › ");
    assert!(asked.contains("› pay rent"), "{asked}");
    assert!(asked.contains("\"what\": \"rent\""), "{asked}");
    talk.types("y\r");
    talk.until("It is: pay of rent");
    talk.leaves();
    assert_eq!(gates.times("rent"), 1);
}

#[test]
fn a_copy_of_the_conversation_goes_on_in_another_session() {
    let (home, _, _server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk", "--session", "a"], 80);
    talk.says("hello");
    talk.until("You say: hello");

    talk.says("/fork goodbye");
    talk.until("goes on in a copy: fork-");
    talk.until("You say: goodbye");
    talk.says("/new");
    talk.until("a new conversation: chat-");
    talk.says("/nonsense");
    talk.until("there is no /nonsense");
    let shown = talk.leaves();

    assert!(shown.contains("chat clerk --session chat-"), "it says how to come back: {shown}");
    let said = home.json(&["messages", "clerk", "--session", "a"]);
    assert!(!said.to_string().contains("goodbye"), "{said}");
}

#[test]
fn lines_fit_a_narrow_terminal_and_nothing_is_painted() {
    let (home, _, _server) = served(&["clerk"]);
    let mut talk = chat(&home, &["clerk"], 30);
    let what = "w".repeat(100);

    talk.says(&format!("search {what}"));
    talk.until("Let me see.");
    let shown = talk.until("It is: ");

    let line = shown.lines().find(|line| line.contains('✓')).expect("the call");
    let line = &line[line.find('✓').expect("it is there")..];
    assert!(line.trim_end().chars().count() <= 28, "{line:?}");
    talk.leaves();
    let whole = {
        let mut talk = chat(&home, &["clerk"], 30);
        talk.says("hello");
        talk.until("You say: hello");
        talk.leaves()
    };
    assert!(
        !whole.contains("\u{1b}[3") && !whole.contains("\u{1b}[1m") && !whole.contains("\u{1b}[2m"),
        "{whole:?}"
    );
}
