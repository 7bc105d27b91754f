//! Trials of suspects that others have in hand, cannot be written, are paused or wait to be worked; requeueing beside a store that answers
//! late.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault, Turnstile};
use runtime_traits::log::{EntryKind, Phase};
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::{CancelReceipt, Runtime, RuntimeError};
use runtime_traits::store::{Batch, Log, StateError, StateStore, Then};
use runtime_traits::{AgentId, RunId};

use super::house::{House, meddle, output, submit, until_phase};
use super::limits::governed;
use super::suspects::{kinds_of, open, submit_in, suspects, tried_with, until_suspects, with_agent};

/// A house over a store for which a test decides what goes wrong.
fn faulty() -> (House, Arc<FaultyStore>, Arc<MapStore>) {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    (House::over(Arc::clone(&store) as Arc<dyn StateStore>), store, below)
}

fn is_of(log: &Log, run: RunId) -> bool {
    log.path.to_string() == format!("run/{}", run.unique().simple())
}

fn appends_to(batch: &Batch, run: RunId) -> bool {
    batch.then.iter().any(|then| matches!(then, Then::Append(log, _) if is_of(log, run)))
}

/// So many runs `held:g0`, `held:g1` and so on in flight, in sessions of their own.
async fn in_flight(house: &House, runtime: &RuntimeManager, agent: AgentId, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for nth in 0..count {
        runs.push(submit_in(runtime, agent, &format!("s{nth}"), &format!("held:g{nth}")).await);
        house.world.began(&format!("g{nth}")).await;
    }
    runs
}

/// Two runs in a process that tries the first of them, while the second is still to be tried.
async fn one_by_one(house: &House) -> (RuntimeManager, AgentId, [RunId; 2]) {
    let (first, agent) = with_agent(house).await;
    let runs = in_flight(house, &first, agent, 2).await;
    let second = open(house).await;
    house.world.began("g0").await;
    house.world.began("g1").await;
    drop((first, second));
    let third = open(house).await;
    house.world.began("g0").await;
    let tried = (tried_with(&third, runs[0]).await, tried_with(&third, runs[1]).await);
    assert_eq!(tried, (vec![0, 2, 1], vec![0, 2]));
    (third, agent, [runs[0], runs[1]])
}

fn open_all(house: &House, gate: &str) {
    (0..4).for_each(|_| house.world.open(gate));
}

#[tokio::test]
async fn a_requeued_run_has_no_turn_before_its_way_out_is_committed() {
    let (house, store, _) = faulty();
    let (runtime, agent) = with_agent(&house).await;
    let aside = submit(&runtime, agent, "held:aside").await;
    house.world.began("aside").await;
    runtime.quarantine(&aside, "it looks bad").await.unwrap();
    let next = submit(&runtime, agent, "held:next").await;
    house.world.began("next").await;

    let mut is_first = true;
    store.decide_by(move |batch| match appends_to(batch, aside) && std::mem::take(&mut is_first) {
        true => Fault::HoldAnswer,
        false => Fault::Pass,
    });
    let mut requeued = runtime.requeue(&aside);
    tokio::select! {
        biased;
        _ = &mut requeued => unreachable!("its answer is held"),
        () = store.until_held(1) => {}
    }
    // The run at work ends meanwhile.
    house.world.open("next");
    assert_eq!(output(&runtime, next).await, "next!");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tried_with(&runtime, aside).await, [0], "nobody knows yet whether it is let out");
    store.release().await;
    requeued.await.unwrap();

    open_all(&house, "aside");
    assert_eq!(output(&runtime, aside).await, "aside!");
    assert_eq!(tried_with(&runtime, aside).await, [0, 0]);
}

