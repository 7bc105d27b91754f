//! Runtimes that each break one clause of the contract: what shows that the suite can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use runtime_traits::health::{HealthOverview, HealthReport};
use runtime_traits::log::{Phase, Receipt, StepKey, Stopped};
use runtime_traits::resource::{LimitsBy, LimitsChange, TenantLimits, UsageHistory};
use runtime_traits::runtime::{
    AgentStatus, CancelReceipt, Decision, ForkRequest, Joined, NodeStatus, Page, Reply, RunFilter, RunStream,
    Said, SessionPolicy, SessionStatus, SnapshotFilter, StreamItem, Submitted, Want,
};
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduleView, ScheduledBy, Timing};
use runtime_traits::snapshot::{Retention, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView};
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentId, AgentRef, AgentSpec, Name, ResourceLimits, RunId, RunRequest, RunView, Runtime, RuntimeError,
    SessionName, StateId,
};

/// What a [`WrongRuntime`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A changed spec of a known agent is dropped.
    ForgetsChanges,
    /// A run of an agent that was never started starts it.
    StartsByItself,
    /// The twelfth run is promised and lost.
    LosesRuns,
    /// Idempotency keys are dropped.
    ForgetsKeys,
    /// A third open run of a session goes elsewhere.
    BranchesOff,
    /// Runs are never rejected.
    NeverRejects,
    /// Streams leave the second entry out.
    SkipsAnEntry,
    /// Previews are shown twice.
    ShowsTwice,
    /// Running runs are said to be cancelled, and go on.
    CancelsNothing,
    /// Stopping cancels what has not begun.
    StopsTheQueue,
    /// Pausing pauses nothing.
    PausesNothing,
    /// A restored agent is a new one.
    RestoresNothing,
    /// An agent is said to be put back, and is left as it is.
    PutsBackNothing,
    /// An agent that is started is stopped to be put back.
    PutsBackAnyTime,
    /// Snapshots are not listed.
    ListsNoSnapshots,
    /// Differences are told the wrong way round.
    TellsTheOpposite,
    /// A file is said to be taken in, and is not.
    ImportsNothing,
    /// Whoever answers too late is told that all is well.
    AnswersTwice,
    /// Consent to one call is taken for another.
    ConsentsToAll,
    /// What takes the place of a run forgets it.
    InterruptForgets,
    /// What takes the place of a run keeps it.
    RollbackKeeps,
    /// An answer is a run of its own.
    AnswerQueues,
    /// A forked run ends.
    ForkEnds,
    /// Runs in quarantine are not listed.
    HidesPoison,
    /// Any run is said to be let out of quarantine.
    RequeuesAll,
    /// What all agents may use together is said to be set, and is not.
    ForgetsTenantLimits,
    /// What has no known price is told to have cost nothing.
    PricesTheUnknown,
    /// Schedules that fire again and again are said to be kept, and are not.
    ForgetsSchedules,
    /// A schedule is said to be paused, and is not.
    PausesNoSchedule,
    /// An unknown run is said to be over.
    HidesTheUnknown,
}

/// A runtime that is right but for its flaw.
#[derive(Debug)]
pub struct WrongRuntime {
    right: Arc<dyn Runtime>,
    flaw: Flaw,
    submitted: AtomicU32,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    started: BTreeSet<AgentId>,
    specs: BTreeMap<AgentId, AgentSpec>,
    saved: BTreeMap<StateId, AgentId>,
}

