//! Pausing and parking.

use runtime_traits::Effect;
use runtime_traits::log::AttemptEnding;

use crate::engine::play::{Play, step};
use crate::engine::program::Node;
use crate::engine::scene::lock;

fn pause(play: &mut Play, paused: bool) {
    lock(&play.scene).paused = paused;
    play.machine(|machine| machine.pause(paused));
    play.go();
}

#[test]
fn no_step_begins_in_a_pause_and_all_do_after_it() {
    let both = |first| Node::Join(vec![step(first, Effect::Pure), step("write", Effect::AtMostOnce)]);
    let mut play = Play::of(Node::Seq(vec![step("fetch", Effect::Repeatable), both("ask")]));
    play.start().commit_all();
    pause(&mut play, true);
    play.job_ends(1).commit_all();
    assert_eq!((play.executions(), play.pending().len()), (1, 0));

    pause(&mut play, false);
    play.commit_all();
    assert_eq!(play.executions(), 3);
    play.is_clean();
}

#[test]
fn a_lost_step_is_not_repeated_in_a_pause() {
    let mut play = Play::of(step("fetch", Effect::Repeatable));
    play.start().commit_all().crash();
    lock(&play.scene).paused = true;
    play.start().commit_all();
    assert_eq!(play.executions(), 1);

    pause(&mut play, false);
    play.commit_all();
    assert_eq!(play.executions(), 2);
}

#[test]
fn a_step_may_be_decided_about_in_a_pause() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start().commit_all().crash();
    lock(&play.scene).paused = true;
    play.start().commit_all();

    assert_eq!(play.waits(), ["decision write"]);
    assert!(play.machine(|machine| machine.may_park()));
}

#[test]
fn a_run_parks_for_what_its_log_waits_for_and_for_nothing_else() {
    let mut play = Play::of(Node::Join(vec![Node::Sleep(500), step("fetch", Effect::Repeatable)]));
    play.start().commit_all();
    assert!(!play.machine(|machine| machine.may_park()), "a step is under way");
    play.job_ends(1);
    assert!(!play.machine(|machine| machine.may_park()), "its end is not committed");
    play.commit_all();
    assert!(play.machine(|machine| machine.may_park()), "a timer is left");

    let mut play = Play::of(step("fetch", Effect::Repeatable));
    lock(&play.scene).paused = true;
    play.start().commit_all();
    assert!(!play.machine(|machine| machine.may_park()), "the end of a pause is not in the log");
}

#[test]
fn a_run_that_a_pause_holds_is_drained_at_once_and_one_that_works_is_not() {
    let nodes = [step("fetch", Effect::Repeatable), step("fetch", Effect::Pure)];
    for node in nodes {
        let mut play = Play::of(node);
        lock(&play.scene).paused = true;
        play.start().commit_all();
        assert_eq!(play.machine(|machine| machine.may_drain()), Some(AttemptEnding::Drained));
        play.machine(|machine| machine.pause(false));
        assert_eq!(play.machine(|machine| machine.may_drain()), None, "it may begin");
    }

    let mut play = Play::of(Node::Join(vec![step("fetch", Effect::Repeatable), Node::Sleep(500)]));
    play.start().commit_all();
    play.machine(|machine| machine.pause(true));
    assert_eq!(play.machine(|machine| machine.may_drain()), None, "a step is under way");
    play.job_ends(1);
    assert_eq!(play.machine(|machine| machine.may_drain()), None, "its end is not committed");
    play.commit_all();
    assert_eq!(play.machine(|machine| machine.may_drain()), Some(AttemptEnding::Parked), "a timer is left");

    let mut play = Play::of(step("fetch", Effect::Repeatable));
    play.start().commit_all().crash();
    lock(&play.scene).paused = true;
    play.start().commit_all();
    let held = play.machine(|machine| machine.may_drain());
    assert_eq!(held, Some(AttemptEnding::Drained), "its next try is held as well");
}

#[test]
fn parking_writes_down_what_had_not_been_worth_a_commit() {
    let mut play = Play::of(Node::Seq(vec![Node::Keep, Node::Sleep(500), Node::Recall]));
    play.start();
    assert_eq!(play.commit().len(), 0, "nothing outside depends on it");
    play.machine(|machine| machine.end_attempt(AttemptEnding::Parked));

    assert_eq!(play.pending(), ["state", "waits time sleep", "attempt parked"]);
    assert_eq!(play.commit().len(), 3);
}
