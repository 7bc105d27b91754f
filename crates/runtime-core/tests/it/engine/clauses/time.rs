//! Rule 7: time and chance are the log's.

use runtime_core::engine::claim::Next;
use runtime_core::engine::machine::Over;
use runtime_traits::Effect;
use runtime_traits::log::{AttemptEnding, FailureKind, Outcome};

use crate::engine::attempt::Seen;
use crate::engine::play::{Play, idempotent, key, short, step, step_within};
use crate::engine::program::Node;

#[test]
fn now_is_the_time_of_the_last_entry_that_was_given_out() {
    let program = Node::Seq(vec![Node::Clock, step("fetch", Effect::Repeatable), Node::Clock]);
    let mut play = Play::of(Node::Seq(vec![program, Node::Draw, Node::Mint, Node::Sleep(900)]));
    play.start();
    play.pass(10).commit_all().pass(10).job_ends(1).pass(10).commit_all();
    let times: Vec<_> = play.seen();
    assert_eq!(times[0], Seen::Now(1_000_000), "the begin");
    assert_eq!(times[2], Seen::Now(1_000_020), "when the step's end was written down");

    for _ in 0..3 {
        play.crash().pass(1_000_000).start();
        assert_eq!(play.seen()[..times.len()], times);
    }
}

#[test]
fn a_sleep_ends_at_the_same_moment_in_the_next_attempt() {
    let mut play = Play::of(Node::Sleep(500));
    play.start();
    assert_eq!(play.pending(), ["waits time sleep"], "it costs no commit of its own");
    play.machine(|machine| machine.end_attempt(AttemptEnding::Parked));
    play.commit_all().crash().pass(400).start();
    assert_eq!(play.over(), Over::No);

    play.pass(99).pass(1).commit_all();

    assert_eq!(play.over(), Over::Run);
}

#[test]
fn timers_that_are_overdue_run_out_in_the_order_of_their_moments() {
    let duel = Node::Duel(vec![Node::Sleep(300), Node::Sleep(200), Node::Sleep(100)]);
    for order in 0..6 {
        let mut play = Play::of(duel.clone());
        for _ in 0..=order {
            play.crash().start();
        }
        play.machine(|machine| machine.end_attempt(AttemptEnding::Drained));
        play.commit_all().crash().pass(5_000).start();
        assert_eq!(play.seen(), [Seen::Timer(key("sleep#3"))]);
    }
}

#[test]
fn a_timer_of_no_time_runs_out_at_once() {
    let mut play = Play::of(Node::Seq(vec![Node::Sleep(0), Node::Sleep(0)]));
    play.start().commit_all();
    assert_eq!(play.over(), Over::Run);
}

#[test]
fn a_timeout_decides_alike_in_a_replay() {
    let limit = Node::Limit(30, Box::new(step("fetch", Effect::Repeatable)));
    let mut play = Play::of(Node::Seq(vec![limit, step("write", Effect::Repeatable)]));
    play.start().commit_all().pass(30).commit_all();
    let seen = play.seen();
    assert_eq!(seen, [Seen::Timer(key("timeout"))]);

    play.crash().start();

    assert_eq!(play.seen(), seen);
    assert_eq!(play.executions(), 2, "the step that was given up does not begin again");
}

#[test]
fn a_step_fails_at_its_deadline_and_its_work_is_dropped() {
    for effect in [Effect::Pure, Effect::AtMostOnce, idempotent(1_000)] {
        let mut play = Play::of(Node::Seq(vec![step_within("fetch", effect, 40), Node::Sleep(900)]));
        play.start().commit_all().pass(39);
        assert_eq!(play.under_way(), 1);

        play.pass(1);
        assert_eq!((play.under_way(), play.seen().len()), (0, 0), "not before it is committed");
        play.commit_all();

        let failed = Seen::Result(key("fetch"), Err("its deadline passed".to_owned()));
        assert_eq!(play.seen(), std::slice::from_ref(&failed));
        play.crash().start().commit_all();
        assert_eq!((play.seen(), play.executions()), (vec![failed], 1));
    }
}

#[test]
fn a_run_fails_at_its_deadline() {
    let mut play = Play::until(step("write", Effect::AtMostOnce), Some(100));
    play.start().commit_all().pass(100).commit_all();

    let Some(Outcome::Failed(failure)) = play.outcome() else {
        unreachable!("it failed: {:?}", play.outcome())
    };
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert_eq!(play.under_way(), 0);
}

#[test]
fn a_run_that_waits_for_a_person_fails_at_its_deadline_all_the_same() {
    let mut play = Play::until(step("write", Effect::AtMostOnce), Some(100));
    play.start().commit_all().crash();
    play.start().commit_all();
    play.machine(|machine| machine.end_attempt(AttemptEnding::Parked));
    play.commit_all().crash();

    let claimed = runtime_core::engine::claim::claim(&play.view(), &play.log());
    let at = runtime_traits::UnixMillis(1_000_100);
    assert_eq!(claimed.next, Next::Wait { until: Some(at) });

    play.pass(100).start().commit_all();
    assert!(
        matches!(play.outcome(), Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Deadline)
    );
    let log: Vec<String> = play.log().iter().map(short).collect();
    assert_eq!(log[log.len() - 2..], ["started", "ended"]);
}