#[tokio::test]
async fn a_run_that_cannot_be_requeued_gives_its_turn_to_those_that_came_meanwhile() {
    let (house, store, below) = faulty();
    let (runtime, agent) = with_agent(&house).await;
    let aside = submit(&runtime, agent, "held:aside").await;
    house.world.began("aside").await;
    runtime.quarantine(&aside, "it looks bad").await.unwrap();

    // Somebody else writes into its log.
    let mut is_first = true;
    store.decide_reads_by(move |log| match is_of(log, aside) && std::mem::take(&mut is_first) {
        true => ReadFault::HoldAnswer,
        false => ReadFault::Pass,
    });
    store.decide_by(move |batch| match appends_to(batch, aside) {
        true => Fault::HoldAnswer,
        false => Fault::Pass,
    });
    let mut requeued = runtime.requeue(&aside);
    tokio::select! {
        biased;
        _ = &mut requeued => unreachable!("its read is held"),
        () = store.until_read_held() => {}
    }
    let log = format!("run/{}", aside.unique().simple());
    let log = Log::new(aside.partition(), log.into_bytes()).unwrap();
    meddle(below.as_ref(), 7, Then::Append(log, vec!["?".into()])).await;
    store.release_read();
    tokio::select! {
        biased;
        _ = &mut requeued => unreachable!("its answer is held"),
        () = store.until_held(1) => {}
    }
    let next = submit(&runtime, agent, "pure:next").await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.run_status(&next).await.unwrap().phase, Phase::Queued, "it is another one's turn");
    store.release().await;
    requeued.await.unwrap_err();

    assert_eq!(output(&runtime, next).await, "next!");
}

#[tokio::test]
async fn a_suspect_that_somebody_has_in_hand_when_its_trial_begins_is_tried_afterwards() {
    let (house, store, _) = faulty();
    let (runtime, _, [tried, waits]) = one_by_one(&house).await;

    // Somebody looks at it to set it aside, and then cannot.
    let mut is_first = true;
    store.decide_reads_by(move |log| match is_of(log, waits) && std::mem::take(&mut is_first) {
        true => ReadFault::HoldAnswer,
        false => ReadFault::Pass,
    });
    let mut is_first = true;
    store.decide_by(move |batch| match appends_to(batch, waits) && std::mem::take(&mut is_first) {
        true => Fault::TooLarge,
        false => Fault::Pass,
    });
    let mut setting = Box::pin(runtime.quarantine(&waits, "it looks bad"));
    tokio::select! {
        biased;
        _ = &mut setting => unreachable!("its read is held"),
        () = store.until_read_held() => {}
    }
    open_all(&house, "g0");
    assert_eq!(output(&runtime, tried).await, "g0!");
    until_suspects(&runtime, 0).await;
    store.release_read();
    setting.await.unwrap_err();

    house.world.began("g1").await;
    assert_eq!(tried_with(&runtime, waits).await, [0, 2, 1]);
}

#[tokio::test]
async fn a_suspect_that_cannot_be_written_keeps_no_other_run_from_beginning() {
    let (house, store, _) = faulty();
    let (runtime, agent, [tried, refused]) = one_by_one(&house).await;
    store.decide_by(move |batch| match appends_to(batch, refused) {
        true => Fault::TooLarge,
        false => Fault::Pass,
    });

    open_all(&house, "g0");
    assert_eq!(output(&runtime, tried).await, "g0!");
    until_suspects(&runtime, 0).await;
    let left = runtime.join(&refused, Duration::ZERO).await;
    assert!(matches!(left, Err(RuntimeError::Store(StateError::TooLarge { .. }))), "{left:?}");
    let new = submit_in(&runtime, agent, "new", "pure:new").await;
    assert_eq!(output(&runtime, new).await, "new!");
}

#[tokio::test]
async fn before_anybody_is_tried_it_is_written_of_all_others_that_they_are_not_at_work() {
    let (house, store, _) = faulty();
    let (first, agent) = with_agent(&house).await;
    let runs = in_flight(&house, &first, agent, 6).await;
    let second = open(&house).await;
    for nth in 0..6 {
        house.world.began(&format!("g{nth}")).await;
    }
    drop((first, second));

    let appended = Arc::new(Mutex::new(Vec::new()));
    let (seen, all) = (Arc::clone(&appended), runs.clone());
    store.decide_by(move |batch| {
        seen.lock().unwrap().extend(all.iter().copied().filter(|run| appends_to(batch, *run)));
        Fault::Pass
    });
    let third = open(&house).await;
    let mut tried = Vec::new();
    for run in runs {
        if tried_with(&third, run).await.len() == 3 {
            tried.push(run);
        }
    }
    assert_eq!(tried.len(), 3);
    let mut firsts: Vec<RunId> = Vec::new();
    for run in appended.lock().unwrap().iter() {
        if !firsts.contains(run) {
            firsts.push(*run);
        }
    }
    assert_eq!(firsts.len(), 6);
    assert!(firsts[..3].iter().all(|run| !tried.contains(run)), "who is tried is started last");
}