impl Flaw {
    /// Every flaw with the clause that it breaks.
    pub const ALL: [(Self, &'static str); 30] = [
        (Self::ForgetsChanges, "one-agent-per-name"),
        (Self::StartsByItself, "not-started-is-refused"),
        (Self::LosesRuns, "accepted-is-kept"),
        (Self::ForgetsKeys, "same-key-same-run"),
        (Self::BranchesOff, "sessions-in-order"),
        (Self::NeverRejects, "rejected-when-busy"),
        (Self::SkipsAnEntry, "stream-is-the-log"),
        (Self::ShowsTwice, "late-viewers-catch-up"),
        (Self::CancelsNothing, "cancel-answers-in-time"),
        (Self::StopsTheQueue, "stop-drains"),
        (Self::PausesNothing, "pause-holds-steps"),
        (Self::RestoresNothing, "restored-remembers"),
        (Self::PutsBackNothing, "in-place-is-the-saved-one"),
        (Self::PutsBackAnyTime, "in-place-when-stopped"),
        (Self::ListsNoSnapshots, "snapshots-are-listed"),
        (Self::TellsTheOpposite, "diff-says-what-changed"),
        (Self::ImportsNothing, "file-restores-elsewhere"),
        (Self::AnswersTwice, "answered-once"),
        (Self::ConsentsToAll, "consent-is-for-one-call"),
        (Self::InterruptForgets, "interrupt-keeps"),
        (Self::RollbackKeeps, "rollback-forgets"),
        (Self::AnswerQueues, "answer-is-given"),
        (Self::ForkEnds, "fork-leaves-the-original"),
        (Self::HidesPoison, "poison-is-set-aside"),
        (Self::RequeuesAll, "requeued-by-a-person"),
        (Self::ForgetsTenantLimits, "tenant-limits-are-kept"),
        (Self::PricesTheUnknown, "usage-is-in-its-time"),
        (Self::ForgetsSchedules, "schedules-are-kept"),
        (Self::PausesNoSchedule, "a-tick-fires-once"),
        (Self::HidesTheUnknown, "unknown-is-said"),
    ];
}

impl WrongRuntime {
    /// `right`, with a flaw.
    pub fn new(right: Arc<dyn Runtime>, flaw: Flaw) -> Self {
        Self { right, flaw, submitted: AtomicU32::new(0), seen: Mutex::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn id_of(&self, agent: &AgentRef) -> Result<AgentId, RuntimeError> {
        Ok(self.right.agent(agent).await?.id)
    }

    /// The open runs of an agent, oldest first.
    async fn open_runs(&self, agent: &AgentRef) -> Result<Vec<RunView>, RuntimeError> {
        let agent = Some(self.id_of(agent).await?);
        let filter = RunFilter { agent, open: true, ..RunFilter::default() };
        Ok(self.right.runs(filter).await?.items)
    }

    async fn start_by_itself(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let id = self.id_of(agent).await?;
        let was_started = self.seen().started.contains(&id);
        if was_started {
            return Ok(());
        }
        self.right.start(agent).await
    }

    async fn branch_off(&self, agent: &AgentRef, request: &mut RunRequest) -> Result<(), RuntimeError> {
        let open = self.open_runs(agent).await?;
        let before = open.iter().filter(|run| run.session == request.session).count();
        if before >= 2 {
            request.session = SessionName::new(format!("branch-{before}"))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Runtime for WrongRuntime {
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        let known = AgentRef::Name(spec.name.clone());
        if self.has(Flaw::ForgetsChanges)
            && let Ok(status) = self.right.agent(&known).await
            && status.kind == spec.kind
        {
            return Ok(status.id);
        }
        let agent = self.right.register(spec.clone()).await?;
        self.seen().specs.insert(agent, spec);
        Ok(agent)
    }

    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.right.unregister(agent).await
    }

    async fn set_limits(&self, agent: &AgentRef, limits: ResourceLimits) -> Result<(), RuntimeError> {
        self.right.set_limits(agent, limits).await
    }

    async fn change_limits(&self, agent: &AgentRef, change: LimitsChange) -> Result<(), RuntimeError> {
        self.right.change_limits(agent, change).await
    }

    async fn set_tenant_limits(&self, limits: ResourceLimits, by: LimitsBy) -> Result<(), RuntimeError> {
        if self.has(Flaw::ForgetsTenantLimits) {
            return Ok(());
        }
        self.right.set_tenant_limits(limits, by).await
    }

    async fn change_tenant_limits(&self, change: LimitsChange) -> Result<(), RuntimeError> {
        self.right.change_tenant_limits(change).await
    }

    async fn tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.right.tenant_limits().await
    }

    async fn put_schedule(
        &self,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError> {
        let view = self.right.put_schedule(agent, schedule, by).await?;
        if self.has(Flaw::ForgetsSchedules) && !matches!(view.schedule.timing, Timing::Once { .. }) {
            self.right.delete_schedule(agent, &view.schedule.name).await?;
        }
        Ok(view)
    }

    async fn pause_schedule(
        &self,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError> {
        if self.has(Flaw::PausesNoSchedule) {
            let view = self.right.schedule(agent, name).await?;
            return Ok(ScheduleView { paused, ..view });
        }
        self.right.pause_schedule(agent, name, paused).await
    }

    async fn delete_schedule(&self, agent: &AgentRef, name: &Name) -> Result<(), RuntimeError> {
        self.right.delete_schedule(agent, name).await
    }

    async fn schedule(&self, agent: &AgentRef, name: &Name) -> Result<ScheduleView, RuntimeError> {
        self.right.schedule(agent, name).await
    }

    async fn schedules(&self, filter: ScheduleFilter) -> Result<Page<ScheduleView>, RuntimeError> {
        self.right.schedules(filter).await
    }

    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.right.start(agent).await?;
        let id = self.id_of(agent).await?;
        self.seen().started.insert(id);
        Ok(())
    }

    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.right.stop(agent).await?;
        if self.has(Flaw::StopsTheQueue) {
            for run in self.open_runs(agent).await? {
                if run.phase == Phase::Queued {
                    self.right.cancel(&run.run, "stopped", Duration::ZERO).await?;
                }
            }
        }
        Ok(())
    }

    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let status = self.right.agent(agent).await?;
        if self.has(Flaw::PausesNothing) && self.seen().started.contains(&status.id) {
            return Ok(());
        }
        self.right.pause(agent).await
    }

    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.right.resume(agent).await
    }

