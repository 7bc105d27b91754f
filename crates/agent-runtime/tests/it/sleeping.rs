//! A run that sleeps gives the place at work to others, and has it again when its time has come.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::log::Phase;
use agent_runtime::prelude::*;
use agent_runtime::resource::ResourceLimits;
use agent_runtime::resources::ResourceManager;
use agent_runtime::runtime::{Joined, SessionPolicy};
use agent_runtime::store::Seq;
use agent_runtime::{AgentSpec, MemoryStore};
use async_trait::async_trait;
use futures_util::StreamExt;

const LONG: Duration = Duration::from_secs(20);

/// Sleeps as many milliseconds as it is told.
#[derive(Debug)]
struct Sleeper;

#[async_trait]
impl Agent for Sleeper {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("sleeper", "sleeper").unwrap()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        ctx.sleep(Duration::from_millis(input.as_text()?.parse()?)).await;
        Ok(input)
    }
}

async fn sleeping(limits: ResourceLimits, sessions: [&str; 2]) {
    let builder =
        RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(ResourceManager::default()));
    let runtime: RuntimeManager =
        builder.configure(|config| config.park_after = Duration::from_millis(5)).open().await.unwrap().into();
    let agent = runtime.register_agent(Sleeper).await.unwrap();
    runtime.set_limits(&agent.into(), limits).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let submit = async |session: &str, ms: &str| {
        let request = RunRequest::new(ms).when_busy(SessionPolicy::Enqueue);
        let request = request.in_session(SessionName::new(session).unwrap());
        runtime.submit(&agent.into(), request).await.unwrap().run
    };
    let first = submit(sessions[0], "200").await;
    let mut entries = runtime.stream(&first, Seq::FIRST).await.unwrap();
    while runtime.run_status(&first).await.unwrap().phase != Phase::Parked {
        entries.next().await.expect("it sleeps before it ends").unwrap();
    }
    let second = submit(sessions[1], "250").await;
    for run in [first, second] {
        let joined = runtime.join(&run, LONG).await;
        assert!(
            matches!(joined, Ok(Joined::Ended(_))),
            "{joined:?}: {:?}",
            runtime.agent(&agent.into()).await.unwrap().usage
        );
    }
    let third = submit("three", "1").await;
    assert!(matches!(runtime.join(&third, LONG).await, Ok(Joined::Ended(_))));
}

#[tokio::test]
async fn whoever_queues_behind_a_run_that_sleeps_has_its_turn() {
    let limits =
        ResourceLimits { max_concurrent_requests: Some(1), max_queued: Some(1), ..ResourceLimits::default() };
    sleeping(limits, ["one", "one"]).await;
}

#[tokio::test]
async fn a_run_that_sleeps_keeps_no_other_session_from_work() {
    let limits =
        ResourceLimits { max_concurrent_requests: Some(1), max_queued: Some(1), ..ResourceLimits::default() };
    sleeping(limits, ["one", "two"]).await;
}
