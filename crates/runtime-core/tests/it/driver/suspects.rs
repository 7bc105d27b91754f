//! What was in flight when a process died is tried before anything else begins, and poison is set aside.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_testkit::agents::{Gates, kinds};
use runtime_traits::log::{AttemptEnding, EntryKind, Outcome, Phase, WaitOn};
use runtime_traits::runtime::{
    AgentRef, CancelReceipt, Decision, ForkRequest, Joined, RunFilter, RunRequest, Runtime, RuntimeError,
    StreamItem,
};
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, AgentSpec, Entry, RunId, SessionName};

use super::house::{House, Scripted, output, submit, until_phase};

const LONG: Duration = Duration::from_secs(20);
/// Nobody is cleared by the time that tests take.
const NEVER: Duration = Duration::from_secs(3_600);

/// Opens a runtime in which nobody is cleared by time.
pub(super) async fn open(house: &House) -> RuntimeManager {
    house.builder().configure(|config| config.clear_after = NEVER).open().await.unwrap()
}

pub(super) async fn with_agent(house: &House) -> (RuntimeManager, AgentId) {
    let runtime = open(house).await;
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

fn session(name: &str) -> SessionName {
    SessionName::new(name).unwrap()
}

pub(super) async fn submit_in(runtime: &RuntimeManager, agent: AgentId, name: &str, script: &str) -> RunId {
    let request = RunRequest::new(script).in_session(session(name));
    runtime.submit(&AgentRef::Id(agent), request).await.unwrap().run
}

async fn log(runtime: &RuntimeManager, run: RunId, entries: u64) -> Vec<Entry> {
    let items = runtime.stream(&run, Seq::FIRST).await.unwrap();
    let entry = |item: Result<StreamItem, RuntimeError>| async {
        match item.unwrap() {
            StreamItem::Entry { entry, .. } => Some(*entry),
            _ => None,
        }
    };
    let count = usize::try_from(entries).unwrap();
    items.filter_map(entry).take(count).collect().await
}

pub(super) async fn kinds_of(runtime: &RuntimeManager, run: RunId) -> Vec<EntryKind> {
    let entries = runtime.run_status(&run).await.unwrap().entries;
    log(runtime, run, entries).await.into_iter().map(|entry| entry.kind).collect()
}

pub(super) async fn tried_with(runtime: &RuntimeManager, run: RunId) -> Vec<u32> {
    let started =
        |kind: EntryKind| if let EntryKind::Started(started) = kind { Some(started.suspects) } else { None };
    kinds_of(runtime, run).await.into_iter().filter_map(started).collect()
}

async fn counted(runtime: &RuntimeManager, run: RunId) -> usize {
    let counts = |kind: &EntryKind| matches!(kind, EntryKind::AttemptEnded(ended) if ended.counted);
    kinds_of(runtime, run).await.iter().filter(|kind| counts(kind)).count()
}

async fn quarantined(runtime: &RuntimeManager) -> Vec<RunId> {
    let filter = RunFilter { quarantined: true, ..RunFilter::default() };
    runtime.runs(filter).await.unwrap().items.into_iter().map(|view| view.run).collect()
}

pub(super) async fn suspects(runtime: &RuntimeManager) -> u64 {
    runtime.status().await.unwrap().suspects
}

pub(super) async fn until_suspects(runtime: &RuntimeManager, count: u64) {
    let reached = async {
        while suspects(runtime).await != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, reached).await.expect("as many suspects as there should be");
}

/// Lets processes die in which only this run is in flight, until it is set aside.
async fn until_aside(house: &House, run: RunId) -> RuntimeManager {
    for _ in 0..5 {
        let runtime = open(house).await;
        if runtime.run_status(&run).await.unwrap().is_quarantined() {
            return runtime;
        }
    }
    unreachable!("it is set aside after three deaths of it alone")
}

#[tokio::test]
async fn suspects_are_halved_death_by_death_until_one_is_alone_and_set_aside() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let mut runs = Vec::new();
    for nth in 0..4 {
        runs.push(submit_in(&first, agent, &format!("s{nth}"), &format!("held:g{nth}")).await);
        house.world.began(&format!("g{nth}")).await;
    }

    // The process dies of one that is in every half that is tried.
    let second = open(&house).await;
    let mut tried = Vec::new();
    for run in &runs {
        tried.push(tried_with(&second, *run).await);
    }
    assert_eq!(tried, vec![vec![0, 4]; 4], "all together, at first");
    let third = open(&house).await;
    let mut halves = Vec::new();
    for run in &runs {
        halves.push(tried_with(&third, *run).await.len());
    }
    halves.sort_unstable();
    assert_eq!(halves, [2, 2, 3, 3], "one half starts");
    assert_eq!(suspects(&third).await, 4);
    let mut last = third;
    for _ in 0..4 {
        last = open(&house).await;
    }
    let aside = quarantined(&last).await;
    assert_eq!(aside.len(), 1, "one was alone three times");
    assert_eq!(counted(&last, aside[0]).await, 3);
    // What is explained is forgotten: the others start together.
    for run in runs.iter().filter(|run| **run != aside[0]) {
        assert_eq!(tried_with(&last, *run).await.last(), Some(&3));
        assert_eq!(counted(&last, *run).await, 0);
    }
    let why = last.run_status(&aside[0]).await.unwrap().waits[0].on.clone();
    assert!(matches!(&why, WaitOn::Operator { why } if why.contains("3 times")), "{why:?}");
}

