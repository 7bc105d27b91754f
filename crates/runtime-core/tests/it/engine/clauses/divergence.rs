//! Rule 5: code that asks for something else than the log holds is stopped, and nothing is executed.

use runtime_core::engine::claim::Next;
use runtime_core::engine::decide::decide;
use runtime_core::engine::machine::Over;
use runtime_traits::Effect;
use runtime_traits::log::{Entry, Outcome, Phase, Verdict};

use crate::engine::life::by;
use crate::engine::perform::{Change, How};
use crate::engine::play::{Play, key, short, step};
use crate::engine::program::Node;

/// A run with two settled steps, a timer and a step under way; then its process is gone.
fn lost() -> Play {
    let program = Node::Seq(vec![
        step("fetch", Effect::Repeatable),
        step("write", Effect::AtMostOnce),
        Node::Sleep(40),
        step("sleep", Effect::Repeatable),
    ]);
    let mut play = Play::of(program);
    play.start().commit_all().job_ends(1).commit_all().job_ends(2).commit_all();
    play.pass(50).commit_all();
    assert_eq!(play.executions(), 3);
    play.crash();
    play
}

fn diverges(at: &str, how: How) -> Vec<String> {
    let mut play = lost();
    play.start_with(Some(Change { at: key(at), how })).commit_all();
    assert_eq!(play.over(), Over::Attempt, "{how:?} at {at}");
    assert_eq!(play.executions(), 3, "nothing more is executed");
    assert_eq!(play.view().phase, Phase::Parked);
    play.is_clean();
    play.waits().into_iter().filter(|wait| wait.starts_with("diverged")).collect()
}

#[test]
fn every_change_of_what_is_recorded_stops_the_run_and_shows_both_sides() {
    let told = |at, how| diverges(at, how).join("; ");

    assert_eq!(told("fetch", How::Request), "diverged: step `fetch` / `fetch` with another request");
    assert_eq!(
        told("write", How::Effect),
        "diverged: step `write` / `write` with the effect Repeatable instead of AtMostOnce"
    );
    assert_eq!(
        told("write", How::Sort),
        "diverged: step `write` / `write` with the sort Model instead of Tool"
    );
    assert_eq!(told("fetch", How::Missing), "diverged: step `write` / `write` with another request");
    assert_eq!(told("write", How::Extra), "diverged: step `write` / the code asks for nothing else");
    assert_eq!(told("write", How::End), "diverged: step `write` / the code ends here");
    assert_eq!(told("sleep", How::Request), "diverged: timer `sleep` / `sleep` with another time");
    assert_eq!(told("sleep", How::Other), "diverged: step `sleep` / `sleep` with a step instead of a timer");
    assert_eq!(told("sleep#2", How::Other), "diverged: step `sleep#2` / `sleep#2` as a timer");
}

#[test]
fn code_that_no_longer_drops_what_was_dropped_stops() {
    let both =
        || vec![step("fetch", Effect::AtMostOnce), Node::Sleep(900), step("write", Effect::AtMostOnce)];
    let then = |first| Node::Seq(vec![first, step("ask", Effect::Repeatable)]);
    for effect in [Node::Race, Node::Duel] {
        let mut play = Play::of(then(effect(both())));
        play.start().commit_all().job_ends(1).commit_all();
        assert_eq!(play.executions(), 3);
        play.crash();

        let first =
            if matches!(effect(vec![]), Node::Race(_)) { Node::Join(both()) } else { Node::Seq(both()) };
        play.program = std::sync::Arc::new(then(first));
        play.start().commit_all();

        assert_eq!((play.over(), play.executions()), (Over::Attempt, 3), "{:?}", play.waits());
        assert!(play.waits().iter().any(|wait| wait.starts_with("diverged")), "{:?}", play.waits());
    }
}

#[test]
fn another_state_set_stops_the_run() {
    let mut play = Play::of(Node::Seq(vec![
        step("fetch", Effect::Repeatable),
        Node::Keep,
        step("write", Effect::Repeatable),
    ]));
    play.start().commit_all().job_ends(1).commit_all();
    let log = play.log();
    let mut entries: Vec<Entry> = log;
    let at = entries.iter().position(|entry| short(entry) == "state").expect("the state is set");
    let runtime_traits::EntryKind::StateSet(set) = &mut entries[at].kind else {
        unreachable!("the entry sets the state")
    };
    set.value = runtime_traits::Payload::of(&runtime_traits::Content::text("0"));
    play.crash();
    crate::engine::scene::lock(&play.scene).log = entries;

    play.start().commit_all();

    assert_eq!(play.over(), Over::Attempt);
    assert_eq!(play.waits(), ["diverged: the session's state set / another state to be set"]);
}

#[test]
fn a_person_lets_a_diverged_run_replay_again_or_fail() {
    let mut play = lost();
    play.start_with(Some(Change { at: key("fetch"), how: How::Request })).commit_all();

    let (kinds, next) = decide(&play.view(), &key("any"), by(), Verdict::Fail).expect("it waits");
    assert_eq!(next, Next::Over);
    assert_eq!(kinds.len(), 2);

    assert_eq!(play.decide_parked("any", Verdict::Repeat), Next::Start);
    play.crash().start().commit_all().job_ends(4).commit_all();
    assert!(matches!(play.outcome(), Some(Outcome::Completed(_))), "{:?}", play.outcome());
}
