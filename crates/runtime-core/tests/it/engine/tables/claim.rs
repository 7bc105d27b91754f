//! What a new owner appends, and what then becomes of the run.

use runtime_core::engine::claim::{Claim, Next, claim, start as start_on, unknown_steps};
use runtime_traits::Effect;
use runtime_traits::log::{
    AttemptEnding, Ended, EntryKind, Outcome, Price, Receipt, StepDispatched, Stopped, UnknownCause, Usage,
    Verdict, WaitOn,
};
use runtime_traits::name::Name;

use super::{
    at, cancel, decided, decision, digest, diverged, ended_attempt, keys, log, opened, reserved, settled,
    start, time, unknown, view, waited, waits,
};
use crate::engine::play::key;
use crate::engine::scene::USED;

fn claimed(deadline: Option<u64>, kinds: Vec<EntryKind>) -> Claim {
    let log = log(deadline, kinds);
    claim(&view(&log), &log)
}

fn next(kinds: Vec<EntryKind>) -> Next {
    let claim = claimed(None, kinds);
    assert_eq!(claim.entries, [], "nothing is to be appended");
    claim.next
}

fn cancelled(stopped: Stopped, unknown: &[&str], usage: Usage) -> EntryKind {
    let outcome = Outcome::Cancelled(Receipt { stopped, unknown: keys(unknown) });
    EntryKind::Ended(Ended { outcome, usage, price: Price::default() })
}

fn parked(mut kinds: Vec<EntryKind>) -> Vec<EntryKind> {
    kinds.insert(0, start());
    kinds.push(ended_attempt(AttemptEnding::Parked));
    kinds
}

#[test]
fn a_run_that_has_not_begun_waits_for_its_session() {
    assert_eq!(next(vec![]), Next::Queue);
}

#[test]
fn a_run_that_is_over_stays_so() {
    let ended = Ended { outcome: Outcome::RolledBack, usage: Usage::default(), price: Price::default() };
    assert_eq!(next(vec![start(), EntryKind::Ended(ended)]), Next::Over);
}

#[test]
fn a_lost_attempt_ends_and_what_was_under_way_is_unknown() {
    let kinds = vec![
        start(),
        opened("a", Effect::Repeatable),
        opened("b", Effect::AtMostOnce),
        opened("c", Effect::AtMostOnce),
        settled("a"),
        unknown("c", 1, UnknownCause::Dropped),
    ];

    let claim = claimed(None, kinds);

    let lost = ended_attempt(AttemptEnding::Lost);
    assert_eq!(claim.entries, [unknown("b", 1, UnknownCause::Crash), lost]);
    assert_eq!(claim.next, Next::Start);
}

#[test]
fn a_claim_that_was_cut_short_is_completed_by_the_next_one() {
    let under_way = vec![start(), opened("a", Effect::Repeatable), opened("b", Effect::AtMostOnce)];
    let mut cut = under_way.clone();
    cut.push(claimed(None, under_way).entries.swap_remove(0));

    let claim = claimed(None, cut);

    let lost = ended_attempt(AttemptEnding::Lost);
    assert_eq!(claim.entries, [unknown("b", 1, UnknownCause::Crash), lost]);
}

#[test]
fn each_dispatch_that_a_crash_ended_is_booked_with_what_was_reserved_for_it() {
    let again = StepDispatched::of(key("a"), 2);
    let kinds = vec![
        start(),
        opened("a", Effect::Repeatable),
        unknown("a", 1, UnknownCause::Crash),
        ended_attempt(AttemptEnding::Lost),
        start(),
        EntryKind::StepDispatched(again),
    ];
    assert_eq!(view(&log(None, kinds[..4].to_vec())).usage, reserved(1));

    let claim = claimed(None, kinds.clone());
    assert_eq!(claim.entries[0], unknown("a", 2, UnknownCause::Crash));

    // What its result says is said of all dispatches.
    let mut settles = kinds;
    settles.push(settled("a"));
    assert_eq!(view(&log(None, settles)).usage, USED);
}

#[test]
fn a_lost_attempt_of_a_waiting_run_gets_the_next_one_which_then_waits_again() {
    let kinds = vec![start(), waits(3, time("sleep"), Some(500))];
    let claim = claimed(None, kinds);
    assert_eq!(claim.entries, [ended_attempt(AttemptEnding::Lost)]);
    assert_eq!(claim.next, Next::Start);
}

#[test]
fn a_cancelled_run_ends_wherever_it_is() {
    let claim = claimed(None, vec![cancel()]);
    assert_eq!(claim.entries, [cancelled(Stopped::Complete, &[], Usage::default())]);
    assert_eq!(claim.next, Next::Over);

    let claim = claimed(None, vec![start(), settled("p"), opened("a", Effect::Repeatable), cancel()]);
    let lost = ended_attempt(AttemptEnding::Lost);
    let ended = cancelled(Stopped::Dropped, &["a"], USED.plus(reserved(1)));
    assert_eq!(claim.entries, [unknown("a", 1, UnknownCause::Cancelled), lost, ended]);
    assert_eq!(claim.next, Next::Over);

    let mut kinds = parked(vec![waits(3, decision("a"), None)]);
    kinds.push(cancel());
    assert_eq!(claimed(None, kinds).next, Next::Over);
}

#[test]
fn a_parked_run_waits_for_its_first_timer() {
    let kinds = parked(vec![waits(3, time("a"), Some(700)), waits(4, time("b"), Some(300))]);
    assert_eq!(next(kinds), Next::Wait { until: Some(at(300)) });

    let kinds = parked(vec![waits(3, decision("a"), None), waits(4, time("b"), Some(300))]);
    assert_eq!(next(kinds), Next::Wait { until: Some(at(300)) }, "a decision may come first");

    assert_eq!(next(parked(vec![waits(3, decision("a"), None)])), Next::Wait { until: None });
}