#[tokio::test]
async fn while_suspects_are_tried_nothing_else_begins_and_afterwards_everything_goes_on() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let held = submit_in(&first, agent, "one", "held:gate pure:end").await;
    house.world.began("gate").await;
    let queued = submit_in(&first, agent, "one", "pure:queued").await;
    let parked = submit_in(&first, agent, "two", "sleep:60 once:woke").await;
    until_phase(&first, parked, Phase::Parked).await;

    let second = open(&house).await;
    house.world.began("gate").await;
    assert_eq!(suspects(&second).await, 1, "what was parked or queued is none");
    let new = submit_in(&second, agent, "three", "pure:new").await;
    let forked = second.fork(&parked, ForkRequest::default()).await.unwrap();
    until_phase(&second, parked, Phase::Parked).await;
    let woken = second.run_status(&parked).await.unwrap().attempt;
    assert_eq!(second.run_status(&new).await.unwrap().phase, Phase::Queued, "it is accepted, and waits");
    assert_eq!(second.run_status(&queued).await.unwrap().phase, Phase::Queued);
    for what in ["new", "queued", "woke"] {
        assert_eq!(house.world.times(what), 0, "{what}");
    }
    assert_eq!(woken, 1, "its timer gives it no attempt");

    (0..2).for_each(|_| house.world.open("gate"));
    assert_eq!(output(&second, held).await, "gate! end!");
    assert_eq!(output(&second, new).await, "new!");
    assert_eq!(output(&second, queued).await, "queued!");
    assert_eq!(output(&second, parked).await, "woke!");
    assert_eq!(output(&second, forked).await, "woke!");
    assert_eq!(suspects(&second).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_lives_long_enough_is_cleared_and_its_replay_sees_the_same_time() {
    let house = House::new();
    let (first, agent) = house.with_agent().await;
    // Its first look is at the clock, and its first step asks for what it saw.
    let run = submit(&first, agent, "block:gate drawn held:end").await;
    house.world.began("gate").await;
    let second = house.open().await;
    house.world.began("gate").await;
    until_suspects(&second, 0).await;
    house.world.unblock("gate");
    house.world.began("end").await;
    assert!(kinds_of(&second, run).await.contains(&EntryKind::Cleared));

    let third = house.open().await;
    house.world.began("end").await;
    (0..3).for_each(|_| house.world.open("end"));

    assert!(output(&third, run).await.ends_with("end!"), "it did not diverge");
    assert_eq!(counted(&third, run).await, 0);
}

#[tokio::test]
async fn an_orderly_end_makes_no_suspects() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let run = submit(&first, agent, "held:gate").await;
    house.world.began("gate").await;
    first.shutdown(Duration::from_millis(10)).await.unwrap();

    let second = open(&house).await;
    house.world.began("gate").await;

    assert_eq!(suspects(&second).await, 0);
    assert_eq!(tried_with(&second, run).await, [0, 0]);
    house.world.open("gate");
    assert_eq!(output(&second, run).await, "gate!");
}

#[tokio::test]
async fn who_is_hosted_later_is_tried_then_and_nothing_else_begins_meanwhile() {
    let house = House::new();
    let builder =
        || RuntimeManager::builder(Arc::clone(&house.store)).configure(|config| config.clear_after = NEVER);
    let value = |name: &str| Scripted::new(&house.world, name.parse().unwrap());
    let first = builder().open().await.unwrap();
    let (a, b) =
        (first.register_agent(value("a")).await.unwrap(), first.register_agent(value("b")).await.unwrap());
    first.start_agent(a).await.unwrap();
    first.start_agent(b).await.unwrap();
    let run = submit(&first, a, "held:gate").await;
    house.world.began("gate").await;

    let second = builder().open().await.unwrap();
    assert_eq!(suspects(&second).await, 0, "nobody hosts it");
    second.register_agent(value("b")).await.unwrap();
    assert_eq!(second.run_agent(b, "pure:early").await.unwrap().output.to_string(), "early!");
    second.register_agent(value("a")).await.unwrap();
    house.world.began("gate").await;
    assert_eq!((suspects(&second).await, tried_with(&second, run).await), (1, vec![0, 1]));
    let late = submit(&second, b, "pure:late").await;
    assert_eq!(second.run_status(&late).await.unwrap().phase, Phase::Queued);

    (0..2).for_each(|_| house.world.open("gate"));
    assert_eq!(output(&second, run).await, "gate!");
    assert_eq!(output(&second, late).await, "late!");
}

