//! Errors: every arm has a code of its own, says a sentence, and crosses a process boundary as JSON.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use runtime_traits::log::{FailureKind, RunFailure, StepKey};
use runtime_traits::meter::MeterError;
use runtime_traits::resource::{Limit, LimitsError, Refused};
use runtime_traits::runtime::{SweptLog, Want};
use runtime_traits::schedule::ScheduleError;
use runtime_traits::{
    AgentId, Cause, Name, NameError, Partition, Pool, RunId, RuntimeError, SessionName, SpecError,
    StateError, StateId, UnixMillis,
};
use uuid::Uuid;

fn text(text: &str) -> String {
    text.to_owned()
}

fn run() -> RunId {
    RunId::from_parts(Partition { pool: Pool::MAIN, index: 3 }, Uuid::from_u128(1))
}

fn state_errors() -> Vec<StateError> {
    vec![
        StateError::Conflict { condition: 2 },
        StateError::Fenced,
        StateError::TooLarge { what: text("a value"), limit: 1 << 20 },
        StateError::WrongPartition,
        StateError::Unknown { batch: u128::MAX - 1 },
        StateError::Unavailable { retry_after: None, cause: Cause::says("refused") },
        StateError::Unavailable { retry_after: Some(Duration::new(1, 5)), cause: Cause::says("refused") },
        StateError::NoSpace,
        StateError::Damaged { what: text("a log") },
        StateError::Poisoned { cause: Cause::says("an I/O error") },
    ]
}

fn errors() -> Vec<RuntimeError> {
    let name = || NameError::new("agent", "../x", "letters");
    let cause = || Cause::says("no such file; make it");
    let failure = RunFailure { kind: FailureKind::Panicked, message: text("no luck") };
    let step = StepKey::first(Name::new("fetch").expect("a good name"));
    let mut errors = vec![
        RuntimeError::UnknownAgent { agent: text("poet") },
        RuntimeError::UnknownRun { run: run() },
        RuntimeError::UnknownState { state: StateId::from_parts(run().partition(), Uuid::from_u128(2)) },
        RuntimeError::WrongState {
            agent: text("poet"),
            action: text("deleted"),
            reason: text("it is started"),
        },
        RuntimeError::UnknownKind { kind: text("poet"), known: text("echo") },
        RuntimeError::Spec(SpecError::Config { agent: text("poet"), cause: cause() }),
        RuntimeError::Spec(SpecError::Needs { agent: text("poet"), what: text("a folder"), cause: cause() }),
        RuntimeError::Meter(MeterError::MemoryNotMetered),
        RuntimeError::Limits(LimitsError::NotTogether { limit: Limit::MaxRunSeconds }),
        RuntimeError::UnknownSchedule { agent: text("poet"), schedule: text("daily") },
        RuntimeError::Schedule(ScheduleError::NeverFires { line: text("0 0 30 2 *") }),
        RuntimeError::Schedule(ScheduleError::TooMany { agent: text("poet"), limit: 1_000 }),
        RuntimeError::Name(name()),
        RuntimeError::NameTaken { name: text("poet"), kind: text("echo") },
        RuntimeError::EmptyInput,
        RuntimeError::BadSnapshotFile { reason: text("it is cut off after 3 bytes") },
        RuntimeError::NoSnapshots,
        RuntimeError::AnswerWithKey,
        RuntimeError::TooLarge { what: text("the input"), size: 20 << 20, limit: 16 << 20 },
        RuntimeError::StorageFull {
            what: text("agent `poet`"),
            bytes: 9,
            limit: 8,
            remedy: text("choose another session"),
        },
        RuntimeError::RunSwept(Box::new(SweptLog {
            run: run(),
            agent: AgentId::from_parts(run().partition(), Uuid::from_u128(3)),
            session: SessionName::default(),
            outcome: text("completed"),
            ended: UnixMillis(0),
            swept: UnixMillis(1),
        })),
        RuntimeError::Busy { what: text("the backlog"), limit: 10, retry_after: Duration::from_millis(300) },
        RuntimeError::AtLimit { agent: text("poet"), refused: Refused::Unpriced { model: text("a/b") } },
        RuntimeError::SessionBusy { session: text("default"), run: run(), waits_for: None },
        RuntimeError::SessionBusy {
            session: text("default"),
            run: run(),
            waits_for: Some(text("a decision")),
        },
        RuntimeError::KeyReused { key: text("k-1"), run: run() },
        RuntimeError::NothingToDecide { run: run(), step: step.clone() },
        RuntimeError::NothingToAnswer { run: run(), step: step.clone() },
        RuntimeError::OtherCall { run: run(), step },
        RuntimeError::CannotFork { run: run(), reason: text("a step is open") },
        RuntimeError::CannotRequeue { run: run(), reason: text("it is not in quarantine") },
        RuntimeError::RunOver { run: run() },
        RuntimeError::RunFailed { run: run(), failure },
        RuntimeError::RunCancelled { run: run() },
        RuntimeError::RunContinues { run: run(), next: run() },
        RuntimeError::ShuttingDown,
        RuntimeError::Damaged { what: text("a log") },
        RuntimeError::Newer { what: text("a log") },
        RuntimeError::Unreachable { at: text("http://host"), cause: cause() },
    ];
    let wants = [Want::Active, Want::Paused, Want::Stopped];
    errors.extend(wants.map(|want| RuntimeError::NotStarted { agent: text("poet"), want }));
    errors.extend(state_errors().into_iter().map(RuntimeError::Store));
    errors
}

