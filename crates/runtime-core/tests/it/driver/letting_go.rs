//! Ended runs are let go cheaply, and those that wait for it are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime_core::engine::keys;
use runtime_core::{Config, RuntimeManager};
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault};
use runtime_testkit::recount::{counted, recount};
use runtime_traits::runtime::{AgentRef, CancelReceipt, RunFilter, RunRequest, Runtime};
use runtime_traits::store::{Batch, Seq, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, RunId, SessionName, Tenant};

use super::house::{House, output};

const LONG: Duration = Duration::from_secs(20);
/// The cap of these tests, as many as are let go together, and as many as may wait beyond that.
const MOST: usize = 1 + 1_024 + 4_096;

/// A house over a store that answers as a test wants, and goes by the executor's time.
fn faulty() -> (House, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    (House::over(Arc::clone(&store) as _).by_executor(), store)
}

/// Opens a runtime that keeps one ended run, with a started agent.
async fn keeping_one(house: &House, configure: impl FnOnce(&mut Config)) -> (RuntimeManager, AgentId) {
    let builder = house.builder().configure(|config| config.max_ended = Some(1)).configure(configure);
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
async fn while_too_many_ended_runs_wait_to_be_let_go_further_ones_wait_and_cancels_do_not() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house, |_| {}).await;
    let at_work = submit_in(&runtime, agent, "other", "held:gate").await;
    let queued = submit_in(&runtime, agent, "other", "x").await;
    house.world.began("gate").await;
    store.decide_by(slow);

    let mut ended = 0;
    while let Ok(ran) = tokio::time::timeout(LONG, runtime.run_agent(agent, "x")).await {
        ran.unwrap();
        ended += 1;
    }
    let cancelled = (cancel(&runtime, queued).await, cancel(&runtime, at_work).await);
    let open = runtime.status().await.unwrap().open_runs;
    store.decide_by(|_| Fault::Pass);
    store.release().await;
    tokio::time::timeout(LONG, runtime.run_agent(agent, "x")).await.expect("it goes on").unwrap();
    runtime.shutdown(LONG).await.unwrap();

    assert_eq!(ended, MOST);
    assert!(matches!(cancelled, (CancelReceipt::Cancelled(_), _)), "{cancelled:?}");
    assert_eq!(open, 0, "who went away while waiting was not accepted");
    is_as_counted(store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn runs_that_go_on_as_new_ones_wait_in_the_queue_meanwhile() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house, |_| {}).await;
    store.decide_by(slow);
    for session in ["one", "other"] {
        submit_in(&runtime, agent, session, "relay:5400").await;
    }

    // This time passes when nothing else can be done.
    tokio::time::sleep(LONG).await;
    let ended = store.scan(&keys::ended_all(&Tenant::default(), &agent), None, u32::MAX).await.unwrap().len();
    let open = runtime.runs(RunFilter { open: true, ..RunFilter::default() }).await.unwrap().items;
    let cancelled = cancel(&runtime, open[0].run).await;
    store.decide_by(|_| Fault::Pass);
    store.release().await;

    // The first of them are gone from the store, although the answer is held.
    assert!((MOST - 100..=MOST + 2).contains(&ended), "{ended}");
    assert_eq!(open.len(), 2);
    assert!(matches!(cancelled, CancelReceipt::Cancelled(_)), "{cancelled:?}");
    assert_eq!(output(&runtime, open[1].run).await, "arrived");
}

#[tokio::test(start_paused = true)]
async fn what_this_process_wrote_is_let_go_without_reading_its_log() {
    let (house, store) = faulty();
    let (runtime, agent) = keeping_one(&house, |config| config.keep_messages = 5).await;
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    store.decide_reads_by(move |log| {
        count.fetch_add(usize::from(log.path.as_bytes().starts_with(b"run/")), Ordering::Relaxed);
        ReadFault::Pass
    });

    for script in ["x", "pure:p", "held:gate", "go-on:pure/p"].into_iter().cycle().take(1_100) {
        house.world.open("gate");
        runtime.run_agent(agent, script).await.unwrap();
    }
    let mut last = submit_in(&runtime, agent, "queue", "x").await;
    for _ in 0..900 {
        last = submit_in(&runtime, agent, "queue", "x").await;
    }
    output(&runtime, last).await;
    runtime.shutdown(LONG).await.unwrap();

    let ended = store.scan(&keys::ended_all(&Tenant::default(), &agent), None, u32::MAX).await.unwrap().len();
    assert!(ended < 1_100, "{ended}");
    // Only a run that waited for its turn reads its log, when it begins: 275 went on from others.
    assert_eq!(reads.load(Ordering::Relaxed), 900 + 275);
    is_as_counted(store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_by_age_meanwhile_is_not_counted_twice() {
    let (house, store) = faulty();
    let age = Duration::from_secs(60);
    let (runtime, agent) = keeping_one(&house, |config| config.keep_runs = Some(age)).await;
    let first = runtime.run_agent(agent, "many-words").await.unwrap().run;
    let gone = async {
        while !store.read(&keys::run_log(&first), Seq::FIRST, 1).await.unwrap().entries.is_empty() {
            tokio::time::sleep(age).await;
        }
    };
    tokio::time::timeout(10 * age, gone).await.expect("it is let go by age");

    for _ in 0..1_100 {
        runtime.run_agent(agent, "x").await.unwrap();
    }
    runtime.shutdown(LONG).await.unwrap();

    assert!(store.get(&[keys::ended(&Tenant::default(), &agent, &first)]).await.unwrap()[0].is_none());
    is_as_counted(store.as_ref()).await;
}
