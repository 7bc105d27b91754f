//! Rule 9: what a commit costs and holds.

use runtime_core::engine::batches::{Place, Writes, closed_timers, open_timers};
use runtime_core::engine::machine::{MAX_ENTRIES, Over};
use runtime_traits::log::{AttemptEnding, Entry, EntryKind, FailureKind, Outcome};
use runtime_traits::store::Then;
use runtime_traits::{Effect, SessionName, Tenant};

use crate::engine::attempt::{agent, run};
use crate::engine::play::{Play, short, step};
use crate::engine::program::{Node, Step};
use crate::engine::scene::lock;

fn shorts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(short).collect()
}

#[test]
fn a_step_begins_when_its_dispatch_is_committed_and_not_before() {
    for effect in [Effect::Repeatable, Effect::AtMostOnce] {
        let mut play = Play::of(step("write", effect));
        play.start();
        assert_eq!(play.executions(), 0);
        assert_eq!(shorts(&play.commit()), ["opened write"]);
        assert_eq!(play.executions(), 1);

        play.job_ends(1);
        assert_eq!(play.seen(), [], "the agent sees the result when it is committed");
        assert_eq!(shorts(&play.commit()), ["settled write"]);
        assert_eq!(play.seen().len(), 1);
        assert_eq!(shorts(&play.commit()), ["ended"]);
        play.is_clean();
    }
}

#[test]
fn a_pure_step_costs_one_commit_and_a_run_without_steps_none_before_its_end() {
    let mut play = Play::of(step("fetch", Effect::Pure));
    play.start().job_ends(1);
    assert_eq!(shorts(&play.commit()), ["settled fetch"]);
    assert_eq!(shorts(&play.commit()), ["ended"]);

    let mut play = Play::of(Node::Seq(vec![Node::Keep, Node::Clock]));
    play.start();
    assert_eq!(shorts(&play.commit()), ["state", "ended"]);
}

#[test]
fn what_causes_nothing_outside_rides_in_the_next_batch() {
    let limit = Node::Limit(900, Box::new(step("fetch", Effect::Repeatable)));
    let mut play = Play::of(Node::Seq(vec![limit, Node::Keep, step("write", Effect::Repeatable)]));
    play.start();
    // The limit is polled after its work, so that its timer is asked for after the step.
    assert_eq!(shorts(&play.commit()), ["opened fetch", "waits time timeout"]);
    play.job_ends(1);
    assert_eq!(shorts(&play.commit()), ["settled fetch"]);
    assert_eq!(shorts(&play.commit()), ["waited 4", "state", "opened write"]);
}

#[test]
fn a_step_whose_attempt_is_over_before_it_begins_does_not_begin() {
    let mut play = Play::of(step("write", Effect::AtMostOnce));
    play.start();
    let batch = play.machine(|machine| machine.take_batch()).expect("the step is to begin");
    assert!(lock(&play.scene).apply(&batch.entries, &[]));
    let now = play.now();
    play.machine(|machine| {
        machine.committed();
        assert!(machine.turn(now), "it may begin");
        machine.end_attempt(AttemptEnding::Drained);
    });

    play.go();

    assert_eq!(play.executions(), 0);
}

#[test]
fn nothing_is_sent_while_a_commit_is_under_way() {
    let both = Node::Join(vec![step("fetch", Effect::Pure), step("write", Effect::Pure)]);
    let mut play = Play::of(both);
    play.start().job_ends(1);
    let first = play.machine(|machine| machine.take_batch()).expect("the result is to be committed");
    play.job_ends(2);

    assert!(play.machine(|machine| machine.take_batch()).is_none());
    play.machine(|machine| machine.committed());

    let second = play.machine(|machine| machine.take_batch()).expect("the other one is");
    assert_eq!(first.entries.len() + second.entries.len(), 2);
}