/// The number of an error's arm. A new arm does not compile until it is here, and fails until it is above.
fn arm(error: &RuntimeError) -> usize {
    match error {
        RuntimeError::UnknownAgent { .. } => 0,
        RuntimeError::UnknownRun { .. } => 1,
        RuntimeError::UnknownState { .. } => 2,
        RuntimeError::NotStarted { .. } => 3,
        RuntimeError::WrongState { .. } => 4,
        RuntimeError::UnknownKind { .. } => 5,
        RuntimeError::Spec(_) => 6,
        RuntimeError::Name(_) => 7,
        RuntimeError::NameTaken { .. } => 8,
        RuntimeError::EmptyInput => 9,
        RuntimeError::TooLarge { .. } => 10,
        RuntimeError::Busy { .. } => 11,
        RuntimeError::SessionBusy { .. } => 12,
        RuntimeError::KeyReused { .. } => 13,
        RuntimeError::NothingToDecide { .. } => 14,
        RuntimeError::RunOver { .. } => 15,
        RuntimeError::RunFailed { .. } => 16,
        RuntimeError::RunCancelled { .. } => 17,
        RuntimeError::RunContinues { .. } => 18,
        RuntimeError::ShuttingDown => 19,
        RuntimeError::Store(_) => 20,
        RuntimeError::Damaged { .. } => 21,
        RuntimeError::Newer { .. } => 22,
        RuntimeError::Unreachable { .. } => 23,
        RuntimeError::NothingToAnswer { .. } => 24,
        RuntimeError::OtherCall { .. } => 25,
        RuntimeError::CannotFork { .. } => 26,
        RuntimeError::AnswerWithKey => 27,
        RuntimeError::BadSnapshotFile { .. } => 28,
        RuntimeError::NoSnapshots => 29,
        RuntimeError::StorageFull { .. } => 30,
        RuntimeError::RunSwept(_) => 31,
        RuntimeError::AtLimit { .. } => 32,
        RuntimeError::Meter(_) => 33,
        RuntimeError::Limits(_) => 34,
        RuntimeError::CannotRequeue { .. } => 35,
        RuntimeError::Schedule(_) => 36,
        RuntimeError::UnknownSchedule { .. } => 37,
    }
}

#[test]
fn every_arm_has_a_code_of_its_own() {
    let arms: BTreeSet<usize> = errors().iter().map(arm).collect();
    assert_eq!(arms, (0..38).collect(), "every arm is among the samples");
    let codes: BTreeSet<(usize, &str)> = errors().iter().map(|error| (arm(error), error.code())).collect();
    let words: BTreeSet<&str> = codes.iter().map(|(_, code)| *code).collect();
    assert_eq!((codes.len(), words.len()), (38, 38));
    for code in words {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
    }
}

