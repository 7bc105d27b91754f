//! What a runtime was asked.

use std::time::Duration;

use runtime_traits::log::StepKey;
use runtime_traits::resource::{LimitsBy, LimitsChange, ResourceLimits};
use runtime_traits::runtime::{Decision, ForkRequest, Reply, RunFilter, SnapshotFilter};
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduledBy};
use runtime_traits::snapshot::Retention;
use runtime_traits::store::Seq;
use runtime_traits::{AgentRef, Name, RunId, RunRequest, SessionName, StateId};

/// A call of a method of `Runtime`, with what was handed over.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Call {
    /// With the declaration as JSON.
    Register(String),
    Unregister(AgentRef),
    SetLimits(AgentRef, ResourceLimits),
    ChangeLimits(AgentRef, LimitsChange),
    SetTenantLimits(ResourceLimits, LimitsBy),
    ChangeTenantLimits(LimitsChange),
    TenantLimits,
    PutSchedule(AgentRef, Schedule, ScheduledBy),
    PauseSchedule(AgentRef, Name, bool),
    DeleteSchedule(AgentRef, Name),
    Schedule(AgentRef, Name),
    Schedules(ScheduleFilter),
    Start(AgentRef),
    Stop(AgentRef),
    Pause(AgentRef),
    Resume(AgentRef),
    Submit(AgentRef, RunRequest),
    Join(RunId, Duration),
    Stream(RunId, Seq),
    Cancel(RunId, String, Duration),
    Decide(RunId, StepKey, Decision),
    Answer(RunId, StepKey, Reply),
    Requeue(RunId),
    Fork(RunId, ForkRequest),
    Messages(AgentRef, SessionName, Option<String>, u32),
    Sessions(AgentRef, Option<String>, u32),
    Agents(Option<String>, u32),
    Agent(AgentRef),
    UsageHistory(AgentRef),
    Runs(RunFilter),
    RunStatus(RunId),
    Health,
    AgentHealth(AgentRef),
    Status,
    SaveState(AgentRef),
    RestoreAgent(StateId, Option<Name>),
    RestoreInPlace(StateId, AgentRef),
    Snapshots(SnapshotFilter),
    Snapshot(StateId),
    DiffSnapshots(StateId, StateId),
    DeleteSnapshot(StateId),
    RetainSnapshots(AgentRef, Retention),
    ExportSnapshot(StateId),
    /// With the whole file.
    ImportSnapshot(Vec<u8>),
    Shutdown(Duration),
}
