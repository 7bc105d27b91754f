//! Rule 3: what is recorded is answered from the log; what is not waits until all of it has been given out.

use runtime_core::engine::machine::Over;
use runtime_traits::Effect;
use runtime_traits::log::{Outcome, UnknownCause};

use crate::engine::attempt::Seen;
use crate::engine::play::{Play, key, short, step};
use crate::engine::program::Node;
use crate::engine::scene::lock;

#[test]
fn a_settled_step_is_answered_from_the_log_and_not_executed_again() {
    for effect in [Effect::Pure, Effect::Repeatable, Effect::AtMostOnce] {
        let mut play = Play::of(Node::Seq(vec![step("fetch", effect), step("write", effect)]));
        play.start().commit_all().job_ends(7).commit_all();
        assert_eq!(play.executions(), 2, "the second step is under way");
        let result = play.seen()[0].clone();

        play.crash().start();

        assert_eq!(play.seen()[0], result);
        assert!(matches!(&result, Seen::Result(of, Ok(_)) if *of == key("fetch")));
        let again = u64::from(effect == Effect::Pure);
        assert_eq!(play.executions(), 2 + again, "a pure step is nowhere until it is settled");
        play.is_clean();
    }
}

#[test]
fn a_failure_of_a_step_is_a_result_and_is_replayed_like_one() {
    let mut play = Play::of(Node::Seq(vec![step("fetch", Effect::Repeatable), Node::Sleep(9)]));
    play.start().commit_all().job_ends_with(0, Err("no luck".to_owned())).commit_all();

    play.crash().start();

    assert_eq!(play.seen(), [Seen::Result(key("fetch"), Err("no luck".to_owned()))]);
    assert_eq!(play.executions(), 1);
}

#[test]
fn what_the_log_does_not_hold_begins_only_when_all_of_it_has_been_given_out() {
    // `fetch` is settled and `write` has begun; the crash comes before anything of `ask` is written.
    let branch =
        |first, second| Node::Seq(vec![step(first, Effect::Repeatable), step(second, Effect::Repeatable)]);
    let mut play = Play::of(Node::Join(vec![branch("fetch", "ask"), branch("write", "ask")]));
    play.start().commit_all().job_ends(1).job_ends(2);
    play.commit();
    let recorded = play.log().len();
    play.crash().start();

    let log = play.whole_log();
    let opened: Vec<String> = log[recorded..].iter().map(short).collect();

    let mine = ["opened b0/ask", "opened b1/ask"].map(|entry| opened.iter().any(|o| o == entry));
    assert_eq!(mine, [true, true], "{opened:?}");
    assert_eq!(play.seen().len(), 2);
    play.is_clean();
}

#[test]
fn the_loser_of_a_select_stays_pending_in_a_replay_until_it_is_dropped_again() {
    let race = Node::Race(vec![step("fetch", Effect::AtMostOnce), step("write", Effect::AtMostOnce)]);
    let mut play = Play::of(Node::Seq(vec![race, step("ask", Effect::Repeatable)]));
    play.start().commit_all().job_ends(3);
    play.commit();
    let log = play.whole_log();
    let dropped =
        log.iter().position(|entry| short(entry).ends_with(&format!("{:?}", UnknownCause::Dropped)));
    let next = log.iter().position(|entry| short(entry) == "opened ask");
    assert!(dropped.expect("it is recorded") < next.expect("the agent went on"));
    play.commit_all();
    let seen = play.seen();

    play.crash().start().commit_all();

    assert_eq!(play.executions(), 4, "three dispatches and the repetition of `ask`");
    assert_eq!(play.seen(), seen);
    let log = play.log();
    let drops = log.iter().filter(|entry| short(entry).contains("Dropped"));
    assert_eq!(drops.count(), 1, "it is dropped in the log once");
    play.job_ends(5).commit_all();
    assert_eq!(play.over(), Over::Run);
    assert!(matches!(play.outcome(), Some(Outcome::Completed(_))));
    play.is_clean();
}

#[test]
fn a_step_that_was_dropped_and_lost_before_that_was_committed_is_dropped_by_the_replay() {
    let race = Node::Race(vec![step("fetch", Effect::AtMostOnce), step("write", Effect::AtMostOnce)]);
    let mut play = Play::of(Node::Seq(vec![race, Node::Sleep(60)]));
    play.start().commit_all().job_ends(3);
    play.commit();
    assert_eq!(play.pending().len(), 2, "the drop and the timer ride with what comes next");

    play.crash().start();

    let pending = play.pending();
    assert!(pending[0].ends_with("Dropped"), "{pending:?}");
    assert!(!play.waits().iter().any(|wait| wait.starts_with("decision")), "it needs no decision");
    play.is_clean();
}

#[test]
fn a_step_dropped_before_it_began_leaves_nothing_in_the_log() {
    let limit = Node::Limit(20, Box::new(step("fetch", Effect::AtMostOnce)));
    let mut play = Play::of(limit);
    lock(&play.scene).paused = true;
    play.start().pass(30).commit_all();

    let log: Vec<String> = play.log().iter().map(short).collect();

    assert_eq!(log[2..], ["waits time timeout", "waited 3", "ended"]);
    assert_eq!(play.executions(), 0);
}
