//! A long run: what its replay costs grows with its length, not with the square of it.

use std::sync::Arc;

use runtime_traits::Effect;
use runtime_traits::log::{Entry, Outcome};

use super::play::{Play, step};
use super::program::Node;
use super::scene::lock;

/// The recorded log of a run of some steps, each with a time limit.
fn recorded(steps: usize) -> (Arc<Node>, Vec<Entry>) {
    let one = |_| Node::Limit(60_000, Box::new(step("fetch", Effect::Repeatable)));
    let mut play = Play::of(Node::Seq((0..steps).map(one).collect()));
    play.start().commit_all();
    for number in 0..steps {
        play.job_ends(number as u64).commit_all();
    }
    assert!(matches!(play.outcome(), Some(Outcome::Completed(_))));
    (Arc::clone(&play.program), play.log())
}

#[test]
fn the_replay_of_a_long_run_takes_one_turn_for_each_result() {
    for steps in [100, 1_000] {
        let (program, log) = recorded(steps);
        let mut play = Play::of(Node::Clock);
        play.program = program;
        lock(&play.scene).log = log[..log.len() - 1].to_vec();

        play.start();

        let each = steps as u64 + 1;
        assert_eq!(play.turns_and_polls(), (each, each), "the first look, and one for each result");
        assert_eq!((play.executions(), play.pending()), (0, vec!["ended".to_owned()]));
    }
}