#[test]
fn what_does_not_fit_into_the_log_is_written_before_the_batch_that_names_it() {
    let large = Step {
        name: "fetch",
        effect: Effect::Repeatable,
        within: None,
        instant: false,
        large: true,
        strict: false,
    };
    let mut play = Play::of(Node::Seq(vec![Node::Step(large), Node::Sleep(500)]));
    play.start();
    let batch = play.machine(|machine| machine.take_batch()).expect("the step is to begin");
    assert_eq!(batch.blobs.len(), 1);
    let named = matches!(&batch.entries[0].kind, EntryKind::StepOpened(opened)
        if matches!(opened.request, runtime_traits::Payload::Blob { hash, .. } if hash == batch.blobs[0].digest()));
    assert!(named, "{:?}", batch.entries);
}

#[test]
fn every_batch_fits_into_a_store() {
    let branches = |count, node: fn(u64) -> Node| Node::Join((0..count).map(node).collect());
    let states = Node::Seq((0..300).flat_map(|_| [Node::Keep, Node::Sleep(0)]).collect());
    let timers = Node::Limit(1, Box::new(branches(300, |at| Node::Sleep(5_000 + at))));
    let elapsed = branches(300, |_| Node::Sleep(1));
    for program in [states, timers, elapsed, branches(300, |at| Node::Sleep(90_000 + at))] {
        let mut play = Play::of(Node::Seq(vec![program, step("fetch", Effect::Repeatable)]));
        play.start();
        for _ in 0..40 {
            let batch = play.commit();
            fits(&batch, &play.log());
            play.pass(1);
        }
        let within = std::time::Duration::ZERO;
        play.machine(|machine| machine.cancel(crate::engine::life::by(), "enough".to_owned(), within));
        play.pass(1);
        while play.outcome().is_none() {
            let batch = play.commit();
            fits(&batch, &play.log());
        }
        play.is_clean();
    }
}

/// Whether a batch with the cells that ride along is within the limits of the store contract.
fn fits(batch: &[Entry], log: &[Entry]) {
    let place =
        Place { tenant: Tenant::default(), agent: agent(), session: SessionName::default(), run: run() };
    let mut writes = Writes::append(&place, batch);
    writes.undue(&place.run, closed_timers(log, batch));
    if let Some(EntryKind::Ended(_)) = batch.last().map(|entry| &entry.kind) {
        writes.undue(&place.run, open_timers(log));
        // What rides with the end is about a dozen writes, and three payloads.
        let room = 16;
        assert!(writes.then.iter().map(Then::count).sum::<usize>() + room <= 256);
    }
    let (count, size) = (
        writes.then.iter().map(Then::count).sum::<usize>(),
        writes.then.iter().map(Then::size).sum::<usize>(),
    );
    assert!(count <= 256 && size <= 1024 * 1024, "{count} writes, {size} bytes");
}

#[test]
fn a_log_has_an_end_for_timers_too() {
    let nap = || Node::Seq((0..100).map(|_| Node::Sleep(0)).collect());
    let naps = Node::Seq((0..60).map(|_| nap()).collect());
    let mut play = Play::of(Node::Seq(vec![step("fetch", Effect::AtMostOnce), naps]));
    play.start().commit_all().job_ends(1).commit_all();

    assert_eq!(play.over(), Over::Run);
    assert!(matches!(play.outcome(), Some(Outcome::Failed(failure)) if failure.kind == FailureKind::LogFull));
    assert!(play.log().len() <= MAX_ENTRIES);
}

#[test]
fn a_failure_of_any_length_fits_into_the_log() {
    let mut play = Play::of(step("fetch", Effect::Pure));
    play.start().job_ends_with(0, Err("no luck ".repeat(100_000))).commit_all();

    let Some(EntryKind::StepSettled(settled)) = play.log().into_iter().nth(2).map(|entry| entry.kind) else {
        unreachable!("the step is settled: {:?}", play.log())
    };
    assert_eq!(settled.result.map_err(|failure| failure.message.len()), Err(4_096));
}
