//! The control contract, answered by a test.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use runtime_traits::health::{HealthOverview, HealthReport};
use runtime_traits::log::{Receipt, StepKey, Stopped};
use runtime_traits::resource::{LimitsBy, LimitsChange, ResourceLimits, TenantLimits, UsageHistory};
use runtime_traits::runtime::{
    AgentStatus, CancelReceipt, Decision, ForkRequest, Joined, NodeStatus, Page, Reply, RunFilter, RunStream,
    Said, SessionStatus, SnapshotFilter, Submitted,
};
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduleView, ScheduledBy};
use runtime_traits::snapshot::{Retention, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView};
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentId, AgentRef, AgentSpec, Name, RunId, RunRequest, RunView, Runtime, RuntimeError, SessionName,
    StateId,
};

use crate::fakes::runtime::{Answer, Call, FakeRuntime, Play};

#[async_trait]
impl Runtime for FakeRuntime {
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        let spec = serde_json::to_string(&spec).expect("a spec is JSON");
        self.done(Call::Register(spec)).await?;
        Ok(self.samples().agent)
    }

    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::Unregister(agent.clone())).await
    }

    async fn set_limits(&self, agent: &AgentRef, limits: ResourceLimits) -> Result<(), RuntimeError> {
        self.done(Call::SetLimits(agent.clone(), limits)).await
    }

    async fn change_limits(&self, agent: &AgentRef, change: LimitsChange) -> Result<(), RuntimeError> {
        self.done(Call::ChangeLimits(agent.clone(), change)).await
    }

    async fn set_tenant_limits(&self, limits: ResourceLimits, by: LimitsBy) -> Result<(), RuntimeError> {
        self.done(Call::SetTenantLimits(limits, by)).await
    }

    async fn change_tenant_limits(&self, change: LimitsChange) -> Result<(), RuntimeError> {
        self.done(Call::ChangeTenantLimits(change)).await
    }

    async fn tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.done(Call::TenantLimits).await?;
        Ok(self.samples().tenant_limits())
    }

    async fn put_schedule(
        &self,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError> {
        self.done(Call::PutSchedule(agent.clone(), schedule, by)).await?;
        Ok(self.samples().schedule_view())
    }

    async fn pause_schedule(
        &self,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError> {
        self.done(Call::PauseSchedule(agent.clone(), name.clone(), paused)).await?;
        Ok(self.samples().schedule_view())
    }

    async fn delete_schedule(&self, agent: &AgentRef, name: &Name) -> Result<(), RuntimeError> {
        self.done(Call::DeleteSchedule(agent.clone(), name.clone())).await
    }

    async fn schedule(&self, agent: &AgentRef, name: &Name) -> Result<ScheduleView, RuntimeError> {
        self.done(Call::Schedule(agent.clone(), name.clone())).await?;
        Ok(self.samples().schedule_view())
    }

    async fn schedules(&self, filter: ScheduleFilter) -> Result<Page<ScheduleView>, RuntimeError> {
        self.done(Call::Schedules(filter)).await?;
        Ok(Page { items: vec![self.samples().schedule_view()], next: None })
    }

    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::Start(agent.clone())).await
    }

    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::Stop(agent.clone())).await
    }

    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::Pause(agent.clone())).await
    }

    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::Resume(agent.clone())).await
    }

    async fn submit(&self, agent: &AgentRef, request: RunRequest) -> Result<Submitted, RuntimeError> {
        let sample = Submitted { run: self.samples().run, repeated: false };
        match self.given(Call::Submit(agent.clone(), request)).await? {
            Some(Answer::Submitted(submitted)) => Ok(submitted),
            other => unless(other, sample),
        }
    }

    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        match self.given(Call::Join(*run, within)).await? {
            Some(Answer::Joined(joined)) => Ok(*joined),
            other => unless(other, Joined::Ended(self.samples().finished())),
        }
    }

    async fn stream(&self, run: &RunId, from: Seq) -> Result<RunStream, RuntimeError> {
        let items = self.samples().items(from).into_iter().map(Ok).collect();
        let sample = Play { items, stays_open: false };
        let play = match self.given(Call::Stream(*run, from)).await? {
            Some(Answer::Stream(play)) => play,
            other => unless(other, sample)?,
        };
        let items = stream::iter(play.items);
        Ok(if play.stays_open { items.chain(stream::pending()).boxed() } else { items.boxed() })
    }

    async fn cancel(
        &self,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        let sample = CancelReceipt::Cancelled(Receipt {
            stopped: Stopped::Dropped,
            unknown: vec![StepKey::first(Name::new("fetch").expect("a name"))],
        });
        match self.given(Call::Cancel(*run, reason.to_owned(), within)).await? {
            Some(Answer::Receipt(receipt)) => Ok(receipt),
            other => unless(other, sample),
        }
    }

    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError> {
        self.done(Call::Decide(*run, step.clone(), decision)).await
    }

    async fn answer(&self, run: &RunId, step: &StepKey, reply: Reply) -> Result<(), RuntimeError> {
        self.done(Call::Answer(*run, step.clone(), reply)).await
    }

    async fn requeue(&self, run: &RunId) -> Result<(), RuntimeError> {
        self.done(Call::Requeue(*run)).await
    }

    async fn fork(&self, run: &RunId, request: ForkRequest) -> Result<RunId, RuntimeError> {
        self.done(Call::Fork(*run, request)).await?;
        Ok(self.samples().run)
    }

    async fn messages(
        &self,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError> {
        let call = Call::Messages(agent.clone(), session.clone(), before.map(str::to_owned), limit);
        let sample = Page { items: self.samples().said(), next: None };
        match self.given(call).await? {
            Some(Answer::Messages(page)) => Ok(page),
            other => unless(other, sample),
        }
    }

    async fn sessions(
        &self,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError> {
        self.done(Call::Sessions(agent.clone(), after.map(str::to_owned), limit)).await?;
        Ok(Page { items: vec![self.samples().session_status()], next: None })
    }

    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError> {
        let sample = Page { items: vec![self.samples().agent_status()], next: None };
        match self.given(Call::Agents(after.map(str::to_owned), limit)).await? {
            Some(Answer::Agents(page)) => Ok(page),
            other => unless(other, sample),
        }
    }

    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        self.done(Call::Agent(agent.clone())).await?;
        Ok(self.samples().agent_status())
    }

    async fn usage_history(&self, agent: &AgentRef) -> Result<UsageHistory, RuntimeError> {
        self.done(Call::UsageHistory(agent.clone())).await?;
        Ok(self.samples().usage_history())
    }

    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError> {
        let sample = Page { items: vec![self.samples().view()], next: Some("next".to_owned()) };
        match self.given(Call::Runs(filter)).await? {
            Some(Answer::Runs(page)) => Ok(page),
            other => unless(other, sample),
        }
    }

    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        match self.given(Call::RunStatus(*run)).await? {
            Some(Answer::Run(view)) => Ok(*view),
            other => unless(other, self.samples().view()),
        }
    }

    async fn health(&self) -> Result<HealthOverview, RuntimeError> {
        match self.given(Call::Health).await? {
            Some(Answer::Health(overview)) => Ok(*overview),
            other => unless(other, HealthOverview::of(vec![self.samples().health_report()])),
        }
    }

    async fn agent_health(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError> {
        self.done(Call::AgentHealth(agent.clone())).await?;
        Ok(self.samples().health_report())
    }

    async fn status(&self) -> Result<NodeStatus, RuntimeError> {
        match self.given(Call::Status).await? {
            Some(Answer::Node(status)) => Ok(*status),
            other => unless(other, self.samples().node_status()),
        }
    }

    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        self.done(Call::SaveState(agent.clone())).await?;
        Ok(self.samples().state)
    }

    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError> {
        self.done(Call::RestoreAgent(*state, name)).await?;
        Ok(self.samples().agent)
    }

    async fn restore_in_place(&self, state: &StateId, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.done(Call::RestoreInPlace(*state, agent.clone())).await
    }

    async fn snapshots(&self, filter: SnapshotFilter) -> Result<Page<SnapshotInfo>, RuntimeError> {
        self.done(Call::Snapshots(filter)).await?;
        Ok(Page { items: vec![self.samples().snapshot_info()], next: None })
    }

    async fn snapshot(&self, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        self.done(Call::Snapshot(*state)).await?;
        Ok(self.samples().snapshot_view())
    }

    async fn diff_snapshots(&self, before: &StateId, after: &StateId) -> Result<SnapshotDiff, RuntimeError> {
        self.done(Call::DiffSnapshots(*before, *after)).await?;
        Ok(self.samples().snapshot_diff())
    }

    async fn delete_snapshot(&self, state: &StateId) -> Result<(), RuntimeError> {
        self.done(Call::DeleteSnapshot(*state)).await
    }

    async fn retain_snapshots(
        &self,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError> {
        self.done(Call::RetainSnapshots(agent.clone(), retention)).await?;
        Ok(vec![self.samples().state])
    }

    async fn export_snapshot(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        let sample = self.samples().file.chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let pieces: Vec<Result<Bytes, RuntimeError>> = match self.given(Call::ExportSnapshot(*state)).await? {
            Some(Answer::File(pieces)) => pieces,
            other => unless(other, sample)?,
        };
        Ok(stream::iter(pieces).boxed())
    }

    async fn import_snapshot(&self, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        let pieces: Vec<Bytes> = file.try_collect().await?;
        self.done(Call::ImportSnapshot(pieces.concat())).await?;
        Ok(self.samples().state)
    }

    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.done(Call::Shutdown(within)).await
    }
}

impl FakeRuntime {
    /// Writes the call down and takes the answer that was given for it.
    async fn given(&self, call: Call) -> Result<Option<Answer>, RuntimeError> {
        match self.asked(call) {
            Some(Answer::Fail(error)) => Err(error),
            Some(Answer::Panic(words)) => fall_over(words),
            Some(Answer::Never) => pending().await,
            answer => Ok(answer),
        }
    }

    async fn done(&self, call: Call) -> Result<(), RuntimeError> {
        let answer = self.given(call).await?;
        unless(answer, ())
    }
}

#[expect(clippy::panic, reason = "the test wants to see what becomes of a panic")]
fn fall_over(words: &str) -> ! {
    panic!("{words}")
}

/// The sample, unless the test gave an answer that does not fit.
fn unless<T>(answer: Option<Answer>, sample: T) -> Result<T, RuntimeError> {
    assert!(answer.is_none(), "{answer:?} answers no call of this method");
    Ok(sample)
}
