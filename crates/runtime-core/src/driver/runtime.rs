//! The control contract, by this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::agent::AgentSpec;
use runtime_traits::health::{HealthOverview, HealthReport};
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::log::{RunView, StepKey};
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::resource::{LimitsBy, LimitsChange, ResourceLimits, TenantLimits, UsageHistory};
use runtime_traits::runtime::{
    AgentRef, AgentStatus, CancelReceipt, Decision, Finished, ForkRequest, Joined, NodeStatus, Page, Reply,
    RunFilter, RunRequest, RunStream, Runtime, RuntimeError, Said, SessionStatus, SnapshotFilter, Submitted,
    Want,
};
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduleView, ScheduledBy};
use runtime_traits::snapshot::{Retention, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView};
use runtime_traits::store::Seq;

use super::cancel::caller;
use super::inner::Inner;
use super::manager::RuntimeManager;

impl RuntimeManager {
    /// Does something that is to be done wholly, whatever becomes of the caller.
    async fn whole<T, F>(&self, work: impl FnOnce(Arc<Inner>, Tenant) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.inner.whole(work(Arc::clone(&self.inner), self.tenant.clone())).await
    }

    /// The same for what has to go on while agents block their threads.
    async fn whole_at_control<T, F>(&self, work: impl FnOnce(Arc<Inner>, Tenant) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.inner.whole_at_control(work(Arc::clone(&self.inner), self.tenant.clone())).await
    }

    async fn change(
        &self,
        agent: &AgentRef,
        action: &'static str,
        change: fn(Want) -> Option<Want>,
    ) -> Result<(), RuntimeError> {
        let agent = agent.clone();
        self.whole_at_control(|inner, tenant| async move {
            let id = inner.find(&tenant, &agent).await?;
            let change = |want| {
                change(want).ok_or_else(|| RuntimeError::WrongState {
                    agent: agent.to_string(),
                    action: action.to_owned(),
                    reason: "it is stopped; start it first".to_owned(),
                })
            };
            let want = inner.set_want(&tenant, &id, change).await?;
            if want == Want::Active { inner.begin_all(&tenant, &id).await } else { Ok(()) }
        })
        .await
    }
}

