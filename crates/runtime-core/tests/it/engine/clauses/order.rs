//! Rule 4: a result becomes ready when all before it have been given out, one at a time.

use runtime_traits::Effect;

use crate::engine::attempt::Seen;
use crate::engine::play::{Play, key, step};
use crate::engine::program::Node;

fn keys(seen: &[Seen]) -> Vec<String> {
    let of = |seen: &Seen| match seen {
        Seen::Result(key, _) | Seen::Refused(key) | Seen::Timer(key) => Some(key.to_string()),
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

fn three(around: fn(Vec<Node>) -> Node) -> Node {
    let branch = |name| Node::Seq(vec![step(name, Effect::Repeatable), step("ask", Effect::Repeatable)]);
    around(vec![branch("fetch"), branch("write"), branch("read")])
}

#[test]
fn branches_see_their_results_in_the_order_of_the_log_in_every_replay() {
    for around in [Node::Join, Node::Gather] {
        let mut play = Play::of(three(around));
        play.start().commit_all();
        let value = |number| Ok(crate::engine::scene::Value { number, pad: String::new() });
        play.job_ends_with(2, value(1)).job_ends_with(0, value(2)).job_ends_with(0, value(3));
        play.commit_all();
        let seen = keys(&play.seen());

        play.crash().start();

        assert_eq!(keys(&play.seen()), seen);
        assert_eq!(seen.len(), 3);
        play.is_clean();
    }
}

#[test]
fn the_winner_of_a_select_is_the_first_in_the_log_whatever_is_polled_first() {
    let program = Node::Race(vec![step("fetch", Effect::Pure), step("write", Effect::Pure)]);
    for first in 0..2 {
        let mut play = Play::of(Node::Seq(vec![program.clone(), Node::Sleep(60)]));
        play.start();
        let value = |number| Ok(crate::engine::scene::Value { number, pad: String::new() });
        // Both are settled before the agent sees either.
        play.job_ends_with(first, value(1)).job_ends_with(0, value(2)).commit_all();
        let seen = play.seen();
        assert_eq!(seen.len(), 1, "the agent sees one of them: {seen:?}");
        for _ in 0..8 {
            play.crash().start();
            assert_eq!(play.seen(), seen);
        }
        play.is_clean();
    }
}

#[test]
fn names_are_counted_in_the_order_of_the_code_and_not_in_that_of_the_polls() {
    // `select!` over calls of one context: polled in another order in every attempt.
    let duel = Node::Duel(vec![Node::Sleep(90), Node::Sleep(50), step("fetch", Effect::AtMostOnce)]);
    let mut play = Play::of(Node::Seq(vec![duel, step("write", Effect::Pure)]));
    play.start().commit_all();
    for _ in 0..8 {
        play.crash().start();
        let log = play.whole_log();
        let at = |name: &str| {
            let views = crate::engine::play::timers(&log);
            views.iter().find(|(of, _)| *of == key(name)).map(|(_, at)| at.0 - 1_000_000)
        };
        assert_eq!((at("sleep"), at("sleep#2")), (Some(90), Some(50)));
        assert!(!play.waits().iter().any(|wait| wait.starts_with("diverged")));
    }
    play.pass(60).commit_all();
    assert_eq!(keys(&play.seen())[0], "sleep#2");
    play.is_clean();
}