    async fn submit(&self, agent: &AgentRef, mut request: RunRequest) -> Result<Submitted, RuntimeError> {
        match self.flaw {
            Flaw::StartsByItself => self.start_by_itself(agent).await?,
            Flaw::ForgetsKeys => request.idempotency_key = None,
            Flaw::BranchesOff => self.branch_off(agent, &mut request).await?,
            Flaw::NeverRejects if request.policy == Some(SessionPolicy::Reject) => {
                request.policy = Some(SessionPolicy::Enqueue);
            }
            Flaw::InterruptForgets if request.policy == Some(SessionPolicy::Interrupt) => {
                request.policy = Some(SessionPolicy::Rollback);
            }
            Flaw::RollbackKeeps if request.policy == Some(SessionPolicy::Rollback) => {
                request.policy = Some(SessionPolicy::Interrupt);
            }
            Flaw::AnswerQueues if request.policy == Some(SessionPolicy::Answer) => {
                request.policy = Some(SessionPolicy::Enqueue);
            }
            Flaw::LosesRuns if self.submitted.fetch_add(1, Ordering::Relaxed) == 11 => {
                let id = self.id_of(agent).await?;
                let run = RunId::from_parts(id.partition(), id.unique());
                return Ok(Submitted { run, repeated: false });
            }
            _ => {}
        }
        self.right.submit(agent, request).await
    }

    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        self.right.join(run, within).await
    }

    async fn stream(&self, run: &RunId, from: Seq) -> Result<RunStream, RuntimeError> {
        let items = self.right.stream(run, from).await?;
        let times: fn(&StreamItem) -> usize = match self.flaw {
            Flaw::SkipsAnEntry => |item| match item {
                StreamItem::Entry { entry, .. } if entry.seq == Seq(2) => 0,
                _ => 1,
            },
            Flaw::ShowsTwice => |item| if matches!(item, StreamItem::Preview { .. }) { 2 } else { 1 },
            _ => return Ok(items),
        };
        let repeated = items.flat_map(move |item| {
            let times = item.as_ref().map_or(1, times);
            stream::iter(std::iter::repeat_n(item, times))
        });
        Ok(repeated.boxed())
    }

    async fn cancel(
        &self,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        let phase = self.right.run_status(run).await?.phase;
        if self.has(Flaw::CancelsNothing) && !matches!(phase, Phase::Ended | Phase::Queued) {
            let receipt = Receipt { stopped: Stopped::Complete, unknown: Vec::new() };
            return Ok(CancelReceipt::Cancelled(receipt));
        }
        self.right.cancel(run, reason, within).await
    }

    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError> {
        self.right.decide(run, step, decision).await
    }

    async fn answer(&self, run: &RunId, step: &StepKey, reply: Reply) -> Result<(), RuntimeError> {
        let reply = match reply {
            Reply::Approve { .. } if self.has(Flaw::ConsentsToAll) => {
                let view = self.right.run_status(run).await?;
                let wait = view.waits.iter().find(|wait| wait.on.step() == Some(step));
                wait.map_or(reply, |wait| Reply::Approve { digest: wait.digest })
            }
            reply => reply,
        };
        match self.right.answer(run, step, reply).await {
            Err(RuntimeError::RunOver { .. }) if self.has(Flaw::AnswersTwice) => Ok(()),
            answered => answered,
        }
    }

    async fn requeue(&self, run: &RunId) -> Result<(), RuntimeError> {
        match self.right.requeue(run).await {
            Err(RuntimeError::CannotRequeue { .. }) if self.has(Flaw::RequeuesAll) => Ok(()),
            requeued => requeued,
        }
    }