#[tokio::test]
async fn a_suspect_whose_agent_is_paused_holds_nobody_up_and_is_not_cleared_by_that() {
    let house = House::new();
    let (first, agent, other) = house.with_two().await;
    let run = submit(&first, agent, "held:gate").await;
    house.world.began("gate").await;
    first.pause_agent(agent).await.unwrap();

    let second = house.open().await;
    until_suspects(&second, 0).await;
    assert_eq!(second.run_agent(other, "pure:other").await.unwrap().output.to_string(), "other!");
    second.resume_agent(agent).await.unwrap();
    open_all(&house, "gate");
    assert_eq!(output(&second, run).await, "gate!");
    assert_eq!(tried_with(&second, run).await, [0, 1]);
    assert!(!kinds_of(&second, run).await.contains(&EntryKind::Cleared), "it did nothing");
}

#[tokio::test]
async fn a_suspect_that_waits_is_cleared_by_that_at_once() {
    let house = House::new();
    let never = Duration::from_secs(3_600);
    let builder = || {
        house.builder().configure(|config| {
            (config.clear_after, config.park_after) = (never, never);
        })
    };
    let (first, agent, other) = house.with_two().await;
    drop(first);
    let first = builder().open().await.unwrap();
    let run = submit(&first, agent, "sleep:3600000").await;
    drop(first);

    let second = builder().open().await.unwrap();
    until_suspects(&second, 0).await;
    assert_eq!(tried_with(&second, run).await, [0, 1]);
    assert_eq!(second.run_agent(other, "pure:other").await.unwrap().output.to_string(), "other!");
}

#[tokio::test]
async fn a_suspect_that_waits_to_be_worked_holds_nobody_up_and_is_not_cleared_by_that() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    turnstile.at_once(2);
    let limits = ResourceLimits { max_concurrent_requests: Some(2), ..ResourceLimits::default() };
    let (first, agent) = governed(&house, &turnstile, limits).await;
    let runs = in_flight(&house, &first, agent, 2).await;

    let turnstile = Turnstile::default();
    turnstile.at_once(1);
    let second = house.builder().governor(Arc::new(turnstile.clone())).open().await.unwrap();
    until_suspects(&second, 0).await;
    turnstile.at_once(1);
    let mut cleared = 0;
    for (nth, run) in runs.into_iter().enumerate() {
        open_all(&house, &format!("g{nth}"));
        assert_eq!(output(&second, run).await, format!("g{nth}!"));
        assert_eq!(tried_with(&second, run).await, [0, 2]);
        cleared += u32::from(kinds_of(&second, run).await.contains(&EntryKind::Cleared));
    }
    assert_eq!(cleared, 1, "the other one did nothing");
}

#[tokio::test]
async fn a_suspect_that_is_ended_or_set_aside_before_its_turn_is_none_any_more() {
    let house = House::new();
    let (first, agent) = with_agent(&house).await;
    let runs = in_flight(&house, &first, agent, 6).await;
    let second = open(&house).await;
    for nth in 0..6 {
        house.world.began(&format!("g{nth}")).await;
    }
    drop((first, second));
    let third = open(&house).await;
    let mut waiting = Vec::new();
    for run in runs {
        if tried_with(&third, run).await.len() == 2 {
            until_phase(&third, run, Phase::Parked).await;
            waiting.push(run);
        }
    }
    assert_eq!((waiting.len(), suspects(&third).await), (3, 6));

    let receipt = third.cancel(&waiting[0], "enough", Duration::ZERO).await.unwrap();
    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");
    third.quarantine(&waiting[1], "it looks bad").await.unwrap();
    assert_eq!(suspects(&third).await, 4);
    (0..6).for_each(|nth| open_all(&house, &format!("g{nth}")));
    assert_eq!(output(&third, waiting[2]).await.len(), 3);
    assert_eq!(tried_with(&third, waiting[2]).await, [0, 6, 1], "it is tried without them");
    assert!(third.run_status(&waiting[1]).await.unwrap().is_quarantined());
}