#[tokio::test]
async fn a_run_in_quarantine_releases_its_session_and_is_requeued_into_it() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let poison = submit(&first, agent, "held:poison state:poison").await;
    house.world.began("poison").await;
    let next = submit(&first, agent, "state:next held:next").await;
    let last = submit(&first, agent, "state:last").await;

    let runtime = until_aside(&house, poison).await;
    house.world.began("next").await;
    runtime.requeue(&poison).await.unwrap();
    assert_eq!(runtime.run_status(&poison).await.unwrap().waits, [], "nobody is asked any more");
    let refused = runtime.requeue(&poison).await;
    assert!(matches!(refused, Err(RuntimeError::CannotRequeue { .. })), "it waits for its turn: {refused:?}");

    // A process that dies meanwhile leaves it where it is.
    let runtime = open(&house).await;
    house.world.began("next").await;
    (0..8).for_each(|_| house.world.open("poison"));
    (0..2).for_each(|_| house.world.open("next"));
    assert_eq!(output(&runtime, next).await, "next next!");
    assert_eq!(output(&runtime, poison).await, "poison! next,poison", "it is the next one's turn");
    assert_eq!(output(&runtime, last).await, "next,poison,last");
    let over = runtime.requeue(&poison).await;
    assert!(matches!(over, Err(RuntimeError::RunOver { .. })), "{over:?}");
}

#[tokio::test]
async fn a_requeued_run_has_three_starts_again() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let poison = submit(&first, agent, "held:poison").await;
    house.world.began("poison").await;
    let runtime = until_aside(&house, poison).await;
    runtime.requeue(&poison).await.unwrap();
    until_phase(&runtime, poison, Phase::Running).await;

    for deaths in 1..=3 {
        let next = open(&house).await;
        assert!(!next.run_status(&poison).await.unwrap().is_quarantined(), "after {deaths} deaths");
    }
    let last = open(&house).await;
    assert_eq!(quarantined(&last).await, [poison]);
    assert_eq!(counted(&last, poison).await, 6);
}

#[tokio::test]
async fn a_run_in_quarantine_is_dropped_by_cancel_and_leaves_the_conversation_alone() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let poison = submit(&first, agent, "state:poison held:poison").await;
    house.world.began("poison").await;
    let next = submit(&first, agent, "state:next held:next").await;
    let runtime = until_aside(&house, poison).await;
    house.world.began("next").await;

    let receipt = runtime.cancel(&poison, "it is poison", Duration::ZERO).await.unwrap();
    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");
    assert_eq!(quarantined(&runtime).await, []);
    house.world.open("next");
    assert_eq!(output(&runtime, next).await, "next next!");
    let after = submit(&runtime, agent, "state:after").await;
    assert_eq!(output(&runtime, after).await, "next,after", "its state is as if it had not been");
    let said = runtime.messages(&agent.into(), &SessionName::default(), None, 10).await.unwrap().items;
    assert!(said.iter().all(|said| said.run != poison), "{said:?}");
}

#[tokio::test]
async fn a_copy_of_a_run_in_quarantine_goes_on_and_has_nothing_against_it() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let poison = submit(&first, agent, "once:a held:poison").await;
    house.world.began("poison").await;
    let runtime = until_aside(&house, poison).await;
    let before = kinds_of(&runtime, poison).await;

    let copy = runtime.fork(&poison, ForkRequest::default()).await.unwrap();
    house.world.began("poison").await;
    assert_eq!(counted(&runtime, copy).await, 0);
    assert_eq!(kinds_of(&runtime, poison).await, before, "the original is as it was");
    (0..8).for_each(|_| house.world.open("poison"));
    assert_eq!(output(&runtime, copy).await, "a! poison!");
    assert_eq!(house.world.times("a"), 1);
    assert_eq!(quarantined(&runtime).await, [poison]);
}

