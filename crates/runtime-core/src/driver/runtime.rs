//! The control contract, by this process.

use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::agent::AgentSpec;
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::log::{RunView, StepKey};
use runtime_traits::name::Name;
use runtime_traits::runtime::{
    AgentRef, AgentStatus, CancelReceipt, Decision, Finished, Joined, NodeStatus, Page, RunFilter,
    RunRequest, RunStream, Runtime, RuntimeError, Submitted, Want,
};
use runtime_traits::store::Seq;

use super::list::outcome;
use super::manager::RuntimeManager;

impl RuntimeManager {
    async fn change(
        &self,
        agent: &AgentRef,
        action: &str,
        change: impl Fn(Want) -> Option<Want>,
    ) -> Result<AgentId, RuntimeError> {
        let id = self.inner.find(&self.tenant, agent).await?;
        let change = |want| {
            change(want).ok_or_else(|| RuntimeError::WrongState {
                agent: agent.to_string(),
                action: action.to_owned(),
                reason: "it is stopped; start it first".to_owned(),
            })
        };
        self.inner.set_want(&self.tenant, &id, change).await?;
        Ok(id)
    }
}

#[async_trait]
impl Runtime for RuntimeManager {
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        self.inner.register(&self.tenant, &spec, None).await
    }

    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.inner.unregister(&self.tenant, agent).await
    }

    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let id = self.change(agent, "started", |_| Some(Want::Active)).await?;
        self.inner.begin_all(&self.tenant, &id).await
    }

    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "stopped", |_| Some(Want::Stopped)).await.map(drop)
    }

    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "paused", |want| (want != Want::Stopped).then_some(Want::Paused)).await.map(drop)
    }

    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let id =
            self.change(agent, "resumed", |want| (want != Want::Stopped).then_some(Want::Active)).await?;
        self.inner.begin_all(&self.tenant, &id).await
    }

    async fn submit(&self, agent: &AgentRef, request: RunRequest) -> Result<Submitted, RuntimeError> {
        let (slot, repeated) = self.inner.submit(&self.tenant, agent, request).await?;
        Ok(Submitted { run: slot.place.run, repeated })
    }

    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        self.inner.join(&self.tenant, run, within).await
    }

    async fn run(&self, agent: &AgentRef, request: RunRequest) -> Result<Finished, RuntimeError> {
        let (slot, _) = self.inner.submit(&self.tenant, agent, request).await?;
        outcome(&slot).await.map(|finished| (*finished).clone())
    }

    async fn stream(&self, run: &RunId, from: Seq) -> Result<RunStream, RuntimeError> {
        self.inner.stream(&self.tenant, run, from).await
    }

    async fn cancel(
        &self,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        self.inner.cancel(&self.tenant, run, reason, within).await
    }

    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError> {
        self.inner.decide(&self.tenant, run, step, decision).await
    }

    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError> {
        self.inner.agents(&self.tenant, after, limit).await
    }

    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        self.inner.agent(&self.tenant, agent).await
    }

    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError> {
        self.inner.runs(&self.tenant, filter).await
    }

    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        self.inner.tenant_log(&self.tenant, run).await.map(|(_, view)| view)
    }

    async fn status(&self) -> Result<NodeStatus, RuntimeError> {
        Ok(self.inner.node_status())
    }

    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        self.inner.save(&self.tenant, agent).await
    }

    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError> {
        self.inner.restore(&self.tenant, state, name).await
    }

    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.inner.shutdown(within).await
    }
}
