//! How the runtime and its agents are.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::health::{HealthOverview, HealthReport, Verdict};
use runtime_traits::runtime::{NodeStatus, Readiness};
use runtime_traits::{AgentRef, UnixMillis};
use serde::Serialize;
use tokio::time::timeout;

use crate::extract::Named;
use crate::face::Face;
use crate::problem::Problem;

type Shared = State<Arc<Face>>;

/// How long the runtime may take to say how it is.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);

/// How it is, small enough to be asked for every second.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    readiness: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    open_runs: Option<u64>,
    store: Option<String>,
    /// When a run last got on, while runs are open; in milliseconds since 1970.
    no_progress_since: Option<UnixMillis>,
    /// The worst of all that is monitored.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    /// What is worst, and why; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<String>,
}

/// What a probe is told: the status code says it, this is for people.
#[derive(Debug, Serialize)]
pub(super) struct Probed {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn health(State(face): Shared) -> (StatusCode, Json<Health>) {
    let health = match status(&face).await {
        Ok(status) => healthy(status),
        Err(reason) => silent(reason),
    };
    (code(health.readiness == "ready"), Json(health))
}

/// The same for whoever can connect to a port: what is worst and by which check, without the reason. That may name runs, whose ids let
/// one read them, and tell what they said.
pub(super) async fn health_in_brief(State(face): Shared) -> (StatusCode, Json<Health>) {
    let (code, Json(mut health)) = health(State(Arc::clone(&face))).await;
    if health.worst.take().is_some() {
        health.worst = worst_in_brief(&face).await;
    }
    (code, Json(health))
}

/// The process answers: it needs no end, whatever else is wrong.
pub(super) async fn live() -> (StatusCode, Json<Probed>) {
    probed(Ok(()))
}

/// Whether it takes runs: not while it drains, and not while its store is away.
pub(super) async fn ready(State(face): Shared) -> (StatusCode, Json<Probed>) {
    probed(status(&face).await.and_then(|status| match status.readiness {
        Readiness::Ready => Ok(()),
        Readiness::Draining => Err("it is ending, and takes no more runs".to_owned()),
        Readiness::StoreFailed(cause) => Err(format!("its store fails: {cause}")),
    }))
}

/// Whether it has begun: the store is taken over, and what was open in it goes on.
pub(super) async fn started(State(face): Shared) -> (StatusCode, Json<Probed>) {
    probed(status(&face).await.map(drop))
}

pub(super) async fn overview(State(face): Shared) -> Result<Json<HealthOverview>, Problem> {
    Ok(Json(face.runtime.health().await?))
}

pub(super) async fn of_agent(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<Json<HealthReport>, Problem> {
    Ok(Json(face.runtime.agent_health(&agent).await?))
}

/// What is worst, and by which of its checks; `None` where nobody says so in time.
pub(super) async fn worst_in_brief(face: &Face) -> Option<String> {
    let overview = timeout(HEALTH_WITHIN, face.runtime.health()).await.ok()?.ok()?;
    overview.reports.first().map(in_brief)
}

fn in_brief(report: &HealthReport) -> String {
    let worst = report.checks.iter().filter(|check| check.health.verdict == report.health.verdict);
    let names: Vec<_> = worst.map(|check| check.name.as_str()).collect();
    format!("{}: {}", report.watched, names.join(", "))
}

/// The status of the runtime, or why there is none.
async fn status(face: &Face) -> Result<NodeStatus, String> {
    match timeout(HEALTH_WITHIN, face.runtime.status()).await {
        Ok(status) => status.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", HEALTH_WITHIN.as_secs())),
    }
}

fn code(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn probed(probe: Result<(), String>) -> (StatusCode, Json<Probed>) {
    (code(probe.is_ok()), Json(Probed { ok: probe.is_ok(), reason: probe.err() }))
}

fn healthy(status: NodeStatus) -> Health {
    let (readiness, reason) = match status.readiness {
        Readiness::Ready => ("ready", None),
        Readiness::Draining => ("draining", None),
        Readiness::StoreFailed(reason) => ("store_failed", Some(reason)),
    };
    // A runtime without open runs has nothing to get on with.
    let no_progress_since = status.last_progress.filter(|_| status.open_runs > 0);
    let verdict = status.health.as_ref().map(|health| health.verdict);
    Health {
        readiness,
        reason,
        open_runs: Some(status.open_runs),
        store: Some(status.store.name),
        no_progress_since,
        verdict,
        worst: status.health.filter(|health| health.verdict != Verdict::Healthy).map(|health| health.reason),
    }
}

fn silent(reason: String) -> Health {
    Health {
        readiness: "unknown",
        reason: Some(reason),
        open_runs: None,
        store: None,
        no_progress_since: None,
        verdict: None,
        worst: None,
    }
}
