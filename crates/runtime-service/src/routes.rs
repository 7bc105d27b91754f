//! The one table of what the service answers to.

use std::fmt::Write as _;

/// A route: what it answers to, what it does, and which method of `Runtime` or `Bus` it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does.
    pub operation: Operation,
    /// Which listeners it answers on.
    pub reach: Reach,
    /// What it takes.
    pub takes: &'static str,
    /// What it answers when all went well.
    pub answers: &'static str,
}

/// Which listeners a route answers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// All of them. A TCP listener can be connected to by every user of the machine: this is for what any of them may
    /// do, and for reading a run whose id its caller was given.
    Anywhere,
    /// Unix sockets, whose files say who may connect. On TCP only after
    /// [`Listeners::all_routes_on_tcp`](crate::Listeners::all_routes_on_tcp).
    Sockets,
}

/// What a route does: one for each method of `Runtime`, three that people use, and those of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Runs an agent and answers with its output: `submit`, then `join` or `stream`.
    Ask,
    /// Says whether runs are taken, and what is worst: `status`.
    Health,
    /// Says that it answers.
    Live,
    /// Says whether runs are taken, by its status code: `status`.
    Ready,
    /// Says whether the runtime has begun, by its status code: `status`.
    Started,
    /// Says what there is: `status` and `agents`.
    Overview,
    /// `Runtime::register`.
    Register,
    /// `Runtime::unregister`.
    Unregister,
    /// `Runtime::set_limits`.
    SetLimits,
    /// `Runtime::change_limits`.
    ChangeLimits,
    /// `Runtime::set_tenant_limits`.
    SetTenantLimits,
    /// `Runtime::change_tenant_limits`.
    ChangeTenantLimits,
    /// `Runtime::tenant_limits`.
    TenantLimits,
    /// `Runtime::put_schedule`.
    PutSchedule,
    /// `Runtime::pause_schedule`.
    PauseSchedule,
    /// `Runtime::delete_schedule`.
    DeleteSchedule,
    /// `Runtime::schedule`.
    Schedule,
    /// `Runtime::schedules`.
    Schedules,
    /// `Runtime::start`.
    Start,
    /// `Runtime::stop`.
    Stop,
    /// `Runtime::pause`.
    Pause,
    /// `Runtime::resume`.
    Resume,
    /// `Runtime::submit`.
    Submit,
    /// `Runtime::join`.
    Join,
    /// `Runtime::run`.
    Run,
    /// `Runtime::stream`.
    Stream,
    /// `Runtime::cancel`.
    Cancel,
    /// `Runtime::decide`.
    Decide,
    /// `Runtime::answer`.
    Answer,
    /// `Runtime::requeue`.
    RequeueRun,
    /// `Runtime::fork`.
    Fork,
    /// `Runtime::messages`.
    Messages,
    /// `Runtime::sessions`.
    Sessions,
    /// `Runtime::agents`.
    Agents,
    /// `Runtime::agent`.
    Agent,
    /// `Runtime::usage_history`.
    UsageHistory,
    /// `Runtime::runs`.
    Runs,
    /// `Runtime::run_status`.
    RunStatus,
    /// `Runtime::health`.
    HealthOverview,
    /// `Runtime::agent_health`.
    AgentHealth,
    /// `Runtime::status`.
    Status,
    /// `Runtime::save_state`.
    SaveState,
    /// `Runtime::restore_agent`.
    RestoreAgent,
    /// `Runtime::restore_in_place`.
    RestoreInPlace,
    /// `Runtime::snapshots`.
    Snapshots,
    /// `Runtime::snapshot`.
    Snapshot,
    /// `Runtime::diff_snapshots`.
    DiffSnapshots,
    /// `Runtime::delete_snapshot`.
    DeleteSnapshot,
    /// `Runtime::retain_snapshots`.
    RetainSnapshots,
    /// `Runtime::export_snapshot`.
    ExportSnapshot,
    /// `Runtime::import_snapshot`.
    ImportSnapshot,
    /// `Runtime::shutdown`.
    Shutdown,
    /// `Bus::publish`.
    Publish,
    /// `Bus::listen`, `Bus::open`, or `Bus::read` again and again.
    Listen,
    /// `Bus::read` and `Bus::find`.
    Kept,
    /// `Deliveries::done` and `Deliveries::failed`.
    Settle,
    /// `Bus::requeue`.
    Requeue,
}

