//! What people say to runs: answers, consent, and none; copies of runs, and what was said.

use runtime_testkit::agents::Gates;
use serde_json::Value;
use tokio::runtime::Runtime as Executor;

use crate::clerk::{fleet, kinds};
use crate::home::Home;
use crate::hosted::{home, serve_kinds};

fn served(names: &[&str]) -> (Home, Gates, Executor) {
    let (home, gates) = (home(), Gates::new());
    let server = serve_kinds(home.path(), kinds(&gates), &fleet(names));
    (home, gates, server)
}

/// The command that is said to be typed, as arguments.
fn command<'a>(err: &'a str, begin: &str) -> Vec<&'a str> {
    let line = err
        .lines()
        .find_map(|line| line.strip_prefix("agent-runtime ").filter(|line| line.starts_with(begin)));
    line.expect("the command is named").split(' ').collect()
}

fn output(home: &Home, run: usize) -> Value {
    let runs = home.until(&["runs"], |runs| runs[run]["phase"] == "ended");
    runs[run]["outcome"]["completed"]["Inline"]["text"].clone()
}

#[test]
fn a_run_that_asks_says_what_and_the_command_that_answers_it() {
    let (home, _, _server) = served(&["ask"]);

    let asked = home.run(&["run", "ask", "Which size?"]);

    asked.is(6, &["waits for an answer to `answer`", "? Which size?"]);
    let mut answer = command(&asked.err, "answer run:");
    *answer.last_mut().expect("the text") = "L";
    home.good(&answer);
    assert_eq!(output(&home, 0), "L");
    home.run(&answer).is(4, &["is over"]);
}

#[test]
fn the_step_may_be_left_out_where_one_waits_and_a_wrong_one_is_refused() {
    let (home, _, _server) = served(&["ask"]);
    home.run(&["run", "ask", "Which size?"]).is(6, &[]);

    home.run(&["answer", "last", "elsewhere", "L"]).is(4, &["`elsewhere`", "waits for no such answer"]);
    home.run(&["approve", "last", "--digest", "01234567"]).is(4, &["waits for nobody's answer or consent"]);
    let answered = home.run_with_input(&["answer", "last", "-"], b"XL");

    answered.is(0, &[]);
    assert_eq!(output(&home, 0), "XL");
}

#[test]
fn consent_is_given_to_the_call_that_was_shown() {
    let (home, gates, _server) = served(&["clerk"]);

    let asked = home.run(&["run", "clerk", "pay rent"]);
    asked.is(6, &["consent is asked for: pay", "\"what\": \"rent\""]);
    home.run(&["approve", "last"]).is(2, &["which call is consented to?", "--digest"]);
    home.run(&["approve", "last", "--digest", "abc"]).is(2, &["8 to 64"]);
    home.run(&["approve", "last", "--digest", "0123456789ab"]).is(4, &["is another call"]);
    assert_eq!(gates.times("rent"), 0, "nobody has consented");
    home.good(&command(&asked.err, "approve run:"));

    assert_eq!(output(&home, 0), "It is: pay of rent");
    assert_eq!(gates.times("rent"), 1);
}

#[test]
fn who_does_not_consent_gives_the_reason() {
    let (home, gates, _server) = served(&["clerk"]);
    home.run(&["run", "clerk", "pay rent"]).is(6, &[]);

    home.good(&["deny", "last", "we own the house"]);

    assert!(output(&home, 0).to_string().contains("we own the house"));
    assert_eq!(gates.times("rent"), 0);
    home.run(&["run", "clerk", "pay rent"]).is(6, &[]);
    home.good(&["deny", "last", "turn-1/0.pay"]);
    assert!(output(&home, 1).to_string().contains("no reason was given"));
}

#[test]
fn what_a_called_agent_asks_is_said_to_whoever_runs_its_caller() {
    let (home, gates, _server) = served(&["call", "consent"]);

    let asked = home.run(&["run", "call", "consent door"]);

    asked.is(6, &["consent is asked for: act"]);
    home.good(&command(&asked.err, "approve run:"));
    home.until(&["runs"], |runs| (0..2).all(|run| runs[run]["phase"] == "ended"));
    assert_eq!(gates.times("door"), 1);
}

