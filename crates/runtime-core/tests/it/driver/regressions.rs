//! What a careless caller or an unlucky moment once broke.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault};
use runtime_traits::log::{FailureKind, Outcome, Phase};
use runtime_traits::runtime::{
    AgentRef, CancelReceipt, Joined, Readiness, RunFilter, RunRequest, Runtime, SessionPolicy, Want,
};
use runtime_traits::store::StateStore;
use tokio_util::task::TaskTracker;

use super::house::{House, output, submit, until_phase};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_run_with_hundreds_of_steps_under_way_is_claimed_in_pieces() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "many:400").await;
    house.world.began("last").await;

    let next = house.open().await;
    house.world.began("last").await;
    let view = next.run_status(&run).await.unwrap();

    assert_eq!(view.steps.len(), 400);
    assert_eq!(view.attempt, 2);
    let receipt = next.cancel(&run, "enough", Duration::ZERO).await.unwrap();
    assert!(matches!(receipt, CancelReceipt::Cancelled(receipt) if receipt.unknown.len() == 400));
}

#[tokio::test]
async fn a_change_is_made_wholly_also_when_its_caller_goes_away() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "sleep:1000000").await;
    until_phase(&runtime, run, Phase::Parked).await;
    store.decide_by(|_| Fault::Hold);
    assert!(runtime.stop_agent(agent).now_or_never().is_none());
    store.until_held(1).await;
    assert!(runtime.cancel(&run, "enough", LONG).now_or_never().is_none());
    store.decide_by(|_| Fault::Pass);

    store.release().await;
    let joined = tokio::time::timeout(LONG, async {
        loop {
            store.release().await;
            if let Joined::Ended(finished) = runtime.join(&run, Duration::from_millis(10)).await.unwrap() {
                return finished;
            }
        }
    });
    let finished = joined.await.unwrap();

    assert!(matches!(finished.outcome, Outcome::Cancelled(_)));
    assert_eq!(runtime.agent(&agent.into()).await.unwrap().want, Want::Stopped);
    assert_eq!(runtime.run_agent(agent, "x").await.unwrap_err().code(), "not-started");
}

#[tokio::test]
async fn a_run_that_ends_while_runs_are_listed_is_listed_once() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:door").await;
    house.world.began("door").await;
    let mut open_runs = true;
    store.decide_scans_by(move |_| match std::mem::take(&mut open_runs) {
        true => ReadFault::HoldAnswer,
        false => ReadFault::Pass,
    });

    let listing = TaskTracker::new().spawn({
        let runtime = runtime.clone();
        let filter = RunFilter { agent: Some(agent), ..RunFilter::default() };
        async move { runtime.runs(filter).await.unwrap().items }
    });
    store.until_read_held().await;
    house.world.open("door");
    until_phase(&runtime, run, Phase::Ended).await;
    store.release_read();

    let listed: Vec<_> = listing.await.unwrap().iter().map(|view| view.run).collect();
    assert_eq!(listed, [run]);
}

#[tokio::test]
async fn a_cancel_with_a_very_long_reason_is_a_cancel() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "sleep:1000000").await;
    until_phase(&runtime, run, Phase::Parked).await;

    let receipt = runtime.cancel(&run, &"x".repeat(2 << 20), LONG).await.unwrap();

    assert!(matches!(receipt, CancelReceipt::Cancelled(_)));
}

#[tokio::test]
async fn a_submission_whose_fate_was_unknown_is_not_refused_while_it_may_have_landed() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, agent) = house.with_agent().await;
    let mut count = 0;
    store.decide_by(move |_| {
        count += 1;
        match count {
            1 => Fault::UnknownAfter,
            2..=9 => Fault::Unavailable,
            _ => Fault::Pass,
        }
    });

    let run = submit(&runtime, agent, "once:a").await;

    assert_eq!(output(&runtime, run).await, "a!");
    assert_eq!(house.world.times("a"), 1);
}

#[tokio::test]
async fn a_queued_run_fails_at_its_deadline_whatever_its_session_waits_for() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "sleep:1000000").await;
    until_phase(&runtime, first, Phase::Parked).await;
    let request = RunRequest::new("x").when_busy(SessionPolicy::Enqueue).within(Duration::from_millis(50));

    let finished = runtime.run(&AgentRef::Id(agent), request).await.unwrap();

    assert_eq!(finished.failure().unwrap().kind, FailureKind::Deadline);
}

#[tokio::test]
async fn a_cancelled_run_leaves_the_state_that_it_had_set_parked_or_not() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let parked = submit(&runtime, agent, "state:kept once:a sleep:1000000").await;
    until_phase(&runtime, parked, Phase::Parked).await;

    runtime.cancel(&parked, "enough", LONG).await.unwrap();

    assert_eq!(runtime.run_agent(agent, "state:more").await.unwrap().output.to_string(), "kept,more");
}

#[tokio::test]
async fn a_runtime_whose_store_takes_nothing_says_so_and_only_then() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:a").await;
    house.world.began("a").await;
    let readiness = async || runtime.status().await.unwrap().readiness;
    assert_eq!(readiness().await, Readiness::Ready);

    store.decide_by(|_| Fault::Unavailable);
    house.world.open("a");
    let away = tokio::time::timeout(LONG, async {
        loop {
            match readiness().await {
                Readiness::StoreFailed(why) => return why,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    assert!(away.await.unwrap().contains("not available"));

    store.decide_by(|_| Fault::Pass);
    assert_eq!(output(&runtime, run).await, "a!");
    assert_eq!(readiness().await, Readiness::Ready);
}