/// Everything that the service answers to. The router is built from this table, and so is the one in the README.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    anywhere("POST", "/run", Operation::Ask, "`{\"input\", \"session\"?, \"agent\"?, \"priority\"?}`; `Idempotency-Key`, `Accept: text/event-stream`", "200 `{\"run_id\", \"session\", \"output\", \"usage\"}`, 202 with `Location` while the run is open, or events"),
    anywhere("GET", "/health", Operation::Health, "", "200 or 503 `{\"readiness\", \"open_runs\", \"store\", \"no_progress_since\", \"verdict\"?, \"worst\"?}`"),
    anywhere("GET", "/livez", Operation::Live, "", "200 `{\"ok\", \"reason\"?}`"),
    anywhere("GET", "/readyz", Operation::Ready, "", "200 or 503 `{\"ok\", \"reason\"?}`"),
    anywhere("GET", "/startupz", Operation::Started, "", "200 or 503 `{\"ok\", \"reason\"?}`"),
    anywhere("GET", "/status", Operation::Overview, "", "200 `{\"node\", \"agents\", \"next\"}`"),
    sockets("POST", "/v1/agents", Operation::Register, "`AgentSpec`", "200 `{\"agent\"}`"),
    sockets("GET", "/v1/agents", Operation::Agents, "`?after`, `?limit`", "200 `Page<AgentStatus>`"),
    sockets("GET", "/v1/agents/{agent}", Operation::Agent, "", "200 `AgentStatus`"),
    sockets("GET", "/v1/agents/{agent}/health", Operation::AgentHealth, "", "200 `HealthReport`"),
    sockets("GET", "/v1/agents/{agent}/usage", Operation::UsageHistory, "", "200 `UsageHistory`"),
    sockets("DELETE", "/v1/agents/{agent}", Operation::Unregister, "", "204"),
    sockets("PUT", "/v1/agents/{agent}/limits", Operation::SetLimits, "`ResourceLimits`", "204"),
    sockets("PATCH", "/v1/agents/{agent}/limits", Operation::ChangeLimits, "`LimitsChange`", "204"),
    sockets("GET", "/v1/limits", Operation::TenantLimits, "", "200 `TenantLimits`"),
    sockets("PUT", "/v1/limits", Operation::SetTenantLimits, "`ResourceLimits`; `?by`", "204"),
    sockets("PATCH", "/v1/limits", Operation::ChangeTenantLimits, "`LimitsChange`", "204"),
    sockets("PUT", "/v1/agents/{agent}/schedules", Operation::PutSchedule, "`Schedule`; `?by`", "200 `ScheduleView`"),
    sockets("GET", "/v1/agents/{agent}/schedules/{schedule}", Operation::Schedule, "", "200 `ScheduleView`"),
    sockets("PATCH", "/v1/agents/{agent}/schedules/{schedule}", Operation::PauseSchedule, "`{\"paused\"}`", "200 `ScheduleView`"),
    sockets("DELETE", "/v1/agents/{agent}/schedules/{schedule}", Operation::DeleteSchedule, "", "204"),
    sockets("GET", "/v1/schedules", Operation::Schedules, "`?agent`, `?after`, `?limit`", "200 `Page<ScheduleView>`"),
    sockets("POST", "/v1/agents/{agent}/start", Operation::Start, "", "204"),
    sockets("POST", "/v1/agents/{agent}/stop", Operation::Stop, "", "204"),
    sockets("POST", "/v1/agents/{agent}/pause", Operation::Pause, "", "204"),
    sockets("POST", "/v1/agents/{agent}/resume", Operation::Resume, "", "204"),
    sockets("POST", "/v1/agents/{agent}/runs", Operation::Submit, "`RunRequest`", "202 `Submitted` with `Location`"),
    sockets("POST", "/v1/agents/{agent}/run", Operation::Run, "`RunRequest`", "200 `Joined`, 202 with `Location` while the run is open"),
    sockets("POST", "/v1/agents/{agent}/snapshots", Operation::SaveState, "", "201 `{\"state\"}`"),
    sockets("GET", "/v1/runs", Operation::Runs, "`?agent`, `?open`, `?quarantined`, `?after`, `?limit`", "200 `Page<RunView>`"),
    anywhere("GET", "/v1/runs/{run}", Operation::RunStatus, "", "200 `RunView`"),
    anywhere("GET", "/v1/runs/{run}/join", Operation::Join, "`?within_ms`", "200 `Joined`"),
    anywhere("GET", "/v1/runs/{run}/stream", Operation::Stream, "`?from`, `Last-Event-ID`", "200 events"),
    sockets("POST", "/v1/runs/{run}/cancel", Operation::Cancel, "`{\"reason\", \"within_ms\"}`", "200 `CancelReceipt`"),
    sockets("POST", "/v1/runs/{run}/decide", Operation::Decide, "`{\"step\", \"decision\"}`", "204"),
    sockets("POST", "/v1/runs/{run}/answer", Operation::Answer, "`{\"step\", \"reply\"}`", "204"),
    sockets("POST", "/v1/runs/{run}/requeue", Operation::RequeueRun, "", "204"),
    sockets("POST", "/v1/runs/{run}/fork", Operation::Fork, "`ForkRequest`", "201 `{\"run\"}`"),
    sockets("GET", "/v1/agents/{agent}/messages", Operation::Messages, "`?session`, `?before`, `?limit`", "200 `Page<Said>`"),
    sockets("GET", "/v1/agents/{agent}/sessions", Operation::Sessions, "`?after`, `?limit`", "200 `Page<SessionStatus>`"),
    sockets("POST", "/v1/snapshots/{state}/restore", Operation::RestoreAgent, "`{\"name\"?}`", "201 `{\"agent\"}`"),
    sockets("POST", "/v1/agents/{agent}/restore", Operation::RestoreInPlace, "`{\"state\"}`", "204"),
    sockets("POST", "/v1/agents/{agent}/retain", Operation::RetainSnapshots, "`Retention`", "200 `{\"deleted\"}`"),
    sockets("GET", "/v1/snapshots", Operation::Snapshots, "`?agent`, `?after`, `?limit`", "200 `Page<SnapshotInfo>`"),
    sockets("POST", "/v1/snapshots", Operation::ImportSnapshot, "a snapshot file", "201 `{\"state\"}`"),
    sockets("GET", "/v1/snapshots/{state}", Operation::Snapshot, "", "200 `SnapshotView`"),
    sockets("DELETE", "/v1/snapshots/{state}", Operation::DeleteSnapshot, "", "204"),
    sockets("GET", "/v1/snapshots/{state}/diff", Operation::DiffSnapshots, "`?after`", "200 `SnapshotDiff`"),
    sockets("GET", "/v1/snapshots/{state}/file", Operation::ExportSnapshot, "", "200 a snapshot file"),
    sockets("GET", "/v1/health", Operation::HealthOverview, "", "200 `HealthOverview`"),
    sockets("GET", "/v1/status", Operation::Status, "", "200 `NodeStatus`"),
    sockets("POST", "/v1/shutdown", Operation::Shutdown, "`{\"within_ms\"}`", "204"),
    sockets("POST", "/v1/events", Operation::Publish, "a CloudEvent; `?tenant`, `?agent`", "201 `{\"id\", \"position\", \"reached\"}`"),
    sockets("GET", "/v1/events", Operation::Listen, "`?topic`, `?from` or `?since`, `?durable`, `?attempts`, `?ring`, `?tenant`, `?agent`; `Last-Event-ID`", "200 events"),
    sockets("GET", "/v1/events/kept", Operation::Kept, "`?topic`, `?from` or `?since`, `?limit`, `?tenant`, `?agent`", "200 `{\"first\", \"next\", \"events\"}`"),
    sockets("POST", "/v1/events/done", Operation::Settle, "`{\"topic\", \"durable\", \"position\", \"failed\"?}`; `?tenant`, `?agent`", "200 `{\"dead_letter\"}`"),
    sockets("POST", "/v1/events/requeue", Operation::Requeue, "`{\"durable\", \"position\"?, \"topic\"?}`; `?tenant`, `?agent`", "200 `{\"sent\", \"before\", \"unsent\"?, \"why\"?}`"),
];