#[test]
fn every_error_says_a_sentence_that_begins_small_and_has_no_end() {
    for error in errors() {
        let said = error.to_string();
        let first = said.chars().next().expect("it says something");
        assert!(!first.is_uppercase() && !said.ends_with('.'), "{said}");
    }
}

#[test]
fn every_error_comes_back_from_json() {
    for error in errors() {
        let json = serde_json::to_string(&error).expect("an error is JSON");
        let back: RuntimeError = serde_json::from_str(&json).expect("it was one");
        assert_eq!((back.to_string(), back), (error.to_string(), error));
    }
    for error in state_errors() {
        let json = serde_json::to_string(&error).expect("an error is JSON");
        assert_eq!(serde_json::from_str::<StateError>(&json).expect("it was one"), error);
    }
}

#[test]
fn only_what_may_pass_by_itself_is_submitted_again() {
    for error in state_errors() {
        let transient = match error {
            StateError::Unknown { .. } | StateError::Unavailable { .. } | StateError::NoSpace => true,
            StateError::Conflict { .. }
            | StateError::Fenced
            | StateError::TooLarge { .. }
            | StateError::WrongPartition
            | StateError::Damaged { .. }
            | StateError::Poisoned { .. } => false,
        };
        assert_eq!(error.is_transient(), transient, "{error}");
    }
}

#[test]
fn what_is_wrong_and_what_to_do_about_it_are_told() {
    let told = |error: RuntimeError| error.to_string();
    assert_eq!(
        told(RuntimeError::NotStarted { agent: text("poet"), want: Want::Paused }),
        "agent `poet` is paused; start it first"
    );
    let waits_for = Some(text("a decision on step `write`"));
    assert_eq!(
        told(RuntimeError::SessionBusy { session: text("s"), run: run(), waits_for }),
        format!("session `s` is busy with `{}`, which waits for a decision on step `write`", run())
    );
    let retry_after = Duration::from_millis(300);
    assert_eq!(
        told(RuntimeError::Busy { what: text("the backlog"), limit: 10, retry_after }),
        "the backlog is full (10); try again in 1 s"
    );
    let state = StateId::from_parts(run().partition(), Uuid::from_u128(2));
    let remedies = [
        (RuntimeError::UnknownState { state }, "make one with `agent-runtime save AGENT`"),
        (RuntimeError::TooLarge { what: text("the input"), size: 20 << 20, limit: 16 << 20 }, "split it"),
        (RuntimeError::RunOver { run: run() }, "see how it ended with `agent-runtime log run:"),
        (
            RuntimeError::Unreachable { at: text("unix:a.sock"), cause: Cause::says("refused") },
            "see whether it is up",
        ),
    ];
    for (error, remedy) in remedies {
        assert!(error.to_string().contains(&format!("; {remedy}")), "{error}");
    }
    assert_eq!(
        StateError::Unknown { batch: 255 }.to_string(),
        "it is not known whether batch `000000000000000000000000000000ff` was applied; submit the same batch again"
    );
}

#[derive(Debug)]
struct Link(&'static str, Option<Box<Link>>);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|link| link as &dyn Error)
    }
}

fn chain(links: &[&'static str]) -> Link {
    let mut chain = None;
    for link in links.iter().rev() {
        chain = Some(Box::new(Link(link, chain)));
    }
    *chain.expect("a chain has a link")
}

#[test]
fn a_cause_says_the_whole_chain_and_nothing_twice() {
    let of = |links: &[&'static str]| Cause::of(&chain(links)).to_string();
    assert_eq!(of(&["the store is away"]), "the store is away");
    assert_eq!(of(&["cannot open", "cannot read", "no such file"]), "cannot open: cannot read: no such file");
    assert_eq!(of(&["cannot open: no such file", "no such file"]), "cannot open: no such file");
    assert_eq!(Cause::says("x"), Cause::of(&chain(&["x"])));
}

#[test]
fn any_error_becomes_an_agents_with_all_that_it_says() {
    fn fails() -> Result<(), runtime_traits::AgentError> {
        Err(chain(&["cannot open", "no such file"]))?;
        Ok(())
    }
    let error = fails().expect_err("it fails");
    assert_eq!(
        (error.message(), error.to_string().as_str()),
        ("cannot open: no such file", "cannot open: no such file")
    );
}
