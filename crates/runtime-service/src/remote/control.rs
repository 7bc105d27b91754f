//! The control contract, each method by its route.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::unfold;
use reqwest::{Method, Request};
use runtime_traits::health::{HealthOverview, HealthReport};
use runtime_traits::log::{Outcome, StepKey};
use runtime_traits::resource::{LimitsBy, LimitsChange, TenantLimits, UsageHistory};
use runtime_traits::runtime::{
    AgentStatus, CancelReceipt, Decision, Finished, ForkRequest, Joined, NodeStatus, Page, Reply, RunFilter,
    RunStream, Said, SessionStatus, SnapshotFilter, Submitted,
};
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduleView, ScheduledBy};
use runtime_traits::snapshot::{Retention, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView};
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentId, AgentRef, AgentSpec, Name, ResourceLimits, RunId, RunRequest, RunView, Runtime, RuntimeError,
    SessionName, StateId,
};
use tokio::time::sleep;

use crate::remote::RemoteRuntime;
use crate::remote::call::Again;
use crate::remote::tail::Tail;
use crate::wire::{
    AgentAnswer, AnswerBody, CancelBody, DecideBody, DeletedAnswer, PauseBody, RestoreBody, RunAnswer,
    StateAnswer, Within,
};

/// How long the other side is asked to wait at once.
const WAIT_AT_ONCE: Duration = Duration::from_secs(30);
/// How long to wait after an answer that came before its time.
const BETWEEN_WAITS: Duration = Duration::from_millis(20);
/// How much later than asked for an answer to a wait may come.
const LATE: Duration = Duration::from_millis(250);

