//! A runtime with agents that do nothing, and callers that run them.

use std::sync::Arc;

use runtime_core::RuntimeManager;
use runtime_traits::content::Content;
use runtime_traits::id::AgentId;
use runtime_traits::store::StateStore;

use super::agents::{NoopKind, noop};
use super::error::FiguresError;
use super::load::Caller;

/// Runs one agent, again and again.
#[derive(Debug)]
pub(crate) struct Runs {
    runtime: RuntimeManager,
    agent: AgentId,
    input: Content,
}

/// A runtime over `store` with `count` started agents that do nothing.
pub(crate) async fn with_agents(
    store: Arc<dyn StateStore>,
    count: u64,
) -> Result<(RuntimeManager, Vec<AgentId>), FiguresError> {
    let runtime = RuntimeManager::builder(store).kind(Arc::new(NoopKind)).open().await?;
    let mut agents = Vec::new();
    for nth in 0..count {
        let agent = runtime.register_spec(noop(nth)?).await?;
        runtime.start_agent(agent).await?;
        agents.push(agent);
    }
    Ok((runtime, agents))
}

/// A caller for each of `agents`.
pub(crate) fn callers(runtime: &RuntimeManager, agents: &[AgentId]) -> Vec<Runs> {
    let caller =
        |agent: &AgentId| Runs { runtime: runtime.clone(), agent: *agent, input: Content::text("nothing") };
    agents.iter().map(caller).collect()
}

impl Caller for Runs {
    async fn call(&mut self) -> Result<(), FiguresError> {
        self.runtime.run_agent(self.agent, self.input.clone()).await?;
        Ok(())
    }
}