#[test]
fn a_parked_run_waits_no_longer_than_its_deadline() {
    let waiting = [
        (vec![waits(3, time("a"), Some(700))], 500, 500),
        (vec![waits(3, time("a"), Some(700))], 900, 700),
        (vec![waits(3, decision("a"), None)], 500, 500),
        (vec![waits(3, diverged(), None)], 500, 500),
    ];
    for (kinds, deadline, until) in waiting {
        let claim = claimed(Some(deadline), parked(kinds));
        assert_eq!(claim.next, Next::Wait { until: Some(at(until)) });
    }
}

#[test]
fn a_run_that_waits_for_a_person_waits_as_a_whole() {
    let kind = Name::new("poet").expect("a good name");
    for on in [diverged(), WaitOn::Operator { why: String::new() }, WaitOn::Kind(kind)] {
        let kinds = parked(vec![waits(3, time("a"), Some(700)), waits(4, on, None)]);
        assert_eq!(next(kinds), Next::Wait { until: None });
    }
}

#[test]
fn a_parked_run_goes_on_when_what_it_waited_for_has_come() {
    let timer = || waits(3, time("a"), Some(700));
    let mut kinds = parked(vec![timer(), waits(4, decision("b"), None)]);
    kinds.extend([decided("b", Verdict::Repeat), waited(4)]);
    assert_eq!(next(kinds), Next::Start, "the timer is still open");

    let mut kinds = parked(vec![waits(3, diverged(), None)]);
    kinds.push(waited(3));
    assert_eq!(next(kinds), Next::Start);

    assert_eq!(next(vec![start(), ended_attempt(AttemptEnding::Parked)]), Next::Start);
}

#[test]
fn a_run_that_waits_for_a_version_is_to_start_wherever_it_is_claimed() {
    let version = || waits(4, WaitOn::CodeVersion(3), None);
    assert_eq!(next(parked(vec![waits(3, time("a"), Some(700)), version()])), Next::Start);

    let kinds = parked(vec![waits(3, diverged(), None), version()]);
    assert_eq!(next(kinds), Next::Wait { until: None }, "a person comes first");

    let mut kinds = parked(vec![version()]);
    kinds.push(cancel());
    assert_eq!(claimed(None, kinds).next, Next::Over);
}

#[test]
fn a_run_starts_on_the_version_with_which_it_began_and_waits_on_another() {
    let lost = vec![start(), ended_attempt(AttemptEnding::Lost)];
    let waiting = || {
        let mut kinds = lost.clone();
        kinds.push(waits(4, WaitOn::CodeVersion(1), None));
        kinds
    };
    let starts = |kinds: Vec<EntryKind>, here| {
        let start = start_on(&log(None, kinds), here);
        let entries: Vec<_> = start.entries.iter().map(short_of).collect();
        (entries, start.waits_for)
    };
    let nothing = Vec::<String>::new;

    assert_eq!(starts(vec![], 7), (nothing(), None), "it has not begun");
    assert_eq!(starts(lost.clone(), 1), (nothing(), None));
    assert_eq!(starts(lost.clone(), 2), (vec!["waits version 1 as 4".to_owned()], Some(1)));
    assert_eq!(starts(waiting(), 3), (nothing(), Some(1)), "it waits already");
    assert_eq!(starts(waiting(), 1), (vec!["waited 4".to_owned()], None));
    let mut again = waiting();
    again.extend([waited(4), start(), ended_attempt(AttemptEnding::Lost)]);
    assert_eq!(starts(again, 2), (vec!["waits version 1 as 8".to_owned()], Some(1)), "once more");
}

fn short_of(kind: &EntryKind) -> String {
    match kind {
        EntryKind::WaitOpened(opened) => match opened.on {
            WaitOn::CodeVersion(version) => format!("waits version {version} as {}", opened.wait.0),
            ref on => format!("{on:?}"),
        },
        EntryKind::WaitClosed(closed) => format!("waited {}", closed.wait.0),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_drained_run_goes_on_at_once() {
    for how in [AttemptEnding::Drained, AttemptEnding::Failed { error: "no".to_owned() }] {
        let kinds = vec![start(), waits(3, time("a"), Some(700)), ended_attempt(how)];
        assert_eq!(next(kinds), Next::Start);
    }
}

#[test]
fn a_receipt_names_every_step_that_had_begun_and_whose_end_nobody_knows() {
    let log = log(
        None,
        vec![
            start(),
            settled("pure"),
            opened("settled", Effect::Repeatable),
            settled("settled"),
            opened("lost", Effect::AtMostOnce),
            unknown("lost", 1, UnknownCause::Crash),
            opened("repeated", Effect::AtMostOnce),
            unknown("repeated", 1, UnknownCause::Crash),
            decided("repeated", Verdict::Repeat),
            opened("failed", Effect::AtMostOnce),
            unknown("failed", 1, UnknownCause::Crash),
            decided("failed", Verdict::Fail),
            opened("dropped", Effect::AtMostOnce),
            unknown("dropped", 1, UnknownCause::Dropped),
            opened("open", Effect::Repeatable),
        ],
    );

    assert_eq!(unknown_steps(&view(&log)), keys(&["lost", "repeated", "dropped", "open"]));
    assert_eq!(view(&log).step(&keys(&["open"])[0]).map(|step| step.digest), Some(digest("open")));
}
