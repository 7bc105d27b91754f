//! The control contract.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::agent::AgentSpec;
use crate::health::{HealthOverview, HealthReport};
use crate::id::{AgentId, RunId, StateId};
use crate::log::{Outcome, RunView, StepKey};
use crate::name::{Name, SessionName};
use crate::resource::{LimitsBy, LimitsChange, ResourceLimits, TenantLimits, UsageHistory};
use crate::runtime::error::RuntimeError;
use crate::runtime::refs::AgentRef;
use crate::runtime::request::{Decision, ForkRequest, Reply, RunRequest, Submitted};
use crate::runtime::status::{
    AgentStatus, CancelReceipt, Finished, Joined, NodeStatus, Page, RunFilter, Said, SessionStatus,
    SnapshotFilter,
};
use crate::runtime::stream::RunStream;
use crate::schedule::{Schedule, ScheduleFilter, ScheduleView, ScheduledBy};
use crate::snapshot::{Retention, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotView};
use crate::store::Seq;

/// What can be done with agents, wherever they run. A value of this trait acts for one tenant.
///
/// # Contract
/// - `one-agent-per-name`: registering a name again attaches to the agent that has it; a changed spec is its next revision.
/// - `not-started-is-refused`: a run of an agent that is not started is `NotStarted`, and leaves nothing behind.
/// - `accepted-is-kept`: a run whose `submit` returned Ok ends in an outcome or waits visibly.
/// - `same-key-same-run`: the same idempotency key and input give the same run; another input is `KeyReused`.
/// - `sessions-in-order`: the runs of a session are worked one after the other, in the order of acceptance.
/// - `rejected-when-busy`: with the policy `Reject` a run for a busy session is `SessionBusy`.
/// - `stream-is-the-log`: a stream gives every entry from the asked one on, in order, and ends after `Ended`.
/// - `late-viewers-catch-up`: whoever comes while a step is under way is shown what the step has shown so far, and then the
///   rest: nothing twice, nothing that was taken back, nothing of a step that has settled.
/// - `cancel-answers-in-time`: `cancel` answers soon after `within` at the latest, and the run then has its outcome.
/// - `stop-drains`: after `stop` no run is taken; those that were accepted and have not begun stay queued.
/// - `pause-holds-steps`: after `pause` no step begins until `resume`.
/// - `restored-remembers`: an agent restored from a snapshot has the conversations and the state of the saved one.
/// - `in-place-is-the-saved-one`: an agent put back to a snapshot keeps its id and name, and has the conversations and the
///   states that were saved, those and no others.
/// - `in-place-when-stopped`: an agent that is started, or has an open run, is not put back, and goes on as it was.
/// - `snapshots-are-listed`: what was saved is listed and described until it is deleted, or no rule of retention keeps it.
/// - `diff-says-what-changed`: the difference of two snapshots is what happened between them.
/// - `file-restores-elsewhere`: an exported snapshot, imported, is one more snapshot with the same conversations and states.
/// - `answered-once`: an answer or a consent ends its wait, once; whoever comes later is told `NothingToAnswer`.
/// - `consent-is-for-one-call`: a consent with another hash than the waiting call's is `OtherCall`, and starts nothing.
/// - `interrupt-keeps`: with the policy `Interrupt` the run at work is cancelled, and the conversation holds what it said.
/// - `rollback-forgets`: with the policy `Rollback` it ends as `RolledBack`, and the conversation holds nothing of it.
/// - `answer-is-given`: with the policy `Answer` the input is the answer that the run at work waits for.
/// - `fork-leaves-the-original`: a fork is a new run in a new session; the original goes on as it was.
/// - `poison-is-set-aside`: a run that killed its process too often waits for an operator, is listed as quarantined, and the next run of
///   its session begins.
/// - `requeued-by-a-person`: `requeue` lets such a run go on, once; a run that is not in quarantine is `CannotRequeue`.
/// - `tenant-limits-are-kept`: what all agents may use together is shown with since when it holds and who set it, is there again after
///   a crash, and is refused where agents cannot share it.
/// - `usage-is-in-its-time`: what an agent used is told for each of the last 60 minutes and 24 hours, in their order, the last of
///   them under way, and is told after a crash as well; what has no known price is told apart, and not as 0. Where nobody counts,
///   nothing is told.
/// - `schedules-are-kept`: what was scheduled is listed with when it fires next, is there again after a crash, and is gone once it is
///   deleted; declared again as it is, it stays as it is. What can never fire is refused, and leaves nothing behind.
/// - `a-tick-fires-once`: each moment of a schedule that fires gives one run, which its schedule shows; none does while it is paused.
/// - `unknown-is-said`: what does not exist is `Unknown…`, and names what was asked for.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Registers an agent by its declaration, stopped; or attaches to the agent of that name.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownKind`], [`RuntimeError::Spec`] or [`RuntimeError::NameTaken`].
    async fn register(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError>;

    /// Deletes an agent: its declarations, its ended runs, its conversations and states. Its snapshots stay, and so do
    /// large contents, which are kept beside the logs.
    ///
    /// # Errors
    /// [`RuntimeError::WrongState`] unless it is stopped and has no open run.
    async fn unregister(&self, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// Changes what an agent may use: from now on, for runs under way and runs that wait as well. A change is the next revision of
    /// its declaration, which says since when it holds.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`]; [`RuntimeError::Spec`] for limits that contradict each other, or let nothing through.
    async fn set_limits(&self, agent: &AgentRef, limits: ResourceLimits) -> Result<(), RuntimeError>;

    /// Changes some of what an agent may use, and leaves the rest as it is at that moment: as [`set_limits`](Self::set_limits) in everything
    /// else.
    ///
    /// # Errors
    /// As [`set_limits`](Self::set_limits).
    async fn change_limits(&self, agent: &AgentRef, change: LimitsChange) -> Result<(), RuntimeError>;

    /// Changes what all agents of the tenant may use together: from now on, for runs under way and runs that wait as well. It is kept, and
    /// a runtime that is opened later holds them to it before it lets their first call through. Setting what is set changes nothing.
    ///
    /// # Errors
    /// [`RuntimeError::Limits`] for limits that contradict each other, let nothing through, or are not for all agents together;
    /// [`RuntimeError::Damaged`] when what they used before cannot be read, and somebody limits them by hand. Limits that cannot be read
    /// are replaced by those that somebody sets by hand.
    async fn set_tenant_limits(&self, limits: ResourceLimits, by: LimitsBy) -> Result<(), RuntimeError>;

    /// Changes, by hand, some of what all agents of the tenant may use together, and leaves the rest as it is at that moment: as
    /// [`set_tenant_limits`](Self::set_tenant_limits) in everything else.
    ///
    /// # Errors
    /// As [`set_tenant_limits`](Self::set_tenant_limits).
    async fn change_tenant_limits(&self, change: LimitsChange) -> Result<(), RuntimeError>;

    /// What all agents of the tenant may use together, since when, and what they use of it.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn tenant_limits(&self) -> Result<TenantLimits, RuntimeError>;

    /// The same for whoever wants to know what is set: what they use of it may be left out, and then need not be read.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn kept_tenant_limits(&self) -> Result<TenantLimits, RuntimeError> {
        self.tenant_limits().await
    }

    /// Runs an agent by the clock from now on, or changes how: moments that have passed are not made up for where the timing is another
    /// one. A schedule that is declared as it is stays as it is, its pause included. Until it is paused or deleted it fires as long as
    /// the runtime works; a run that is refused, as of an agent that is stopped, is tried again as its rule for what is missed says.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`]; [`RuntimeError::Schedule`] for what can never fire, has passed, or is one too many;
    /// [`RuntimeError::EmptyInput`] or [`RuntimeError::TooLarge`] for its input.
    async fn put_schedule(
        &self,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError>;

    /// Pauses a schedule, or ends its pause: it goes on with what lies ahead then. One that is so already stays so.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`]; [`RuntimeError::UnknownSchedule`] where the agent has none of that name.
    async fn pause_schedule(
        &self,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError>;

    /// Deletes a schedule. Its runs go on.
    ///
    /// # Errors
    /// As [`pause_schedule`](Self::pause_schedule).
    async fn delete_schedule(&self, agent: &AgentRef, name: &Name) -> Result<(), RuntimeError>;

    /// One schedule.
    ///
    /// # Errors
    /// As [`pause_schedule`](Self::pause_schedule).
    async fn schedule(&self, agent: &AgentRef, name: &Name) -> Result<ScheduleView, RuntimeError>;

    /// The schedules of the tenant, or of one agent, agent by agent and in the order of their names.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn schedules(&self, filter: ScheduleFilter) -> Result<Page<ScheduleView>, RuntimeError>;

    /// Lets an agent take runs.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn start(&self, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// Takes no more runs for an agent; lets what runs end or park. Runs that have not begun stay queued.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn stop(&self, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// Lets no step of an agent begin; its runs wait at their next one.
    ///
    /// # Errors
    /// [`RuntimeError::WrongState`] for an agent that is stopped.
    async fn pause(&self, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// Ends a pause.
    ///
    /// # Errors
    /// [`RuntimeError::WrongState`] for an agent that is stopped.
    async fn resume(&self, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// Accepts a run: from here on it is never lost.
    ///
    /// # Errors
    /// [`RuntimeError::NotStarted`], [`RuntimeError::EmptyInput`], [`RuntimeError::TooLarge`], [`RuntimeError::Busy`],
    /// [`RuntimeError::SessionBusy`], [`RuntimeError::KeyReused`], [`RuntimeError::AnswerWithKey`].
    async fn submit(&self, agent: &AgentRef, request: RunRequest) -> Result<Submitted, RuntimeError>;

    /// Waits for a run's outcome, at most for `within`.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`].
    async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError>;

    /// Accepts a run and waits for its outcome: that of its last successor, where it goes on in others.
    ///
    /// # Errors
    /// As [`Runtime::submit`]. An outcome that is no success is no error here: see [`Finished::into_result`].
    async fn run(&self, agent: &AgentRef, request: RunRequest) -> Result<Finished, RuntimeError> {
        let mut run = self.submit(agent, request).await?.run;
        loop {
            match self.join(&run, Duration::from_secs(60)).await? {
                Joined::Ended(Finished { outcome: Outcome::Continued(next), .. }) => run = next,
                Joined::Ended(finished) => return Ok(finished),
                Joined::Open(_) => {}
            }
        }
    }

    /// A run as it happens, beginning with the entry `from`.
    ///
    /// Between the entries come previews of what is not recorded yet. Whoever comes late is shown, after the entries, what
    /// the steps under way have shown so far: one piece for each, in the order in which they spoke last. What is kept for
    /// that has a bound of a few KiB for each run. Beyond it the oldest part is let go, and the piece has a
    /// [`gap`](crate::runtime::StreamItem::Preview::gap): its beginning is missing, and what follows is a middle. A reader
    /// that falls behind is told `Retracted`, and is then shown anew what is kept. What is retracted, recorded or given up
    /// is shown to nobody who comes later. A reader who ignores all previews misses nothing: entries say it again.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`].
    async fn stream(&self, run: &RunId, from: Seq) -> Result<RunStream, RuntimeError>;

    /// Ends a run early: it may end by itself `within` this time, then it is shut out.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`].
    async fn cancel(
        &self,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError>;

    /// Says what becomes of a step that nobody knows the end of.
    ///
    /// # Errors
    /// [`RuntimeError::NothingToDecide`] when the step waits for no decision.
    async fn decide(&self, run: &RunId, step: &StepKey, decision: Decision) -> Result<(), RuntimeError>;

    /// Says to a run what it waits for: an answer, or consent to a step, or none.
    ///
    /// # Errors
    /// [`RuntimeError::NothingToAnswer`] when the step waits for nothing of the sort, [`RuntimeError::OtherCall`] for a
    /// consent to another call.
    async fn answer(&self, run: &RunId, step: &StepKey, reply: Reply) -> Result<(), RuntimeError>;

    /// Lets a run out of quarantine: it goes on when it is its turn, and what was counted against it is forgotten.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`], [`RuntimeError::RunOver`]; [`RuntimeError::CannotRequeue`] for a run that is not in quarantine, or
    /// without which its conversation went on.
    async fn requeue(&self, run: &RunId) -> Result<(), RuntimeError>;

    /// Copies a run into a new conversation, where it goes on from a point at which no step is open. What the original
    /// did outside stays done; the copy's steps have idempotency keys of their own.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`]; [`RuntimeError::CannotFork`], which says why not there;
    /// [`RuntimeError::NotStarted`], [`RuntimeError::Busy`], [`RuntimeError::ShuttingDown`] and
    /// [`RuntimeError::WrongState`] as for a new run; [`RuntimeError::EmptyInput`] and [`RuntimeError::TooLarge`] for
    /// another input.
    async fn fork(&self, run: &RunId, request: ForkRequest) -> Result<RunId, RuntimeError>;

    /// What was said in a session: its last `limit` messages, oldest first. The page's `next`, given as `before`, leads to
    /// older ones.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn messages(
        &self,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError>;

    /// The conversations of an agent of which anything was ever written, and how many bytes are stored of each.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn sessions(
        &self,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError>;

    /// The agents of the tenant, by name.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn agents(&self, after: Option<&str>, limit: u32) -> Result<Page<AgentStatus>, RuntimeError>;

    /// One agent.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn agent(&self, agent: &AgentRef) -> Result<AgentStatus, RuntimeError>;

    /// What an agent used in the last hour by minutes, and in the last day by hours.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`]; [`RuntimeError::Damaged`], where some of it cannot be read.
    async fn usage_history(&self, agent: &AgentRef) -> Result<UsageHistory, RuntimeError>;

    /// Runs: those that are not over, and those that ended and are still kept. The pages go agent by agent or in some
    /// other fixed order: who wants them by age sorts all of them by `accepted_at`.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn runs(&self, filter: RunFilter) -> Result<Page<RunView>, RuntimeError>;

    /// One run.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`].
    async fn run_status(&self, run: &RunId) -> Result<RunView, RuntimeError>;

    /// How all is that is watched here, the worst first.
    ///
    /// # Errors
    /// [`RuntimeError::Unreachable`] from far away.
    async fn health(&self) -> Result<HealthOverview, RuntimeError>;

    /// How one agent is. Of one that nobody monitors, nobody can tell.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn agent_health(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError>;

    /// The runtime itself.
    ///
    /// # Errors
    /// [`RuntimeError::Unreachable`] from far away.
    async fn status(&self) -> Result<NodeStatus, RuntimeError>;

    /// Freezes an agent's conversations and state, each at its session's last outcome.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    async fn save_state(&self, agent: &AgentRef) -> Result<StateId, RuntimeError>;

    /// Makes a new, started agent with the conversations and state of a snapshot, under `name` or one made of the old.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`], [`RuntimeError::NameTaken`].
    async fn restore_agent(&self, state: &StateId, name: Option<Name>) -> Result<AgentId, RuntimeError>;

    /// Puts a stopped agent back to a snapshot: its conversations, states and declaration. Its id and its name stay, and
    /// so does what its runs did.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`], [`RuntimeError::UnknownAgent`]; [`RuntimeError::WrongState`] unless the agent is
    /// stopped, has no open run and is of the same kind.
    async fn restore_in_place(&self, state: &StateId, agent: &AgentRef) -> Result<(), RuntimeError>;

    /// The snapshots of the tenant, or those of one agent, which may be gone, in a fixed order: who wants them by age sorts all of them by
    /// `at`.
    ///
    /// # Errors
    /// What kept the store from reading.
    async fn snapshots(&self, filter: SnapshotFilter) -> Result<Page<SnapshotInfo>, RuntimeError>;

    /// One snapshot, with its conversations.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn snapshot(&self, state: &StateId) -> Result<SnapshotView, RuntimeError>;

    /// How two snapshots differ.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn diff_snapshots(&self, before: &StateId, after: &StateId) -> Result<SnapshotDiff, RuntimeError>;

    /// Deletes a snapshot. What others share with it stays.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`].
    async fn delete_snapshot(&self, state: &StateId) -> Result<(), RuntimeError>;

    /// Deletes those snapshots of an agent that no rule keeps, and says which they were. The agent may be gone; then its id
    /// names it.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`] for a name that no agent has.
    async fn retain_snapshots(
        &self,
        agent: &AgentRef,
        retention: Retention,
    ) -> Result<Vec<StateId>, RuntimeError>;

    /// A snapshot as one file, which this runtime or another can take in.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownState`]. The file breaks off with an error where something cannot be read.
    async fn export_snapshot(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError>;

    /// Takes a snapshot from a file. A file that breaks off leaves none.
    ///
    /// # Errors
    /// [`RuntimeError::BadSnapshotFile`] or [`RuntimeError::Newer`] for what is no such file.
    async fn import_snapshot(&self, file: SnapshotFile) -> Result<StateId, RuntimeError>;

    /// Takes no more runs, lets what runs end `within` this time, parks the rest. Cancels nothing.
    ///
    /// # Errors
    /// What kept the store from writing.
    async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError>;
}
