//! What a verdict appends to the log of a run without an attempt.

use runtime_core::engine::claim::Next;
use runtime_core::engine::decide::decide;
use runtime_traits::Effect;
use runtime_traits::log::{
    AttemptEnding, Ended, Entry, EntryKind, FailureKind, Outcome, Price, RunFailure, UnknownCause, Verdict,
    WaitOn,
};

use super::{
    decided, decision, diverged, ended_attempt, log, opened, reserved, start, text, time, unknown, view,
    waited, waits,
};
use crate::engine::life::by;
use crate::engine::play::key;

fn waiting(on: WaitOn) -> Vec<Entry> {
    let kinds = vec![
        start(),
        opened("a", Effect::AtMostOnce),
        unknown("a", 1, UnknownCause::Crash),
        ended_attempt(AttemptEnding::Lost),
        start(),
        waits(7, on, None),
        ended_attempt(AttemptEnding::Parked),
    ];
    log(None, kinds)
}

fn verdicts() -> [Verdict; 3] {
    [Verdict::Repeat, Verdict::Assume(text("1")), Verdict::Fail]
}

#[test]
fn every_verdict_on_a_waiting_step_is_recorded_with_the_call_that_it_is_bound_to() {
    let view = view(&waiting(decision("a")));
    for verdict in verdicts() {
        let decision = decide(&view, &key("a"), by(), verdict.clone());
        // `decided` carries the digest of the step's request.
        assert_eq!(decision, Some((vec![decided("a", verdict), waited(7)], Next::Start)));
    }
}

#[test]
fn what_does_not_wait_takes_no_verdict() {
    let not_waiting = [
        (waiting(decision("a")), "b"),
        (waiting(time("a")), "a"),
        (log(None, vec![]), "a"),
        (log(None, vec![start(), opened("a", Effect::AtMostOnce)]), "a"),
    ];
    for (log, step) in not_waiting {
        for verdict in verdicts() {
            assert_eq!(decide(&view(&log), &key(step), by(), verdict), None);
        }
    }
}

#[test]
fn a_decided_step_takes_no_second_verdict() {
    let mut log = waiting(decision("a"));
    for kind in [decided("a", Verdict::Repeat), waited(7)] {
        let last = log[log.len() - 1].clone();
        log.push(Entry { seq: last.seq.next(), kind, ..last });
    }
    assert_eq!(decide(&view(&log), &key("a"), by(), Verdict::Fail), None);
}

#[test]
fn a_diverged_run_is_replayed_or_failed_as_a_whole() {
    let view = view(&waiting(diverged()));

    let repeat = decide(&view, &key("any"), by(), Verdict::Repeat);
    assert_eq!(repeat, Some((vec![waited(7)], Next::Start)));

    let (kinds, next) = decide(&view, &key("any"), by(), Verdict::Fail).expect("it waits");
    let message = "it was decided to take the run as failed".to_owned();
    let outcome = Outcome::Failed(RunFailure { kind: FailureKind::Decided, message });
    let ended = Ended { outcome, usage: reserved(1), price: Price::default() };
    assert_eq!((kinds, next), (vec![waited(7), EntryKind::Ended(ended)], Next::Over));

    assert_eq!(decide(&view, &key("any"), by(), Verdict::Assume(text("1"))), None);
}

#[test]
fn a_run_that_waits_for_a_version_is_failed_and_goes_on_by_no_verdict() {
    let waiting = waiting(WaitOn::CodeVersion(1));
    for verdict in [Verdict::Repeat, Verdict::Assume(text("1"))] {
        assert_eq!(decide(&view(&waiting), &key("any"), by(), verdict), None);
    }

    let (kinds, next) = decide(&view(&waiting), &key("any"), by(), Verdict::Fail).expect("it waits");
    assert_eq!((&kinds[0], next), (&waited(7), Next::Over));
    assert!(
        matches!(&kinds[1..], [EntryKind::Ended(Ended { outcome: Outcome::Failed(_), .. })]),
        "{kinds:?}"
    );
}
