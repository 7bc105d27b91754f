//! The routes and what they do: from HTTP to `Runtime` and back.

mod agents;
mod ask;
mod bus;
mod events;
mod health;
mod limits;
mod node;
mod runs;
mod schedules;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use runtime_traits::runtime::Joined;
use runtime_traits::{AgentRef, RunId, Runtime, RuntimeError};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::body::Bodies;
use crate::bus::Door;
use crate::fault::Fault;
use crate::problem::Problem;
use crate::routes::{Operation, ROUTES, Reach};

/// What every handler works with.
#[derive(Debug)]
pub(crate) struct Face {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) default_agent: Option<AgentRef>,
    pub(crate) wait_limit: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) bodies: Bodies,
    pub(crate) events: Option<Door>,
    /// Ends waits and event streams.
    pub(crate) stop: CancellationToken,
    /// Cancelled when somebody has shut the runtime down.
    pub(crate) on_shutdown: CancellationToken,
}

impl Face {
    /// The router of all [`ROUTES`].
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        self.finish(routes(|_| true, handler).fallback(no_route))
    }

    /// The router for listeners that every user of the machine can connect to.
    pub(crate) fn open_router(self: &Arc<Self>) -> Router {
        self.finish(routes(|reach| reach == Reach::Anywhere, open_handler).fallback(not_here))
    }

    fn finish(self: &Arc<Self>, router: Router<Arc<Self>>) -> Router {
        router
            .method_not_allowed_fallback(wrong_method)
            // `Bodies` bounds what is read.
            .layer(DefaultBodyLimit::disable())
            .layer(CatchPanicLayer::custom(panicked))
            .with_state(Arc::clone(self))
    }

    /// The bus, if this service has one.
    pub(crate) fn door(&self) -> Result<&Door, Fault> {
        self.events.as_ref().ok_or(Fault::NoEvents)
    }

    /// Waits for a run, at most for the wait limit and until the service stops.
    pub(crate) async fn join(&self, run: &RunId, within: Duration) -> Result<Joined, RuntimeError> {
        let within = within.min(self.wait_limit);
        tokio::select! {
            joined = self.runtime.join(run, within) => joined,
            () = self.stop.cancelled() => self.runtime.join(run, Duration::ZERO).await,
        }
    }
}

fn routes(
    let_in: impl Fn(Reach) -> bool,
    handler: fn(Operation) -> MethodRouter<Arc<Face>>,
) -> Router<Arc<Face>> {
    let routes = ROUTES.iter().filter(|route| let_in(route.reach));
    routes.fold(Router::new(), |router, route| router.route(route.path, handler(route.operation)))
}

/// Of listeners that every user of the machine can connect to.
fn open_handler(operation: Operation) -> MethodRouter<Arc<Face>> {
    match operation {
        Operation::Health => get(health::health_in_brief),
        Operation::Overview => get(node::overview_in_brief),
        other => handler(other),
    }
}

fn handler(operation: Operation) -> MethodRouter<Arc<Face>> {
    match operation {
        Operation::Ask => post(ask::ask),
        Operation::Health => get(health::health),
        Operation::Live => get(health::live),
        Operation::Ready => get(health::ready),
        Operation::Started => get(health::started),
        Operation::Overview => get(node::overview),
        Operation::Register => post(agents::register),
        Operation::Unregister => delete(agents::unregister),
        Operation::SetLimits => put(agents::set_limits),
        Operation::ChangeLimits => patch(agents::change_limits),
        Operation::SetTenantLimits => put(limits::set_tenant_limits),
        Operation::ChangeTenantLimits => patch(limits::change_tenant_limits),
        Operation::TenantLimits => get(limits::tenant_limits),
        Operation::PutSchedule => put(schedules::put_schedule),
        Operation::PauseSchedule => patch(schedules::pause_schedule),
        Operation::DeleteSchedule => delete(schedules::delete_schedule),
        Operation::Schedule => get(schedules::schedule),
        Operation::Schedules => get(schedules::schedules),
        Operation::Start => post(agents::start),
        Operation::Stop => post(agents::stop),
        Operation::Pause => post(agents::pause),
        Operation::Resume => post(agents::resume),
        Operation::Submit => post(runs::submit),
        Operation::Join => get(runs::join),
        Operation::Run => post(runs::run),
        Operation::Stream => get(runs::stream),
        Operation::Cancel => post(runs::cancel),
        Operation::Decide => post(runs::decide),
        Operation::Answer => post(runs::answer),
        Operation::RequeueRun => post(runs::requeue),
        Operation::Fork => post(runs::fork),
        Operation::Messages => get(agents::messages),
        Operation::Sessions => get(agents::sessions),
        Operation::Agents => get(agents::agents),
        Operation::Agent => get(agents::agent),
        Operation::UsageHistory => get(agents::usage_history),
        Operation::Runs => get(runs::runs),
        Operation::RunStatus => get(runs::run_status),
        Operation::HealthOverview => get(health::overview),
        Operation::AgentHealth => get(health::of_agent),
        Operation::Status => get(node::status),
        Operation::SaveState => post(snapshots::save_state),
        Operation::RestoreAgent => post(snapshots::restore_agent),
        Operation::RestoreInPlace => post(snapshots::restore_in_place),
        Operation::Snapshots => get(snapshots::snapshots),
        Operation::Snapshot => get(snapshots::snapshot),
        Operation::DiffSnapshots => get(snapshots::diff_snapshots),
        Operation::DeleteSnapshot => delete(snapshots::delete_snapshot),
        Operation::RetainSnapshots => post(snapshots::retain_snapshots),
        Operation::ExportSnapshot => get(snapshots::export_snapshot),
        Operation::ImportSnapshot => post(snapshots::import_snapshot),
        Operation::Shutdown => post(node::shutdown),
        Operation::Publish => post(bus::publish),
        Operation::Listen => get(bus::tail),
        Operation::Kept => get(bus::kept),
        Operation::Settle => post(bus::settle),
        Operation::Requeue => post(bus::requeue),
    }
}

async fn no_route(request: Request) -> Problem {
    let path = shown(request.uri().path());
    Fault::NoRoute { path }.into()
}

/// For TCP: what is under `/v1` and not let in answers elsewhere.
async fn not_here(request: Request) -> Problem {
    let path = request.uri().path();
    if path == "/v1" || path.starts_with("/v1/") {
        return Fault::SocketOnly { path: shown(path) }.into();
    }
    no_route(request).await
}

async fn wrong_method(request: Request) -> Problem {
    let path = shown(request.uri().path());
    let method = shown(request.method().as_str());
    Fault::WrongMethod { path, method }.into()
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = said, "a handler panicked");
    Problem::from(Fault::Panicked).into_response()
}

/// What a caller sent, short enough for an answer.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
