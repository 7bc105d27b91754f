//! Cancelling: true at the entry, no step begins after it, and the run ends in time.

use std::time::Duration;

use runtime_core::engine::machine::Over;
use runtime_traits::Effect;
use runtime_traits::log::{Outcome, Receipt, Stopped};

use crate::engine::attempt::Seen;
use crate::engine::life::by;
use crate::engine::play::{Play, key, short, step};
use crate::engine::program::Node;

fn cancel(play: &mut Play, within: u64) {
    let within = Duration::from_millis(within);
    play.machine(|machine| machine.cancel(by(), "enough".to_owned(), within));
    play.go();
}

fn receipt(play: &Play) -> Receipt {
    match play.outcome() {
        Some(Outcome::Cancelled(receipt)) => receipt,
        other => unreachable!("the run was cancelled: {other:?}"),
    }
}

#[test]
fn what_is_asked_for_before_the_agent_sees_the_wish_does_not_begin_either() {
    let program = Node::Seq(vec![step("fetch", Effect::Pure), step("write", Effect::AtMostOnce)]);
    let mut play = Play::of(program);
    play.start().job_ends(1);
    cancel(&mut play, 500);
    // The agent sees `fetch` before the wish, and asks for `write`.
    play.commit_all();
    assert_eq!(play.seen().last(), Some(&Seen::Refused(key("write"))));

    let log: Vec<String> = play.log().iter().map(short).collect();

    assert!(!log.iter().any(|entry| entry.starts_with("opened")), "{log:?}");
    play.is_clean();
}

#[test]
fn a_step_under_way_ends_and_those_not_begun_are_refused_one_at_a_time() {
    let branch = |name| Node::Seq(vec![step("fetch", Effect::Repeatable), step(name, Effect::Repeatable)]);
    let mut play = Play::of(Node::Join(vec![branch("write"), branch("ask")]));
    play.start().commit_all();
    cancel(&mut play, 500);
    play.commit_all();
    assert_eq!(play.under_way(), 2, "what has begun goes on");

    play.job_ends(1).job_ends(2).commit_all();

    let refused = |name: &str| Seen::Refused(key(name));
    let seen = play.seen();
    assert!(seen.contains(&refused("b0/write")) && seen.contains(&refused("b1/ask")), "{seen:?}");
    assert_eq!(play.executions(), 2);
    assert_eq!(receipt(&play), Receipt { stopped: Stopped::Complete, unknown: Vec::new() });
    play.is_clean();
}

#[test]
fn a_pure_step_under_way_is_given_up() {
    let mut play = Play::of(step("fetch", Effect::Pure));
    play.start();
    cancel(&mut play, 500);
    play.commit_all();

    assert_eq!(play.seen(), [Seen::Refused(key("fetch"))]);
    assert_eq!(play.under_way(), 0);
    assert_eq!(receipt(&play).stopped, Stopped::Complete);
}

#[test]
fn a_step_that_waits_for_a_decision_is_refused_and_waits_no_longer() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start().commit_all().crash();
    play.start().commit_all();
    assert_eq!(play.waits(), ["decision write"]);

    cancel(&mut play, 500);
    play.commit_all();

    assert_eq!(play.seen(), [Seen::Refused(key("write"))]);
    assert_eq!(receipt(&play).unknown, [key("write")], "it had begun, and nobody knows its end");
    let log: Vec<String> = play.log().iter().map(short).collect();
    assert_eq!(log[log.len() - 2..], ["waited 7", "ended"]);
}

#[test]
fn the_agent_hears_of_it_when_the_log_says_so() {
    let program = Node::Heed(Box::new(step("write", Effect::AtMostOnce)));
    let mut play = Play::of(program);
    play.start().commit_all();

    cancel(&mut play, 500);
    assert_eq!(play.seen(), [], "the entry is not committed");
    play.commit_all();

    assert_eq!(play.seen(), [Seen::Cancelled]);
    let unknown = vec![key("write")];
    assert_eq!(receipt(&play), Receipt { stopped: Stopped::Complete, unknown });
}

#[test]
fn the_run_ends_by_its_time_whatever_the_agent_does() {
    let mut play = Play::of(Node::Seq(vec![step("write", Effect::AtMostOnce), Node::Sleep(9_000)]));
    play.start().commit_all();
    cancel(&mut play, 500);
    play.pass(499).commit_all();
    assert_eq!(play.over(), Over::No);

    play.pass(1).commit_all();

    assert_eq!(play.over(), Over::Run);
    assert_eq!(play.under_way(), 0, "the work is dropped");
    let unknown = vec![key("write")];
    assert_eq!(receipt(&play), Receipt { stopped: Stopped::Dropped, unknown });
}

#[test]
fn the_more_urgent_of_two_wishes_rules() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start().commit_all();
    cancel(&mut play, 5_000);
    cancel(&mut play, 9_000);
    cancel(&mut play, 100);
    play.commit_all().pass(100).commit_all();

    assert_eq!(play.over(), Over::Run);
    let log: Vec<String> = play.log().iter().map(short).collect();
    assert_eq!(log.iter().filter(|entry| *entry == "cancel").count(), 2);
}

#[test]
fn a_run_that_was_being_cancelled_when_its_process_died_gets_no_further_attempt() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start().commit_all();
    cancel(&mut play, 5_000);
    play.commit_all().crash();

    let claimed = runtime_core::engine::claim::claim(&play.view(), &play.log());

    assert_eq!(claimed.next, runtime_core::engine::claim::Next::Over);
    play.append(claimed.entries);
    let unknown = vec![key("write")];
    assert_eq!(receipt(&play), Receipt { stopped: Stopped::Dropped, unknown });
}

#[test]
fn a_reason_of_any_length_fits_into_the_log() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start().commit_all();
    let reason = "ä".repeat(100_000);
    play.machine(|machine| machine.cancel(by(), reason, Duration::ZERO));
    play.go();

    let said = play.whole_log().into_iter().find_map(|entry| match entry.kind {
        runtime_traits::EntryKind::CancelRequested(cancel) => Some(cancel.reason),
        _ => None,
    });

    assert_eq!(said.map(|said| said.len()), Some(4_096));
}
