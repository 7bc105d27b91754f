//! Rule 2: what becomes of a step that had begun when its process died.

use runtime_core::engine::claim::Next;
use runtime_core::engine::machine::Over;
use runtime_traits::Effect;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{AttemptEnding, Verdict};

use crate::engine::attempt::Seen;
use crate::engine::life::by;
use crate::engine::play::{Play, idempotent, key, short, step, step_within};
use crate::engine::program::Node;

/// A run whose only step is under way; then its process is gone.
fn lost(node: Node) -> Play {
    let mut play = Play::of(node);
    play.start().commit_all();
    assert_eq!(play.executions(), 1);
    play.crash();
    play
}

fn value(number: u64) -> Verdict {
    let value = format!("{{\"number\":{number},\"pad\":\"\"}}");
    let content = Content { media: runtime_traits::Media::Json, bytes: value.into() };
    Verdict::Assume(Payload::of(&content))
}

#[test]
fn a_repeatable_step_gets_its_next_try() {
    let mut play = lost(step("fetch", Effect::Repeatable));

    play.start().commit_all();

    assert_eq!(play.executions(), 2);
    let log: Vec<String> = play.log().iter().map(short).collect();
    assert_eq!(log[3..], ["unknown fetch Crash", "attempt lost", "started", "dispatched fetch 2"]);
    play.is_clean();
}

#[test]
fn an_at_most_once_step_waits_for_a_decision_in_every_attempt_and_with_one_wait() {
    let mut play = lost(step("write", Effect::AtMostOnce));

    for _ in 0..3 {
        play.start().commit_all();
        assert_eq!(play.executions(), 1);
        assert_eq!(play.waits(), ["decision write"]);
        play.crash();
    }
}

#[test]
fn a_decision_to_repeat_dispatches_once_more_and_counts_for_that_one_dispatch() {
    let mut play = lost(step("write", Effect::AtMostOnce));
    play.start().commit_all();

    assert!(play.machine(|machine| machine.decide(&key("write"), by(), Verdict::Repeat)));
    assert!(!play.machine(|machine| machine.decide(&key("write"), by(), Verdict::Repeat)), "once");
    play.go().commit_all();
    assert_eq!(play.executions(), 2);

    play.crash().start().commit_all();
    assert_eq!((play.executions(), play.waits()), (2, vec!["decision write".to_owned()]));
    play.is_clean();
}

#[test]
fn a_decision_to_repeat_survives_a_crash_before_the_dispatch() {
    let mut play = lost(step("write", Effect::AtMostOnce));
    play.start().commit_all();
    play.machine(|machine| machine.end_attempt(AttemptEnding::Parked));
    play.commit_all().crash();

    assert_eq!(play.decide_parked("write", Verdict::Repeat), Next::Start);
    play.start();
    play.crash().start().commit_all();

    assert_eq!(play.executions(), 2);
    play.is_clean();
}

#[test]
fn an_assumed_value_and_a_decided_failure_are_the_results() {
    for verdict in [value(5), Verdict::Fail] {
        let mut play = lost(step("write", Effect::AtMostOnce));
        play.start().commit_all();

        assert!(play.machine(|machine| machine.decide(&key("write"), by(), verdict.clone())));
        play.go();
        assert_eq!(play.seen(), [], "the agent sees it when it is committed");
        play.commit_all();

        assert_eq!((play.over(), play.executions()), (Over::Run, 1));
        let [Seen::Result(_, result)] = &play.seen()[..] else {
            unreachable!("the agent sees one result: {:?}", play.seen())
        };
        assert_eq!(result.is_ok(), matches!(verdict, Verdict::Assume(_)));
        play.is_clean();
    }
}