#[async_trait]
impl Runtime for RuntimeManager {
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        let registered =
            self.whole(|inner, tenant| async move { inner.register(&tenant, &spec, None).await }).await;
        registered.iter().for_each(|agent| self.may_be_watched(*agent));
        registered
    }

    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let named = agent.clone();
        let id = self.inner.find(&self.tenant, agent).await.ok();
        self.whole(|inner, tenant| async move { inner.unregister(&tenant, &named).await }).await?;
        id.into_iter().for_each(|id| self.watch_no_more(id));
        Ok(())
    }

    async fn put_schedule(
        &self,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError> {
        let agent = agent.clone();
        self.whole(|inner, tenant| async move { inner.put_schedule(&tenant, &agent, schedule, by).await })
            .await
    }

    async fn pause_schedule(
        &self,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError> {
        let (agent, name) = (agent.clone(), name.clone());
        self.whole(|inner, tenant| async move { inner.pause_schedule(&tenant, &agent, &name, paused).await })
            .await
    }

    async fn delete_schedule(&self, agent: &AgentRef, name: &Name) -> Result<(), RuntimeError> {
        let (agent, name) = (agent.clone(), name.clone());
        self.whole(|inner, tenant| async move { inner.delete_schedule(&tenant, &agent, &name).await }).await
    }

    async fn schedule(&self, agent: &AgentRef, name: &Name) -> Result<ScheduleView, RuntimeError> {
        self.inner.schedule(&self.tenant, agent, name).await
    }

    async fn schedules(&self, filter: ScheduleFilter) -> Result<Page<ScheduleView>, RuntimeError> {
        self.inner.schedules(&self.tenant, filter).await
    }

    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "started", |_| Some(Want::Active)).await
    }

    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "stopped", |_| Some(Want::Stopped)).await
    }

    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "paused", |want| (want != Want::Stopped).then_some(Want::Paused)).await
    }

    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.change(agent, "resumed", |want| (want != Want::Stopped).then_some(Want::Active)).await
    }

    async fn submit(&self, agent: &AgentRef, request: RunRequest) -> Result<Submitted, RuntimeError> {
        let (slot, repeated) = self.inner.submit(&self.tenant, agent, request, false).await?;
        Ok(Submitted { run: slot.place.run, repeated })
    }

    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        self.inner.join(&self.tenant, run, within).await
    }

    async fn run(&self, agent: &AgentRef, request: RunRequest) -> Result<Finished, RuntimeError> {
        let (slot, _) = self.inner.submit(&self.tenant, agent, request, true).await?;
        let finished = self.inner.outcome(&slot).await?;
        self.inner.last_outcome(&self.tenant, finished).await.map(Arc::unwrap_or_clone)
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
        let (run, reason) = (*run, reason.to_owned());
        self.whole_at_control(
            |inner, tenant| async move { inner.cancel(&tenant, &run, &reason, within).await },
        )
        .await
    }

    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError> {
        let (run, step) = (*run, step.clone());
        self.whole_at_control(
            |inner, tenant| async move { inner.decide(&tenant, &run, &step, decision).await },
        )
        .await
    }

    async fn answer(&self, run: &RunId, step: &StepKey, reply: Reply) -> Result<(), RuntimeError> {
        let (run, step) = (*run, step.clone());
        self.whole_at_control(|inner, tenant| async move { inner.answer(&tenant, &run, &step, reply).await })
            .await
    }

    async fn requeue(&self, run: &RunId) -> Result<(), RuntimeError> {
        let run = *run;
        self.whole_at_control(|inner, tenant| async move { inner.requeue(&tenant, &run, caller()).await })
            .await
    }

    async fn fork(&self, run: &RunId, request: ForkRequest) -> Result<RunId, RuntimeError> {
        let run = *run;
        self.whole(|inner, tenant| async move { inner.fork(&tenant, &run, request).await }).await
    }

    async fn messages(
        &self,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError> {
        self.inner.messages(&self.tenant, agent, session, before, limit).await
    }

    async fn sessions(
        &self,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError> {
        self.inner.sessions(&self.tenant, agent, after, limit).await
    }

    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError> {
        self.inner.agents(&self.tenant, after, limit).await
    }

    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        self.inner.agent(&self.tenant, agent).await
    }

    async fn usage_history(&self, agent: &AgentRef) -> Result<UsageHistory, RuntimeError> {
        self.inner.usage_history(&self.tenant, agent).await
    }

    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError> {
        self.inner.runs(&self.tenant, filter).await
    }

    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        self.inner.run_status(&self.tenant, run).await
    }

    async fn set_limits(&self, agent: &AgentRef, limits: ResourceLimits) -> Result<(), RuntimeError> {
        let agent = agent.clone();
        self.whole(|inner, tenant| async move { inner.set_limits(&tenant, &agent, |_| limits).await }).await
    }

    async fn change_limits(&self, agent: &AgentRef, change: LimitsChange) -> Result<(), RuntimeError> {
        let agent = agent.clone();
        let changed = move |before| change.of(before);
        self.whole(|inner, tenant| async move { inner.set_limits(&tenant, &agent, changed).await }).await
    }

    async fn set_tenant_limits(&self, limits: ResourceLimits, by: LimitsBy) -> Result<(), RuntimeError> {
        self.whole(|inner, tenant| async move { inner.set_tenant_limits(&tenant, limits, by).await }).await
    }

    async fn change_tenant_limits(&self, change: LimitsChange) -> Result<(), RuntimeError> {
        self.whole(|inner, tenant| async move { inner.change_tenant_limits(&tenant, &change).await }).await
    }

    async fn tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.inner.tenant_limits(&self.tenant).await
    }

    async fn kept_tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.inner.kept_tenant_limits(&self.tenant).await
    }

    async fn health(&self) -> Result<HealthOverview, RuntimeError> {
        Ok(self.overview())
    }

    async fn agent_health(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError> {
        self.health_of(agent).await
    }

    async fn status(&self) -> Result<NodeStatus, RuntimeError> {
        Ok(self.watched_status())
    }

    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        self.inner.save(&self.tenant, agent).await
    }

    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError> {
        let state = *state;
        let restored =
            self.whole(|inner, tenant| async move { inner.restore(&tenant, &state, name).await }).await;
        restored.iter().for_each(|agent| self.may_be_watched(*agent));
        restored
    }

    async fn restore_in_place(&self, state: &StateId, agent: &AgentRef) -> Result<(), RuntimeError> {
        let (state, agent) = (*state, agent.clone());
        self.whole(|inner, tenant| async move { inner.restore_in_place(&tenant, &state, &agent).await }).await
    }

    async fn snapshots(&self, filter: SnapshotFilter) -> Result<Page<SnapshotInfo>, RuntimeError> {
        self.inner.list_snapshots(&self.tenant, filter).await
    }

    async fn snapshot(&self, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        self.inner.describe(&self.tenant, state).await
    }

    async fn diff_snapshots(&self, before: &StateId, after: &StateId) -> Result<SnapshotDiff, RuntimeError> {
        self.inner.diff(&self.tenant, before, after).await
    }

    async fn delete_snapshot(&self, state: &StateId) -> Result<(), RuntimeError> {
        let state = *state;
        self.whole(|inner, tenant| async move { inner.delete_snapshot(&tenant, &state).await }).await
    }

    async fn retain_snapshots(
        &self,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError> {
        let agent = agent.clone();
        self.whole(|inner, tenant| async move { inner.retain(&tenant, &agent, retention).await }).await
    }

    async fn export_snapshot(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        self.inner.export(&self.tenant, state).await
    }

    async fn import_snapshot(&self, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        self.whole(|inner, tenant| async move { inner.import(&tenant, file).await }).await
    }

    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.inner.shutdown(within).await
    }
}