impl Operation {
    /// The methods of `Runtime`, or of `Bus`, that it calls.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Ask => "`submit`, `join`, `stream`",
            Self::Health | Self::Ready | Self::Started => "`status`",
            Self::Live => "",
            Self::Overview => "`status`, `agents`",
            Self::Register => "`register`",
            Self::Unregister => "`unregister`",
            Self::SetLimits => "`set_limits`",
            Self::ChangeLimits => "`change_limits`",
            Self::SetTenantLimits => "`set_tenant_limits`",
            Self::ChangeTenantLimits => "`change_tenant_limits`",
            Self::TenantLimits => "`tenant_limits`",
            Self::PutSchedule => "`put_schedule`",
            Self::PauseSchedule => "`pause_schedule`",
            Self::DeleteSchedule => "`delete_schedule`",
            Self::Schedule => "`schedule`",
            Self::Schedules => "`schedules`",
            Self::Start => "`start`",
            Self::Stop => "`stop`",
            Self::Pause => "`pause`",
            Self::Resume => "`resume`",
            Self::Submit => "`submit`",
            Self::Join => "`join`",
            Self::Run => "`run`",
            Self::Stream => "`stream`",
            Self::Cancel => "`cancel`",
            Self::Decide => "`decide`",
            Self::Answer => "`answer`",
            Self::RequeueRun => "`requeue`",
            Self::Fork => "`fork`",
            Self::Messages => "`messages`",
            Self::Sessions => "`sessions`",
            Self::Agents => "`agents`",
            Self::Agent => "`agent`",
            Self::UsageHistory => "`usage_history`",
            Self::Runs => "`runs`",
            Self::RunStatus => "`run_status`",
            Self::HealthOverview => "`health`",
            Self::AgentHealth => "`agent_health`",
            Self::Status => "`status`",
            Self::SaveState => "`save_state`",
            Self::RestoreAgent => "`restore_agent`",
            Self::RestoreInPlace => "`restore_in_place`",
            Self::Snapshots => "`snapshots`",
            Self::Snapshot => "`snapshot`",
            Self::DiffSnapshots => "`diff_snapshots`",
            Self::DeleteSnapshot => "`delete_snapshot`",
            Self::RetainSnapshots => "`retain_snapshots`",
            Self::ExportSnapshot => "`export_snapshot`",
            Self::ImportSnapshot => "`import_snapshot`",
            Self::Shutdown => "`shutdown`",
            Self::Publish => "`Bus::publish`",
            Self::Listen => "`Bus::listen`, `Bus::open`, `Bus::read`",
            Self::Kept => "`Bus::read`, `Bus::find`",
            Self::Settle => "`Deliveries::done`, `Deliveries::failed`",
            Self::Requeue => "`Bus::requeue`",
        }
    }
}

const fn anywhere(
    method: &'static str,
    path: &'static str,
    operation: Operation,
    takes: &'static str,
    answers: &'static str,
) -> Route {
    Route { method, path, operation, reach: Reach::Anywhere, takes, answers }
}

const fn sockets(
    method: &'static str,
    path: &'static str,
    operation: Operation,
    takes: &'static str,
    answers: &'static str,
) -> Route {
    Route { method, path, operation, reach: Reach::Sockets, takes, answers }
}

impl Reach {
    /// As the table of the README says it.
    fn shown(self) -> &'static str {
        match self {
            Self::Anywhere => "TCP, socket",
            Self::Sockets => "socket",
        }
    }
}

/// The table of the README.
pub fn table() -> String {
    let mut table = String::from(
        "| route | on | of the contracts | takes | answers |\n| --- | --- | --- | --- | --- |\n",
    );
    for route in ROUTES {
        let Route { method, path, operation, reach, takes, answers } = route;
        let (on, methods) = (reach.shown(), operation.methods());
        writeln!(table, "| `{method} {path}` | {on} | {methods} | {takes} | {answers} |")
            .expect("writing to a string does not fail");
    }
    table
}
