//! Agents that run agents.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::{Arc, OnceLock};

use agent_runtime::{Agent, AgentError, AgentRef, AgentSpec, Content, Ctx, RunRequest, RuntimeManager};
use async_trait::async_trait;

/// An agent that asks itself, so many times deep.
#[derive(Debug, Default)]
struct Deep {
    runtime: Arc<OnceLock<RuntimeManager>>,
}

#[async_trait]
impl Agent for Deep {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("deep", "deep").unwrap()
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        let left: u32 = input.as_text()?.parse()?;
        if left == 0 {
            return Ok(Content::text("the bottom"));
        }
        let runtime = self.runtime.get().unwrap();
        let session = format!("level-{left}").parse().unwrap();
        let request = RunRequest::new((left - 1).to_string()).in_session(session);
        let name: AgentRef = "deep".parse().unwrap();
        Ok(runtime
            .run_agent(name, request)
            .await
            .map_err(|error| AgentError::says(error.to_string()))?
            .output)
    }
}

#[tokio::test]
async fn an_agent_that_runs_agents_takes_no_more_of_a_stack() {
    let runtime = RuntimeManager::new().await.unwrap();
    let deep = Deep::default();
    deep.runtime.set(runtime.clone()).unwrap();
    let agent = runtime.register_agent(deep).await.unwrap();
    runtime.start_agent(agent).await.unwrap();

    let answer = runtime.run_agent(agent, "3000").await.unwrap();

    assert_eq!(answer.output.to_string(), "the bottom");
}