#[test]
fn a_decision_is_taken_before_the_replay_comes_to_its_step() {
    let program = Node::Seq(vec![step("fetch", Effect::Repeatable), step("write", Effect::AtMostOnce)]);
    let mut play = Play::of(program);
    play.start().commit_all().job_ends(1).commit_all().crash();
    play.start().commit_all().crash();
    let view = play.view();
    assert!(view.decision_on(&key("write")).is_some());

    // The machine of the next attempt, before its first turn.
    let next = crate::engine::life::started(play.log().len() as u64 + 1, play.now(), 4, 1);
    play.append(vec![next.kind]);
    let setting = crate::engine::attempt::Setting {
        program: play.program.clone(),
        state: None,
        order: 1,
        change: None,
    };
    let mut attempt = crate::engine::attempt::Attempt::begin(&play.scene, setting);
    let taken = {
        let mut machine = crate::engine::scene::lock(&attempt.machine);
        assert!(!machine.is_live());
        machine.decide(&key("write"), by(), Verdict::Fail)
    };
    attempt.go_on();

    assert!(taken);
    let log = attempt.log();
    assert_eq!(log.iter().filter(|entry| short(entry) == "decided write").count(), 1);
    assert!(!short(&log[log.len() - 1]).starts_with("waits"), "it does not wait once more");
}

#[test]
fn an_idempotent_step_gets_its_next_try_within_its_window() {
    let mut play = lost(step("fetch", idempotent(100)));
    play.pass(99).start().commit_all();
    assert_eq!(play.executions(), 2);

    play.crash().pass(1).start().commit_all();
    assert_eq!((play.executions(), play.waits()), (2, vec!["decision fetch".to_owned()]));

    assert!(play.machine(|machine| machine.decide(&key("fetch"), by(), Verdict::Repeat)));
    play.go().commit_all();
    assert_eq!(play.executions(), 3, "a person may know better");
    play.is_clean();
}

#[test]
fn an_idempotent_step_is_not_repeated_before_the_older_dispatch_must_have_ended() {
    let mut play = lost(step_within("fetch", idempotent(1_000), 60));

    play.start().commit_all();
    assert_eq!(play.executions(), 1);
    assert_eq!(
        play.machine(|machine| machine.wake_at()),
        Some(play.now().after(std::time::Duration::from_millis(60)))
    );
    assert!(!play.machine(|machine| machine.may_park()), "no wait in the log would wake it");

    play.pass(60).commit_all();
    assert_eq!(play.executions(), 2);
    play.is_clean();
}

#[test]
fn a_step_about_which_a_person_was_asked_waits_for_the_answer_whatever_another_clock_says() {
    let mut play = lost(step("fetch", idempotent(50)));
    play.pass(60).start().commit_all();
    assert_eq!(play.waits(), ["decision fetch"]);
    play.machine(|machine| machine.end_attempt(AttemptEnding::Drained));
    play.commit_all().crash();

    // The next owner's clock is behind.
    crate::engine::scene::lock(&play.scene).now.0 -= 40;
    play.start().commit_all();

    assert_eq!((play.executions(), play.waits()), (1, vec!["decision fetch".to_owned()]));
    play.is_clean();
}

#[test]
fn a_window_that_passes_while_the_older_dispatch_is_waited_for_has_passed() {
    let mut play = lost(step_within("fetch", idempotent(50), 60));

    play.start().commit_all().pass(60).commit_all();

    assert_eq!((play.executions(), play.waits()), (1, vec!["decision fetch".to_owned()]));
}

#[test]
fn a_window_that_passes_while_the_dispatch_is_being_committed_has_passed() {
    let mut play = lost(step("fetch", idempotent(50)));
    play.start();
    assert_eq!(play.pending(), ["dispatched fetch 2"]);

    play.pass(50).commit_all();

    assert_eq!((play.executions(), play.waits()), (1, vec!["decision fetch".to_owned()]));
    play.is_clean();
}

#[test]
fn the_idempotency_key_is_the_same_in_every_try_and_the_fence_grows() {
    // The scene compares the keys of a step's tries, and fences with the attempt's.
    let mut play = lost(step("fetch", Effect::Repeatable));
    for _ in 0..3 {
        play.start().commit_all().crash();
    }
    assert_eq!(play.executions(), 4);
    play.is_clean();
}

#[test]
fn a_step_given_up_by_its_agent_needs_no_decision() {
    let limit = Node::Limit(30, Box::new(step("write", Effect::AtMostOnce)));
    let mut play = Play::of(Node::Seq(vec![limit, step("ask", Effect::Repeatable)]));
    play.start().commit_all().pass(30).commit_all();
    assert_eq!(play.executions(), 2);

    play.crash().start().commit_all();

    assert_eq!(play.waits(), [""; 0]);
    assert_eq!(play.executions(), 3, "only `ask` begins again");
    play.is_clean();
}
