//! Of an agent that is deleted nothing is left: proved by reading the whole store.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agent_runtime::clock::Clock;
use agent_runtime::runtime::{AgentRef, ForkRequest, RunRequest, Runtime, RuntimeError};
use agent_runtime::store::StateStore;
use agent_runtime::{
    AgentId, AgentSpec, Builder, IdempotencyKey, MemoryStore, RuntimeManager, SessionName, UnixMillis,
};
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock};
use runtime_testkit::recount::{cells, entries, logs};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONG: Duration = Duration::from_secs(600);
/// Stands in every input, state and output of the agent.
const MARKER: &str = "zanzibar";
const NAME: &str = "quetzal";

async fn open(store: Arc<dyn StateStore>, clock: &Arc<ManualClock>) -> RuntimeManager {
    let builder = RuntimeManager::builder(store).clock(Arc::clone(clock) as _);
    let builder = builder.configure(|config| {
        config.keep_runs = Some(30 * DAY);
        config.max_ended = None;
    });
    let builder = kinds(&Gates::new()).into_iter().fold(builder, Builder::kind);
    builder.open().await.unwrap().into()
}

/// Where anything of the agent stands: in a path or in a value.
async fn traces(store: &dyn StateStore, agent: AgentId) -> Vec<String> {
    let id = agent.unique();
    let needles: [Vec<u8>; 4] = [
        id.simple().to_string().into_bytes(),
        id.as_bytes().to_vec(),
        NAME.as_bytes().to_vec(),
        MARKER.as_bytes().to_vec(),
    ];
    let is_in =
        |bytes: &[u8]| needles.iter().any(|needle| bytes.windows(needle.len()).any(|part| part == needle));
    let mut traces = Vec::new();
    for partition in store.partitions().await.unwrap() {
        for (key, value) in cells(store, partition).await {
            if is_in(key.path.as_bytes()) || is_in(&value) {
                traces.push(key.to_string());
            }
        }
        for extent in logs(store, partition).await {
            if is_in(extent.log.path.as_bytes()) {
                traces.push(extent.log.to_string());
            }
            for (seq, bytes) in entries(store, &extent.log).await {
                if is_in(&bytes) {
                    traces.push(format!("{} at {}", extent.log, seq.0));
                }
            }
        }
    }
    traces
}

/// A store with a stopped agent that did everything that leaves something.
async fn scene(clock: &Arc<ManualClock>) -> (Arc<dyn StateStore>, AgentId) {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let runtime = open(Arc::clone(&store), clock).await;
    let agent = runtime.register_spec(AgentSpec::new("remember", NAME).unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let a = AgentRef::Id(agent);
    for nth in 0..3 {
        let session = SessionName::new(format!("{NAME}-{nth}")).unwrap();
        let large = MARKER.repeat(2_000);
        for input in [MARKER, &large] {
            let key = IdempotencyKey::new(format!("{nth}-{}", input.len())).unwrap();
            let request = RunRequest::new(input).in_session(session.clone()).with_key(key);
            let run = runtime.run(&a, request).await.unwrap().run;
            let fork = runtime.fork(&run, ForkRequest { input: Some(MARKER.into()), ..Default::default() });
            let fork = fork.await.unwrap();
            runtime.join(&fork, LONG).await.unwrap();
        }
    }
    let state = runtime.save_state(agent).await.unwrap();
    runtime.stop_agent(agent).await.unwrap();
    runtime.restore_in_place(&state, &a).await.unwrap();
    runtime.delete_snapshot(&state).await.unwrap();
    // Some logs are swept, some are not.
    runtime.shutdown(LONG).await.unwrap();
    clock.advance(31 * DAY);
    let runtime = open(Arc::clone(&store), clock).await;
    settle(store.as_ref(), clock).await;
    runtime.start_agent(agent).await.unwrap();
    runtime.run(&a, RunRequest::new(MARKER)).await.unwrap();
    runtime.stop_agent(agent).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    (store, agent)
}

/// Waits until nothing more is due.
async fn settle(store: &dyn StateStore, clock: &Arc<ManualClock>) {
    let is_due = async || {
        for partition in store.partitions().await.unwrap() {
            for (key, _) in cells(store, partition).await {
                let path = key.path.to_string();
                let at = path.split("due/").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
                if at.is_some_and(|at| UnixMillis(at) <= clock.now()) {
                    return true;
                }
            }
        }
        false
    };
    let done = async {
        while is_due().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(LONG, done).await.expect("what is due is done");
}

#[tokio::test(start_paused = true)]
async fn of_a_deleted_agent_a_scan_of_the_whole_store_finds_nothing() {
    let clock = Arc::new(ManualClock::default());
    let (store, agent) = scene(&clock).await;
    let before = traces(store.as_ref(), agent).await;
    for part in ["/name/", "/msg/", "/blob/", "run/", "swept/", "/size/", "/mark/", "/state", "due/"] {
        assert!(before.iter().any(|trace| trace.contains(part)), "{part} is in the store: {before:#?}");
    }
    let runtime = open(Arc::clone(&store), &clock).await;

    runtime.unregister(&AgentRef::Id(agent)).await.unwrap();

    let left = traces(store.as_ref(), agent).await;
    let large = |trace: &String| trace.contains("/blob/");
    assert!(left.iter().all(large), "only large contents may wait for a day: {left:#?}");
    let unknown = runtime.agent(&AgentRef::Id(agent)).await.unwrap_err();
    assert!(matches!(unknown, RuntimeError::UnknownAgent { .. }));
    runtime.shutdown(LONG).await.unwrap();
    clock.advance(2 * DAY);
    let runtime = open(Arc::clone(&store), &clock).await;
    settle(store.as_ref(), &clock).await;
    assert_eq!(traces(store.as_ref(), agent).await, [""; 0]);
    runtime.shutdown(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_was_cut_off_anywhere_is_completed_by_the_next_process() {
    for cut in 0.. {
        let clock = Arc::new(ManualClock::default());
        let (store, agent) = scene(&clock).await;
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let counting = Arc::clone(&left);
        let dying: Arc<dyn StateStore> = Arc::new(FaultyStore::new(Arc::clone(&store), move |_| {
            if counting.fetch_sub(1, Ordering::SeqCst) <= 0 { Fault::TooLarge } else { Fault::Pass }
        }));
        let runtime = open(dying, &clock).await;
        runtime
            .run_status(&agent_runtime::RunId::from_parts(agent.partition(), agent.unique()))
            .await
            .unwrap_err();
        left.store(cut, Ordering::SeqCst);
        let deleted = runtime.unregister(&AgentRef::Id(agent)).await;
        drop(runtime);

        clock.advance(2 * DAY);
        let runtime = open(Arc::clone(&store), &clock).await;
        settle(store.as_ref(), &clock).await;
        let traces = traces(store.as_ref(), agent).await;
        let still_there = runtime.agent(&AgentRef::Id(agent)).await.is_ok();
        runtime.shutdown(LONG).await.unwrap();
        if still_there {
            assert!(deleted.is_err() && cut == 0, "only before the first batch nothing has begun: {cut}");
        } else {
            assert_eq!(traces, [""; 0], "cut at {cut}");
        }
        if deleted.is_ok() {
            assert!(cut > 5, "it was cut {cut} times");
            return;
        }
    }
}
