//! A damaged counter in a store on disk keeps no run from its end, and is named.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::prelude::*;
use agent_runtime::resource::ResourceLimits;
use agent_runtime::runtime::{Joined, Readiness};
use agent_runtime::store::{Batch, BatchId, Durability, Key, StateStore, Then};
use agent_runtime::{RuntimeManager, ScriptedModel, Turn, open_store};

const LONG: Duration = Duration::from_secs(20);

async fn opened(store: &Arc<dyn StateStore>, limits: ResourceLimits) -> (RuntimeManager, AgentId) {
    let runtime: RuntimeManager = RuntimeManager::builder(Arc::clone(store)).open().await.unwrap().into();
    let turns: Vec<Turn> = (0..3).map(|_| Turn::from("It is 42.").used(5, 2)).collect();
    let model = ScriptedModel::in_order("counted", turns);
    let agent = LlmAgent::new("counted", model).max_tokens(100).build().unwrap();
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.set_limits(&agent.into(), limits).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

/// Overwrites all cells of an agent in which something is counted.
async fn overwrite(store: &dyn StateStore, agent: AgentId) -> usize {
    let partition = agent.partition();
    let cells = store.scan(&Key::all(partition), None, 1_000).await.unwrap();
    let is_counter = |key: &&Key| {
        let path = key.to_string();
        path.contains("/usage/") || path.contains("/size/")
    };
    let then: Vec<Then> = cells
        .iter()
        .map(|(key, _)| key)
        .filter(is_counter)
        .map(|key| Then::Put(key.clone(), "no number".into()))
        .collect();
    let damaged = then.len();
    let batch =
        Batch { id: BatchId(1), partition, fence: None, when: vec![], then, durability: Durability::Process };
    store.commit(batch).await.unwrap();
    damaged
}

#[tokio::test]
async fn a_run_ends_over_a_store_whose_counters_somebody_overwrote_and_limits_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&format!("redb:{}", folder.path().join("a.redb").display())).await.unwrap();
    let (runtime, agent) = opened(&store, ResourceLimits::default()).await;
    runtime.run_agent(agent, "one").await.unwrap();
    assert!(overwrite(store.as_ref(), agent).await >= 8);

    let run = runtime.submit(&agent.into(), "two".into()).await.unwrap().run;
    let joined = runtime.join(&run, LONG).await.unwrap();

    assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");
    let status = runtime.agent(&agent.into()).await.unwrap();
    assert!(status.damage.as_ref().is_some_and(|damage| damage.contains("/usage/")), "{status:?}");
    assert!(status.stored.bytes > 100, "bytes are counted anew: {:?}", status.stored);
    assert_eq!(runtime.status().await.unwrap().readiness, Readiness::Ready);
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    // The next process does not know what was used: nothing that is limited goes through.
    let limits = ResourceLimits { max_tokens_total: Some(1_000_000), ..ResourceLimits::default() };
    let (runtime, agent) = opened(&store, limits).await;
    let refused = runtime.run_agent(agent, "three").await.unwrap_err().to_string();
    assert!(refused.contains("/usage/") && refused.contains("state verify"), "{refused}");
    runtime.shutdown(LONG).await.unwrap();
}