    async fn fork(&self, run: &RunId, request: ForkRequest) -> Result<RunId, RuntimeError> {
        let fork = self.right.fork(run, request).await?;
        if self.has(Flaw::ForkEnds) {
            self.right.cancel(run, "forked", Duration::ZERO).await?;
        }
        Ok(fork)
    }

    async fn messages(
        &self,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError> {
        self.right.messages(agent, session, before, limit).await
    }

    async fn sessions(
        &self,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError> {
        self.right.sessions(agent, after, limit).await
    }

    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError> {
        self.right.agents(after, limit).await
    }

    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        self.right.agent(agent).await
    }

    async fn usage_history(&self, agent: &AgentRef) -> Result<UsageHistory, RuntimeError> {
        let mut history = self.right.usage_history(agent).await?;
        if self.has(Flaw::PricesTheUnknown) {
            for used in history.minutes.iter_mut().chain(&mut history.hours) {
                used.micros = used.micros.or(Some(0));
            }
        }
        Ok(history)
    }

    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError> {
        if self.has(Flaw::HidesPoison) && filter.quarantined {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.right.runs(filter).await
    }

    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        match self.right.run_status(run).await {
            Err(RuntimeError::UnknownRun { run }) if self.has(Flaw::HidesTheUnknown) => {
                Err(RuntimeError::RunOver { run })
            }
            status => status,
        }
    }

    async fn health(&self) -> Result<HealthOverview, RuntimeError> {
        self.right.health().await
    }

    async fn agent_health(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError> {
        self.right.agent_health(agent).await
    }

    async fn status(&self) -> Result<NodeStatus, RuntimeError> {
        self.right.status().await
    }

    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        let state = self.right.save_state(agent).await?;
        let id = self.id_of(agent).await?;
        self.seen().saved.insert(state, id);
        Ok(state)
    }

    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError> {
        let spec = {
            let seen = self.seen();
            seen.saved.get(state).and_then(|agent| seen.specs.get(agent)).cloned()
        };
        match (spec, name) {
            (Some(spec), Some(name)) if self.has(Flaw::RestoresNothing) => {
                let agent = self.right.register(AgentSpec { name, ..spec }).await?;
                self.right.start(&AgentRef::Id(agent)).await?;
                Ok(agent)
            }
            (_, name) => self.right.restore_agent(state, name).await,
        }
    }

    async fn restore_in_place(&self, state: &StateId, agent: &AgentRef) -> Result<(), RuntimeError> {
        let is_stopped = self.right.agent(agent).await?.want == Want::Stopped;
        if self.has(Flaw::PutsBackNothing) && is_stopped && self.open_runs(agent).await?.is_empty() {
            self.right.snapshot(state).await?;
            return Ok(());
        }
        if self.has(Flaw::PutsBackAnyTime) && !is_stopped && self.open_runs(agent).await?.is_empty() {
            self.right.stop(agent).await?;
            let put = self.right.restore_in_place(state, agent).await;
            self.right.start(agent).await?;
            return put;
        }
        self.right.restore_in_place(state, agent).await
    }

    async fn snapshots(&self, filter: SnapshotFilter) -> Result<Page<SnapshotInfo>, RuntimeError> {
        let filtered = filter.agent.is_some();
        let page = self.right.snapshots(filter).await?;
        if self.has(Flaw::ListsNoSnapshots) && filtered {
            return Ok(Page { items: Vec::new(), next: None });
        }
        Ok(page)
    }

    async fn snapshot(&self, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        self.right.snapshot(state).await
    }

    async fn diff_snapshots(&self, before: &StateId, after: &StateId) -> Result<SnapshotDiff, RuntimeError> {
        if self.has(Flaw::TellsTheOpposite) {
            return self.right.diff_snapshots(after, before).await;
        }
        self.right.diff_snapshots(before, after).await
    }

    async fn delete_snapshot(&self, state: &StateId) -> Result<(), RuntimeError> {
        self.right.delete_snapshot(state).await
    }

    async fn retain_snapshots(
        &self,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError> {
        self.right.retain_snapshots(agent, retention).await
    }

    async fn export_snapshot(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        self.right.export_snapshot(state).await
    }

    async fn import_snapshot(&self, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        let known = self.seen().saved.keys().next().copied();
        match known {
            Some(known) if self.has(Flaw::ImportsNothing) => Ok(known),
            _ => self.right.import_snapshot(file).await,
        }
    }

    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.right.shutdown(within).await
    }
}
