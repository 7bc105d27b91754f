//! Ended runs that wait to be let go are bounded.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault};
use runtime_testkit::recount::{counted, recount};
use runtime_traits::log::Phase;
use runtime_traits::runtime::{AgentRef, CancelReceipt, ForkRequest, RunRequest, Runtime};
use runtime_traits::store::{Batch, Log, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, RunId, RuntimeError, SessionName};

use super::house::{House, output, until_phase};

const LONG: Duration = Duration::from_secs(20);
/// The cap of these tests, as many as are let go together, and as many as may wait beyond that.
const MOST: usize = 1 + 1_024 + 4_096;

/// As many are let go by one batch.
const GROUP: usize = 33;

/// A house over a store that answers as a test wants, and goes by the executor's time.
fn faulty() -> (House, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    (House::over(Arc::clone(&store) as _).by_executor(), store)
}

/// Opens a runtime that keeps one ended run, with a started agent.
async fn keeping_one(house: &House) -> (RuntimeManager, AgentId) {
    let builder = house.builder().configure(|config| config.max_ended = Some(1));
    let runtime = builder.open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

/// Holds the answer of whatever lets runs go.
fn slow(batch: &Batch) -> Fault {
    let lets_go = batch.then.iter().any(|write| matches!(write, Then::Drop(_)));
    if lets_go { Fault::HoldAnswer } else { Fault::Pass }
}

async fn submit_in(runtime: &RuntimeManager, agent: AgentId, session: &str, script: &str) -> RunId {
    let request = RunRequest::new(script).in_session(SessionName::new(session).unwrap());
    runtime.submit(&AgentRef::Id(agent), request).await.unwrap().run
}

async fn is_as_counted(store: &dyn StateStore) {
    assert_eq!(counted(store).await, recount(store).await);
}

/// Cancels what nothing keeps from ending.
async fn cancel(runtime: &RuntimeManager, run: RunId) -> CancelReceipt {
    let cancelled = runtime.cancel(&run, "the test says so", Duration::ZERO);
    tokio::time::timeout(Duration::from_secs(1), cancelled).await.expect("cancels do not wait").unwrap()
}

#[tokio::test(start_paused = true)]
async fn while_too_many_ended_runs_wait_to_be_let_go_further_ones_are_refused_and_cancels_are_not() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    let at_work = submit_in(&runtime, agent, "other", "held:gate").await;
    let queued = submit_in(&runtime, agent, "other", "x").await;
    house.world.began("gate").await;
    store.decide_by(slow);

    let mut ended = 0;
    let refused = loop {
        match tokio::time::timeout(LONG / 4, runtime.run_agent(agent, "x")).await.expect("nobody waits long")
        {
            Ok(_) => ended += 1,
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(&refused, RuntimeError::Busy { limit, retry_after, .. }
            if *limit == MOST as u64 && *retry_after == Duration::from_secs(1)),
        "{refused}"
    );
    let cancelled = (cancel(&runtime, queued).await, cancel(&runtime, at_work).await);
    let open = runtime.status().await.unwrap().open_runs;
    store.decide_by(|_| Fault::Pass);
    store.release().await;
    tokio::time::timeout(LONG, runtime.run_agent(agent, "x")).await.expect("it goes on").unwrap();
    runtime.shutdown(LONG).await.unwrap();

    assert_eq!(ended, MOST);
    assert!(matches!(cancelled, (CancelReceipt::Cancelled(_), _)), "{cancelled:?}");
    assert_eq!(open, 0, "who was refused was not accepted");
    is_as_counted(store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_one_asks_for_waits_until_ended_ones_are_let_go_and_is_not_refused() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    let b = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
    runtime.start_agent(b).await.unwrap();
    let parent = submit_in(&runtime, agent, "other", "held:gate call:b/once:asked").await;
    house.world.began("gate").await;
    store.decide_by(slow);
    while !matches!(runtime.run_agent(agent, "x").await, Err(RuntimeError::Busy { .. })) {}

    house.world.open("gate");
    until_phase(&runtime, parent, Phase::Waiting).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(house.world.times("asked"), 0, "it waits");
    let other =
        runtime.fork(&parent, ForkRequest { input: Some("x".into()), ..ForkRequest::default() }).await;
    assert!(matches!(other, Err(RuntimeError::Busy { .. })), "{other:?}");
    store.decide_by(|_| Fault::Pass);
    store.release().await;

    assert_eq!(output(&runtime, parent).await, "gate! [asked!]");
}

#[tokio::test(start_paused = true)]
async fn who_waits_until_ended_runs_are_let_go_goes_on_with_the_first_that_are() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    store.decide_by(slow);
    while runtime.run_agent(agent, "x").await.is_ok() {}

    // The first group is let go, and the next is held again.
    let waits = runtime.run_agent(agent, "x");
    let released = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        store.release().await;
    };
    let (ran, ()) = tokio::join!(waits, released);

    assert!(ran.is_ok(), "{ran:?}");
    store.decide_by(|_| Fault::Pass);
    store.release().await;
    runtime.shutdown(LONG).await.unwrap();
    is_as_counted(store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn who_waited_too_long_and_finds_room_is_not_refused() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    store.decide_by(slow);
    while runtime.run_agent(agent, "x").await.is_ok() {}
    let mut waiting: Vec<_> = (0..16).map(|_| Box::pin(runtime.run_agent(agent, "x"))).collect();
    for waits in &mut waiting {
        assert!(poll!(waits).is_pending());
    }

    // Nobody asks them meanwhile, as on a machine that is busy with something else.
    store.decide_by(|_| Fault::Pass);
    store.release().await;
    tokio::time::sleep(LONG).await;

    for waits in waiting {
        assert!(waits.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn who_came_first_goes_on_first_when_some_are_let_go() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    store.decide_by(slow);
    while runtime.run_agent(agent, "x").await.is_ok() {}
    let mut waiting: Vec<_> = (0..2 * GROUP).map(|_| Box::pin(runtime.run_agent(agent, "x"))).collect();
    for waits in &mut waiting {
        assert!(poll!(waits).is_pending());
    }

    // One group is let go, and the next is held again. Whoever came last asks first.
    store.release().await;
    let in_time = waiting.into_iter().rev().map(|waits| tokio::time::timeout(LONG / 40, waits));
    let went_on: Vec<bool> = join_all(in_time).await.into_iter().rev().map(|ran| ran.is_ok()).collect();

    let came_first: Vec<bool> = (0..2 * GROUP).map(|nth| nth < GROUP).collect();
    assert_eq!(went_on, came_first);
}

#[tokio::test(start_paused = true)]
async fn ended_runs_that_could_not_be_let_go_for_a_while_are_let_go_later() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house).await;
    let first = submit_in(&runtime, agent, "default", "x").await;
    // Whoever lets a run go looks first how long its log is.
    let is_of_a_run = |log: &Log| log.path.as_bytes().starts_with(b"run/");
    store.decide_reads_by(move |log| if is_of_a_run(log) { ReadFault::Unavailable } else { ReadFault::Pass });
    for _ in 0..1_100 {
        runtime.run_agent(agent, "x").await.unwrap();
    }
    tokio::time::sleep(LONG).await;
    store.decide_reads_by(|_| ReadFault::Pass);
    assert!(runtime.run_status(&first).await.is_ok(), "it could not be let go");

    runtime.run_agent(agent, "x").await.unwrap();
    tokio::time::sleep(LONG).await;

    let gone = runtime.run_status(&first).await;
    assert!(matches!(gone, Err(RuntimeError::UnknownRun { .. })), "{gone:?}");
}
