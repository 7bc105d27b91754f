//! The routes of the runtime itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::UnixMillis;
use runtime_traits::runtime::{AgentStatus, NodeStatus, Readiness};
use serde::Serialize;
use tokio::time::timeout;

use crate::extract::Sent;
use crate::face::Face;
use crate::problem::Problem;
use crate::wire::Within;

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
}

/// What there is.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    node: NodeStatus,
    agents: Vec<AgentStatus>,
    next: Option<String>,
}

pub(super) async fn health(State(face): Shared) -> (StatusCode, Json<Health>) {
    let asked = timeout(HEALTH_WITHIN, face.runtime.status()).await;
    let health = match asked {
        Ok(Ok(status)) => healthy(status),
        Ok(Err(error)) => silent(error.to_string()),
        Err(_) => silent(format!("no answer within {} s", HEALTH_WITHIN.as_secs())),
    };
    let code = if health.readiness == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}

pub(super) async fn overview(State(face): Shared) -> Result<Json<Overview>, Problem> {
    let node = face.runtime.status().await?;
    let page = face.runtime.agents(None, 0).await?;
    Ok(Json(Overview { node, agents: page.items, next: page.next }))
}

pub(super) async fn status(State(face): Shared) -> Result<Json<NodeStatus>, Problem> {
    Ok(Json(face.runtime.status().await?))
}

pub(super) async fn shutdown(State(face): Shared, Sent(within): Sent<Within>) -> Result<StatusCode, Problem> {
    face.runtime.shutdown(within.duration()).await?;
    face.on_shutdown.cancel();
    Ok(StatusCode::NO_CONTENT)
}

fn healthy(status: NodeStatus) -> Health {
    let (readiness, reason) = match status.readiness {
        Readiness::Ready => ("ready", None),
        Readiness::Draining => ("draining", None),
        Readiness::StoreFailed(reason) => ("store_failed", Some(reason)),
    };
    // A runtime without open runs has nothing to get on with.
    let no_progress_since = status.last_progress.filter(|_| status.open_runs > 0);
    Health {
        readiness,
        reason,
        open_runs: Some(status.open_runs),
        store: Some(status.store.name),
        no_progress_since,
    }
}

fn silent(reason: String) -> Health {
    Health {
        readiness: "unknown",
        reason: Some(reason),
        open_runs: None,
        store: None,
        no_progress_since: None,
    }
}
