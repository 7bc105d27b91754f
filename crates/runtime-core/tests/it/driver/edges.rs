//! Moments between two moments: what a caller does while a commit is under way.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapStore};
use runtime_traits::clock::Clock;
use runtime_traits::log::{EntryKind, FailureKind, Phase};
use runtime_traits::runtime::{CancelReceipt, RunRequest, Runtime, StreamItem};
use runtime_traits::store::{Batch, StateStore, Then};
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Effect, RunId};
use tokio::task::JoinSet;

use super::house::{House, output, submit};

const LONG: Duration = Duration::from_secs(10);

fn over(store: &Arc<FaultyStore>) -> House {
    House::over(Arc::clone(store) as Arc<dyn StateStore>)
}

fn faultless() -> (Arc<MapStore>, Arc<FaultyStore>) {
    let below = Arc::new(MapStore::new());
    let store = FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass);
    (below, Arc::new(store))
}

/// Whether a batch writes or deletes a cell whose path contains `part`.
fn touches(batch: &Batch, part: &str) -> bool {
    batch.then.iter().any(|write| match write {
        Then::Put(key, _) | Then::Delete(key) => key.path.to_string().contains(part),
        _ => false,
    })
}

#[tokio::test]
async fn a_cancel_that_meets_a_parking_run_ends_it() {
    let (_, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    // All that is left to commit after the acceptance is the parking.
    let mut accepted = false;
    store.decide_by(move |_| if std::mem::replace(&mut accepted, true) { Fault::Hold } else { Fault::Pass });
    let run = submit(&runtime, agent, "sleep:1000000").await;
    store.until_held(1).await;

    let (receipt, _) = tokio::join!(runtime.cancel(&run, "enough", Duration::from_millis(200)), async {
        store.decide_by(|_| Fault::Pass);
        store.release().await
    });

    assert!(matches!(receipt.unwrap(), CancelReceipt::Cancelled(_)));
    assert_eq!(runtime.run_status(&run).await.unwrap().phase, Phase::Ended);
}

#[tokio::test]
async fn a_cancel_is_not_answered_before_it_is_recorded() {
    let (_, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "forever").await;
    store.decide_by(|_| Fault::Unavailable);

    let error = runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap_err();

    assert_eq!(error.code(), "busy");
    store.decide_by(|_| Fault::Pass);
    assert!(matches!(runtime.cancel(&run, "enough", LONG).await.unwrap(), CancelReceipt::Cancelled(_)));
}

#[tokio::test]
async fn an_agent_whose_deletion_a_crash_cut_off_is_gone_after_the_next_open() {
    let (below, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    runtime.stop_agent(agent).await.unwrap();
    store.decide_by(|batch| if touches(batch, "/name/") { Fault::Hold } else { Fault::Pass });
    let mut deleting = JoinSet::new();
    deleting.spawn({
        let runtime = runtime.clone();
        async move { runtime.unregister(&agent.into()).await }
    });
    store.until_held(1).await;

    let next = House { clock: None, store: below, world: Arc::clone(&house.world) }.open().await;
    let spec = AgentSpec::new("scripted", "a").unwrap();
    let anew = tokio::time::timeout(LONG, async {
        loop {
            match next.register_spec(spec.clone()).await {
                Ok(anew) => return anew,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });

    assert_ne!(anew.await.unwrap(), agent);
    assert_eq!(next.agent(&agent.into()).await.unwrap_err().code(), "unknown-agent");
}

#[tokio::test]
async fn an_agent_whose_deletion_failed_can_be_deleted_again() {
    let (_, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    runtime.stop_agent(agent).await.unwrap();
    store.decide_by(|batch| if touches(batch, "/name/") { Fault::Unavailable } else { Fault::Pass });
    runtime.unregister(&agent.into()).await.unwrap_err();
    store.decide_by(|_| Fault::Pass);

    runtime.unregister(&agent.into()).await.unwrap();

    assert!(runtime.agents(None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_large_output_is_kept_also_when_the_store_cannot_be_read() {
    let (_, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:a big:20000").await;
    house.world.began("a").await;
    store.fail_reads(true);
    let (sender, ended) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    store.decide_by(move |batch| {
        if touches(batch, "/ended/")
            && let Some(sender) = sender.take()
        {
            sender.send(()).unwrap();
        }
        Fault::Pass
    });
    house.world.open("a");

    tokio::time::timeout(LONG, ended).await.unwrap().unwrap();
    store.fail_reads(false);

    assert_eq!(output(&runtime, run).await.len(), 20_000 + "a! ".len());
}

#[tokio::test]
async fn who_waits_for_a_run_is_told_when_the_runtime_ends() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let (told, ended) = tokio::join!(tokio::time::timeout(LONG, runtime.run_agent(agent, "held:a")), async {
        house.world.began("a").await;
        runtime.shutdown(Duration::ZERO).await
    });

    ended.unwrap();
    let told = told.unwrap();
    assert_eq!(told.unwrap_err().code(), "shutting-down");
}

#[tokio::test]
async fn a_run_whose_turn_was_promised_is_worked_although_its_agent_was_stopped_meanwhile() {
    let (_, store) = faultless();
    let house = over(&store);
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "held:a").await;
    house.world.began("a").await;
    let second = submit(&runtime, agent, "pure:b").await;
    store.decide_by(|batch| if touches(batch, "/ended/") { Fault::HoldAnswer } else { Fault::Pass });
    house.world.open("a");
    store.until_held(1).await;

    store.decide_by(|_| Fault::Pass);
    runtime.stop_agent(agent).await.unwrap();
    store.release().await;

    assert_eq!(output(&runtime, first).await, "a!");
    assert_eq!(output(&runtime, second).await, "b!");
}

#[tokio::test]
async fn a_panic_in_a_destructor_of_an_agent_harms_only_its_run() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let request = RunRequest::new("bomb").within(Duration::from_millis(50));

    let ended = tokio::time::timeout(LONG, runtime.run(&agent.into(), request)).await.unwrap();

    assert_eq!(ended.unwrap().failure().unwrap().kind, FailureKind::Deadline);
    assert_eq!(runtime.run_agent(agent, "pure:b").await.unwrap().output.to_string(), "b!");
}

/// An agent whose step takes its time, and which sleeps after it.
#[derive(Debug)]
struct Slow(Arc<ManualClock>);

#[async_trait]
impl Agent for Slow {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("slow", "slow").unwrap()
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        let clock = &self.0;
        let work = |_| async move {
            clock.advance(Duration::from_secs(60));
            Ok(())
        };
        ctx.step("work", Effect::Pure, &(), work).await?;
        clock.advance(Duration::from_secs(7));
        Ok(Content::text("done"))
    }
}

async fn moments(runtime: &RuntimeManager, run: RunId) -> Vec<(bool, u64)> {
    use futures_util::StreamExt;
    let mut moments = Vec::new();
    let mut items = runtime.stream(&run, runtime_traits::store::Seq::FIRST).await.unwrap();
    while let Some(item) = items.next().await {
        if let StreamItem::Entry { entry, .. } = item.unwrap() {
            moments.push((matches!(entry.kind, EntryKind::StepSettled(_)), entry.at.0));
        }
    }
    moments
}

#[tokio::test]
async fn an_entry_has_the_time_at_which_it_came_to_be() {
    let clock = Arc::new(ManualClock::default());
    let builder =
        RuntimeManager::builder(Arc::new(MapStore::new())).clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let runtime = builder.open().await.unwrap();
    let agent = runtime.register_agent(Slow(Arc::clone(&clock))).await.unwrap();
    runtime.start_agent(agent).await.unwrap();

    let run = runtime.submit(&agent.into(), RunRequest::new("x")).await.unwrap().run;
    output(&runtime, run).await;

    let moments = moments(&runtime, run).await;
    let began = moments[0].1;
    let settled = moments.iter().find(|(settled, _)| *settled).unwrap().1;
    let ended = moments.last().unwrap().1;
    assert_eq!((settled - began, ended - began), (60_000, 67_000));
}