#[test]
fn whoever_looks_at_a_caller_is_told_who_waits_for_consent_and_how_to_give_it() {
    let (home, gates, _server) = served(&["call", "consent"]);
    home.run(&["run", "call", "consent door"]).is(6, &[]);
    let id = |run: usize| home.json(&["runs"])[run]["run"].as_str().expect("an id").to_owned();
    let (caller, called) = (id(0), id(1));
    let note = home.json(&["runs"])[0]["waits"][0]["note"].clone();
    assert_eq!(note, format!("`{called}`, which waits for consent to `act`"));
    let mut command = home.command(&["log", &caller]);
    command.env("NO_COLOR", "1");
    let (_, log) = crate::terminal::on_a_terminal(command);
    assert!(
        log.contains(&format!("the run is waiting for `{called}`, which waits for consent to `act`")),
        "{log}"
    );
    assert!(log.contains("consent is asked for: act"), "{log}");
    assert!(log.contains(&format!("agent-runtime approve {called} act --digest ")), "{log}");
    let digest =
        log.split("--digest ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("its hash");
    // The caller's name is enough.
    home.good(&["approve", &caller, "--digest", digest]);

    home.until(&["runs"], |runs| (0..2).all(|run| runs[run]["phase"] == "ended"));
    assert_eq!(gates.times("door"), 1);
}

#[test]
fn a_busy_conversation_does_with_a_new_run_what_it_is_told() {
    let (home, _, _server) = served(&["ask"]);
    let run = |policy: &str, text: &str| home.run(&["run", "ask", text, "--when-busy", policy]);
    run("reject", "first?").is(6, &[]);

    run("reject", "second?").is(4, &["is busy with"]);
    run("rollback", "third?").is(6, &["? third?"]);
    let answered = run("answer", "red");

    answered.is(0, &[]);
    assert_eq!(answered.out, "red\n");
    let outcomes: Vec<String> = home
        .json(&["runs"])
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| run["outcome"].to_string())
        .collect();
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    assert!(outcomes[0].contains("rolled_back"), "{outcomes:?}");
    let said = home.json(&["messages", "ask"]);
    assert_eq!(said[0]["content"]["text"], "third?", "{said}");
}

#[test]
fn a_copy_goes_on_in_a_conversation_of_its_own() {
    let (home, _, _server) = served(&["clerk"]);
    home.good(&["run", "clerk", "hello"]);

    let fork = home.json(&["fork", "last", "--session", "copy", "--input", "goodbye"]);

    assert_eq!(fork["session"], "copy");
    home.until(&["runs", "--open"], |runs| runs.as_array().is_some_and(Vec::is_empty));
    let said = home.json(&["history", "clerk", "--session", "copy", "--limit", "1"]);
    assert_eq!(said[0]["content"]["text"], "You say: goodbye", "{said}");
    assert_eq!(said.as_array().expect("a list").len(), 1);
    home.run(&["fork", "last", "--session", "copy"]).is(4, &["its new session is in use"]);
    home.run(&["fork", "last", "--at", "0"]).is(2, &["numbered from 1"]);
}

#[test]
fn a_pipe_holds_a_conversation_line_by_line() {
    let (home, _, _server) = served(&["ask", "clerk"]);

    let talked = home.run_with_input(&["chat", "clerk"], b"hello\n\nbye\n");
    talked.is(0, &[]);
    assert_eq!(talked.out, "You say: hello\nYou say: bye\n");
    assert_eq!(talked.err, "");

    let talked = home.run_with_input(&["chat", "ask"], b"Which size?\nL\n");
    talked.is(0, &[]);
    assert_eq!(talked.out, "Which size?\nL\n");
}

#[test]
fn runs_and_conversations_have_the_priority_that_is_named() {
    let (home, _, _server) = served(&["clerk"]);
    let priority = || {
        let log = home.good(&["log", "last", "--json"]);
        let accepted: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
        accepted["kind"]["accepted"]["priority"].as_i64()
    };

    home.good(&["run", "clerk", "hello", "--priority", "7"]);
    assert_eq!(priority(), Some(7));
    home.run_with_input(&["chat", "clerk", "--priority", "200"], b"hello\n").is(0, &[]);
    assert_eq!(priority(), Some(200));
    home.run_with_input(&["chat", "clerk"], b"hello\n").is(0, &[]);
    assert_eq!(priority(), Some(0));
    for command in ["run", "chat"] {
        home.run(&[command, "clerk", "--priority", "256"]).is(2, &["256"]);
    }
}

#[test]
fn a_pipe_consents_to_nothing() {
    let (home, gates, _server) = served(&["clerk"]);

    let talked = home.run_with_input(&["chat", "clerk"], b"pay rent\ny\n");

    talked.is(6, &["consent is asked for: pay", "approve run:"]);
    assert_eq!(gates.times("rent"), 0);
    let again = home.run_with_input(&["chat", "clerk"], b"");
    again.is(6, &["consent is asked for: pay"]);
}

#[test]
fn a_log_tells_what_was_asked_said_and_called() {
    let (home, _, _server) = served(&["clerk"]);
    home.run(&["run", "clerk", "pay rent"]).is(6, &[]);
    home.good(&["deny", "last", "no"]);
    home.good(&["run", "clerk", "search nothing"]);
    let mut command = home.command(&["log", "last"]);
    command.env("NO_COLOR", "1");

    let (_, log) = crate::terminal::on_a_terminal(command);

    assert!(log.contains("turn-1/model: Let me see. [search  what: \"nothing\"]"), "{log}");
    assert!(log.contains("turn-1/0.search: ✗ search of nothing"), "{log}");
    let first = home.json(&["runs"])[0]["run"].as_str().expect("an id").to_owned();
    let mut command = home.command(&["log", &first]);
    command.env("NO_COLOR", "1");
    let (_, log) = crate::terminal::on_a_terminal(command);
    assert!(log.contains("for an approval of `turn-1/0.pay`"), "{log}");
    assert!(log.contains("`turn-1/0.pay` is"), "{log}");
    assert!(log.contains("by caller"), "{log}");
}