#[async_trait]
impl Runtime for RemoteRuntime {
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        let request = self.sending(Method::POST, &["v1", "agents"], &spec)?;
        let answer: AgentAnswer = self.ask(request, Duration::ZERO, Again::Never).await?;
        Ok(answer.agent)
    }

    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        let request = self.request(Method::DELETE, &["v1", "agents", &agent.to_string()]);
        self.tell(request, Duration::ZERO).await
    }

    async fn set_limits(&self, agent: &AgentRef, limits: ResourceLimits) -> Result<(), RuntimeError> {
        let request = self.sending(Method::PUT, &["v1", "agents", &agent.to_string(), "limits"], &limits)?;
        self.tell(request, Duration::ZERO).await
    }

    async fn change_limits(&self, agent: &AgentRef, change: LimitsChange) -> Result<(), RuntimeError> {
        let request =
            self.sending(Method::PATCH, &["v1", "agents", &agent.to_string(), "limits"], &change)?;
        self.tell(request, Duration::ZERO).await
    }

    async fn set_tenant_limits(&self, limits: ResourceLimits, by: LimitsBy) -> Result<(), RuntimeError> {
        let mut request = self.sending(Method::PUT, &["v1", "limits"], &limits)?;
        add(&mut request, "by", Some(by));
        self.tell(request, Duration::ZERO).await
    }

    async fn change_tenant_limits(&self, change: LimitsChange) -> Result<(), RuntimeError> {
        let request = self.sending(Method::PATCH, &["v1", "limits"], &change)?;
        self.tell(request, Duration::ZERO).await
    }

    async fn tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "limits"])).await
    }

    async fn put_schedule(
        &self,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "schedules"];
        let mut request = self.sending(Method::PUT, &segments, &schedule)?;
        add(&mut request, "by", Some(by));
        // Whoever declares it twice declares it once.
        self.read(request).await
    }

    async fn pause_schedule(
        &self,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "schedules", name.as_str()];
        let request = self.sending(Method::PATCH, &segments, &PauseBody { paused })?;
        self.read(request).await
    }

    async fn delete_schedule(&self, agent: &AgentRef, name: &Name) -> Result<(), RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "schedules", name.as_str()];
        self.tell(self.request(Method::DELETE, &segments), Duration::ZERO).await
    }

    async fn schedule(&self, agent: &AgentRef, name: &Name) -> Result<ScheduleView, RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "schedules", name.as_str()];
        self.read(self.request(Method::GET, &segments)).await
    }

    async fn schedules(&self, filter: ScheduleFilter) -> Result<Page<ScheduleView>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "schedules"]);
        add(&mut request, "agent", filter.agent);
        add(&mut request, "after", filter.after);
        add(&mut request, "limit", Some(filter.limit));
        self.read(request).await
    }

    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.turn(agent, "start").await
    }

    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.turn(agent, "stop").await
    }

    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.turn(agent, "pause").await
    }

    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        self.turn(agent, "resume").await
    }

    async fn submit(&self, agent: &AgentRef, request: RunRequest) -> Result<Submitted, RuntimeError> {
        let again =
            if request.idempotency_key.is_some() { Again::Broken(self.patiently()) } else { Again::Never };
        let agent = agent.to_string();
        let request = self.sending(Method::POST, &["v1", "agents", &agent, "runs"], &request)?;
        self.ask(request, Duration::ZERO, again).await
    }

    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        let at_once = within.min(WAIT_AT_ONCE);
        let mut over = std::pin::pin!(sleep(within));
        // The other side ends a wait that it was asked for; this is for one that it does not.
        let mut late = std::pin::pin!(sleep(within.saturating_add(LATE)));
        loop {
            let joined = tokio::select! {
                biased;
                joined = self.join_once(run, at_once) => joined?,
                () = &mut late => return self.join_once(run, Duration::ZERO).await,
            };
            if matches!(joined, Joined::Ended(_)) {
                return Ok(joined);
            }
            tokio::select! {
                biased;
                () = &mut over => return Ok(joined),
                () = sleep(BETWEEN_WAITS) => {}
            }
        }
    }

    async fn run(&self, agent: &AgentRef, request: RunRequest) -> Result<Finished, RuntimeError> {
        let mut run = self.submit(agent, request).await?.run;
        loop {
            match self.join_once(&run, WAIT_AT_ONCE).await? {
                Joined::Ended(Finished { outcome: Outcome::Continued(next), .. }) => run = next,
                Joined::Ended(finished) => return Ok(finished),
                Joined::Open(_) => sleep(BETWEEN_WAITS).await,
            }
        }
    }

    async fn stream(&self, run: &RunId, from: Seq) -> Result<RunStream, RuntimeError> {
        let tail = Tail::begin(self.clone(), *run, from).await?;
        Ok(Box::pin(unfold(tail, |mut tail| async {
            let item = tail.next().await?;
            Some((item, tail))
        })))
    }

    async fn cancel(
        &self,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        let body = CancelBody { reason: reason.to_owned(), within_ms: Within::of(within).within_ms };
        let segments = ["v1", "runs", &run.to_string(), "cancel"];
        let request = self.sending(Method::POST, &segments, &body)?;
        self.ask(request, within, Again::Never).await
    }

    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError> {
        let step = step.clone();
        let body = DecideBody { step, decision };
        let segments = ["v1", "runs", &run.to_string(), "decide"];
        let request = self.sending(Method::POST, &segments, &body)?;
        self.tell(request, Duration::ZERO).await
    }

    async fn answer(&self, run: &RunId, step: &StepKey, reply: Reply) -> Result<(), RuntimeError> {
        let body = AnswerBody { step: step.clone(), reply };
        let segments = ["v1", "runs", &run.to_string(), "answer"];
        let request = self.sending(Method::POST, &segments, &body)?;
        self.tell(request, Duration::ZERO).await
    }

    async fn requeue(&self, run: &RunId) -> Result<(), RuntimeError> {
        let segments = ["v1", "runs", &run.to_string(), "requeue"];
        self.tell(self.request(Method::POST, &segments), Duration::ZERO).await
    }

    async fn fork(&self, run: &RunId, request: ForkRequest) -> Result<RunId, RuntimeError> {
        let segments = ["v1", "runs", &run.to_string(), "fork"];
        let request = self.sending(Method::POST, &segments, &request)?;
        let answer: RunAnswer = self.ask(request, Duration::ZERO, Again::Never).await?;
        Ok(answer.run)
    }

    async fn messages(
        &self,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "agents", &agent.to_string(), "messages"]);
        add(&mut request, "session", Some(session));
        add(&mut request, "limit", Some(limit));
        add(&mut request, "before", before);
        self.read(request).await
    }

    async fn sessions(
        &self,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "agents", &agent.to_string(), "sessions"]);
        add(&mut request, "limit", Some(limit));
        add(&mut request, "after", after);
        self.read(request).await
    }

    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "agents"]);
        add(&mut request, "limit", Some(limit));
        add(&mut request, "after", after);
        self.read(request).await
    }

    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "agents", &agent.to_string()])).await
    }

    async fn usage_history(&self, agent: &AgentRef) -> Result<UsageHistory, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "agents", &agent.to_string(), "usage"])).await
    }

    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "runs"]);
        add(&mut request, "agent", filter.agent);
        add(&mut request, "open", Some(filter.open));
        add(&mut request, "quarantined", filter.quarantined.then_some(true));
        add(&mut request, "after", filter.after);
        add(&mut request, "limit", Some(filter.limit));
        self.read(request).await
    }

    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "runs", &run.to_string()])).await
    }

    async fn health(&self) -> Result<HealthOverview, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "health"])).await
    }

    async fn agent_health(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "agents", &agent.to_string(), "health"])).await
    }

    async fn status(&self) -> Result<NodeStatus, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "status"])).await
    }

    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "snapshots"];
        let request = self.request(Method::POST, &segments);
        let answer: StateAnswer = self.ask(request, Duration::ZERO, Again::Never).await?;
        Ok(answer.state)
    }

    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError> {
        let segments = ["v1", "snapshots", &state.to_string(), "restore"];
        let request = self.sending(Method::POST, &segments, &RestoreBody { name })?;
        let answer: AgentAnswer = self.ask(request, Duration::ZERO, Again::Never).await?;
        Ok(answer.agent)
    }

    async fn restore_in_place(&self, state: &StateId, agent: &AgentRef) -> Result<(), RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "restore"];
        let request = self.sending(Method::POST, &segments, &StateAnswer { state: *state })?;
        self.tell(request, Duration::ZERO).await
    }

    async fn snapshots(&self, filter: SnapshotFilter) -> Result<Page<SnapshotInfo>, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "snapshots"]);
        add(&mut request, "agent", filter.agent);
        add(&mut request, "after", filter.after);
        add(&mut request, "limit", Some(filter.limit));
        self.read(request).await
    }

    async fn snapshot(&self, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        self.read(self.request(Method::GET, &["v1", "snapshots", &state.to_string()])).await
    }

    async fn diff_snapshots(&self, before: &StateId, after: &StateId) -> Result<SnapshotDiff, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "snapshots", &before.to_string(), "diff"]);
        add(&mut request, "after", Some(after));
        self.read(request).await
    }

    async fn delete_snapshot(&self, state: &StateId) -> Result<(), RuntimeError> {
        let request = self.request(Method::DELETE, &["v1", "snapshots", &state.to_string()]);
        self.tell(request, Duration::ZERO).await
    }

    async fn retain_snapshots(
        &self,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), "retain"];
        let request = self.sending(Method::POST, &segments, &retention)?;
        let answer: DeletedAnswer = self.ask(request, Duration::ZERO, Again::Never).await?;
        Ok(answer.deleted)
    }

    async fn export_snapshot(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        self.file_of(state).await
    }

    async fn import_snapshot(&self, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        self.send_file(file).await
    }

    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        let body = Within::of(within);
        let request = self.sending(Method::POST, &["v1", "shutdown"], &body)?;
        self.tell(request, within).await
    }
}

impl RemoteRuntime {
    async fn turn(&self, agent: &AgentRef, verb: &str) -> Result<(), RuntimeError> {
        let segments = ["v1", "agents", &agent.to_string(), verb];
        let request = self.request(Method::POST, &segments);
        self.tell(request, Duration::ZERO).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, request: Request) -> Result<T, RuntimeError> {
        let again = Again::Broken(Self::briefly());
        self.ask(request, Duration::ZERO, again).await
    }

    /// Waits once, through restarts of the other side.
    async fn join_once(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        let mut request = self.request(Method::GET, &["v1", "runs", &run.to_string(), "join"]);
        add(&mut request, "within_ms", Some(Within::of(within).within_ms));
        let again = Again::Ending(self.patiently());
        self.ask(request, within, again).await
    }
}

/// Adds a parameter to a query, if it has a value.
pub(super) fn add<T: ToString>(request: &mut Request, name: &str, value: Option<T>) {
    if let Some(value) = value {
        request.url_mut().query_pairs_mut().append_pair(name, &value.to_string());
    }
}
