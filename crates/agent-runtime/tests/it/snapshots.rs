//! Snapshots through the whole house: the runtime, its fence, and a process that dies in the middle.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use agent_runtime::runtime::{AgentRef, Runtime, SnapshotFilter, Want};
use agent_runtime::snapshot::Retention;
use agent_runtime::store::StateStore;
use agent_runtime::{AgentId, AgentSpec, Builder, MemoryStore, Name, RuntimeManager, StateId, Tenant};
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::{Fault, FaultyStore};

/// A runtime that hosts the testkit's kinds.
async fn open(store: Arc<dyn StateStore>) -> RuntimeManager {
    let builder = RuntimeManager::builder(store);
    let builder = kinds(&Gates::new()).into_iter().fold(builder, Builder::kind);
    builder.open().await.unwrap().into()
}

async fn remembering(runtime: &RuntimeManager) -> AgentId {
    let agent = runtime.register_spec(AgentSpec::new("remember", "scribe").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    agent
}

async fn run(runtime: &RuntimeManager, agent: AgentId, input: &str) -> String {
    runtime.run_agent(agent, input).await.unwrap().output.to_string()
}

/// A store with an agent that was saved after `one`, went on with `two`, and is stopped.
async fn scene() -> (Arc<dyn StateStore>, AgentId, StateId) {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let runtime = open(Arc::clone(&store)).await;
    let agent = remembering(&runtime).await;
    run(&runtime, agent, "one").await;
    let state = runtime.save_state(agent).await.unwrap();
    run(&runtime, agent, "two").await;
    runtime.stop_agent(agent).await.unwrap();
    runtime.shutdown(std::time::Duration::from_secs(5)).await.unwrap();
    (store, agent, state)
}

#[tokio::test]
async fn an_agent_whose_runtime_died_while_it_was_put_back_is_old_or_new_when_it_starts() {
    let mut seen = std::collections::BTreeSet::new();
    for nth in 0..12 {
        let (store, agent, state) = scene().await;
        let left = Arc::new(AtomicIsize::new(isize::MAX));
        let counting = Arc::clone(&left);
        // What is refused for good is not tried again, so that the test need not wait.
        let dying: Arc<dyn StateStore> = Arc::new(FaultyStore::new(Arc::clone(&store), move |_| {
            if counting.fetch_sub(1, Ordering::SeqCst) <= 0 { Fault::TooLarge } else { Fault::Pass }
        }));
        let runtime = open(dying).await;
        left.store(nth, Ordering::SeqCst);
        let put = runtime.restore_in_place(&state, &AgentRef::Id(agent)).await;
        drop(runtime);

        let next = open(Arc::clone(&store)).await;
        assert_eq!(next.agent(&AgentRef::Id(agent)).await.unwrap().want, Want::Stopped);
        next.start_agent(agent).await.unwrap();
        let output = run(&next, agent, "three").await;
        assert!(
            ["[\"one\",\"three\"]", "[\"one\",\"two\",\"three\"]"].contains(&&*output),
            "{nth}: {output}"
        );
        assert!(put.is_err() || output == "[\"one\",\"three\"]", "what was answered is done");
        seen.insert((put.is_ok(), output));
        if put.is_ok() {
            break;
        }
    }
    assert!(seen.len() >= 3, "it was cut off before, in the middle, and not at all: {seen:?}");
}

#[tokio::test]
async fn a_snapshot_outlives_its_agent_and_knows_its_declaration() {
    let (store, agent, state) = scene().await;
    let runtime = open(store).await;
    runtime.unregister(&AgentRef::Id(agent)).await.unwrap();

    let filter = SnapshotFilter { agent: Some(agent), ..SnapshotFilter::default() };
    let listed = runtime.snapshots(filter).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    let restored = runtime.restore_agent(&state).await.unwrap();
    assert_eq!(run(&runtime, restored, "again").await, r#"["one","again"]"#);
    let status = runtime.agent(&AgentRef::Id(restored)).await.unwrap();
    assert_eq!((status.name, status.kind), (Name::new("scribe").unwrap(), Name::new("remember").unwrap()));
}

#[tokio::test]
async fn an_agent_of_another_kind_is_not_put_back() {
    let (store, _, state) = scene().await;
    let runtime = open(store).await;
    let echo = runtime.register_spec(AgentSpec::new("echo", "echo").unwrap()).await.unwrap();

    let error = runtime.restore_in_place(&state, &AgentRef::Id(echo)).await.unwrap_err();

    assert_eq!(error.code(), "wrong-state");
    assert!(error.to_string().contains("of kind `echo`"), "{error}");
}

#[tokio::test]
async fn another_tenant_sees_and_touches_no_snapshot() {
    let (store, _, state) = scene().await;
    let runtime = open(store).await;
    let other = runtime.for_tenant(Tenant::new("acme").unwrap());

    assert!(other.snapshots(SnapshotFilter::default()).await.unwrap().items.is_empty());
    assert_eq!(other.snapshot(&state).await.unwrap_err().code(), "unknown-state");
    assert_eq!(other.delete_snapshot(&state).await.unwrap_err().code(), "unknown-state");
    assert!(runtime.snapshot(&state).await.is_ok());
    let agent = AgentRef::Name(Name::new("scribe").unwrap());
    let kept = runtime.retain_snapshots(&agent, Retention { newest: Some(1), within: None }).await;
    assert_eq!(kept, Ok(Vec::new()));
}