#[tokio::test]
async fn a_decision_ends_a_quarantine_too() {
    let house = House::new();
    let (runtime, agent) = with_agent(&house).await;
    let [one, two] = ["one", "two"];
    let (again, failed) = (
        submit_in(&runtime, agent, one, "held:gate").await,
        submit_in(&runtime, agent, two, "held:gate").await,
    );
    house.world.began("gate").await;
    house.world.began("gate").await;
    for run in [again, failed] {
        runtime.quarantine(&run, "it looks bad").await.unwrap();
    }
    let step = "gate".parse().unwrap();
    let behind = submit_in(&runtime, agent, one, "held:behind").await;
    house.world.began("behind").await;

    runtime.decide(&failed, &step, Decision::Fail).await.unwrap();
    runtime.decide(&again, &step, Decision::Repeat).await.unwrap();
    assert_eq!(house.world.times("gate"), 2, "its session is busy");
    house.world.open("behind");
    assert_eq!(output(&runtime, behind).await, "behind!");
    (0..3).for_each(|_| house.world.open("gate"));
    assert_eq!(output(&runtime, again).await, "gate!");
    let ended = runtime.run_status(&failed).await.unwrap().outcome;
    assert!(matches!(ended, Some(Outcome::Failed(_))), "{ended:?}");
}

#[tokio::test]
async fn a_run_is_set_aside_from_inside_whether_it_is_worked_or_parked() {
    let house = House::new();
    let (runtime, agent) = with_agent(&house).await;
    let worked = submit_in(&runtime, agent, "one", "held:gate").await;
    house.world.began("gate").await;
    let parked = submit_in(&runtime, agent, "two", "sleep:3600000").await;
    until_phase(&runtime, parked, Phase::Parked).await;

    for run in [worked, parked] {
        runtime.quarantine(&run, "it looks bad").await.unwrap();
        runtime.quarantine(&run, "it still does").await.unwrap();
        let view = runtime.run_status(&run).await.unwrap();
        let whys =
            view.waits.iter().filter(|wait| wait.on == WaitOn::Operator { why: "it looks bad".to_owned() });
        assert_eq!(whys.count(), 1, "{:?}", view.waits);
    }
    let failed = |kind: &EntryKind| matches!(kind, EntryKind::AttemptEnded(ended) if matches!(&ended.how, AttemptEnding::Failed { error } if error == "it looks bad"));
    assert!(kinds_of(&runtime, worked).await.iter().any(failed));
    let next = submit_in(&runtime, agent, "one", "pure:next").await;
    assert_eq!(output(&runtime, next).await, "next!");
    let over = runtime.quarantine(&next, "late").await;
    assert!(matches!(over, Err(RuntimeError::RunOver { .. })), "{over:?}");
    // It is there after a restart too, and no suspect.
    let second = open(&house).await;
    assert_eq!((quarantined(&second).await.len(), suspects(&second).await), (2, 0));
}

#[tokio::test]
async fn a_run_without_which_its_conversation_went_on_is_forked_and_not_requeued() {
    let house = House::new();
    let gates = Gates::new();
    let builder = RuntimeManager::builder(Arc::clone(&house.store));
    let builder = kinds(&gates).into_iter().fold(builder, |builder, kind| builder.kind(kind));
    let runtime = builder.open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("talk", "talk").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let poison = submit(&runtime, agent, "poison").await;
    gates.arrived("poison").await;
    runtime.quarantine(&poison, "it looks bad").await.unwrap();
    gates.open("next");
    assert_eq!(runtime.run_agent(agent, "next").await.unwrap().output.to_string(), "past next");

    let refused = runtime.requeue(&poison).await;
    assert!(matches!(refused, Err(RuntimeError::CannotRequeue { .. })), "{refused:?}");
    assert_eq!(quarantined(&runtime).await, [poison]);
    let copy = runtime.fork(&poison, ForkRequest::default()).await.unwrap();
    (0..3).for_each(|_| gates.open("poison"));
    assert_eq!(output(&runtime, copy).await, "past poison");
    let receipt = runtime.cancel(&poison, "forked", Duration::ZERO).await.unwrap();
    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");
    // The conversation is whole, and goes on.
    gates.open("last");
    assert_eq!(runtime.run_agent(agent, "last").await.unwrap().output.to_string(), "past last");
    let said = runtime.messages(&agent.into(), &SessionName::default(), None, 20).await.unwrap().items;
    assert_eq!(said.len(), 8);
}

#[tokio::test]
async fn a_runtime_at_rest_takes_note_of_a_death_and_tries_nobody() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let run = submit(&first, agent, "held:gate").await;
    house.world.began("gate").await;
    let second = open(&house).await;
    house.world.began("gate").await;

    let rest = house.builder().configure(|config| config.at_rest = true).open().await.unwrap();
    assert_eq!((counted(&rest, run).await, suspects(&rest).await), (1, 0));
    assert_eq!(rest.run_status(&run).await.unwrap().phase, Phase::Parked);
    drop((second, rest));
    let last = open(&house).await;
    assert_eq!((counted(&last, run).await, suspects(&last).await), (1, 1), "it is tried by who works runs");
    (0..3).for_each(|_| house.world.open("gate"));
    let Joined::Ended(_) = last.join(&run, LONG).await.unwrap() else { unreachable!("it ends") };
}
