//! The routes of the runtime itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::health::Verdict;
use runtime_traits::runtime::{AgentStatus, NodeStatus};
use serde::Serialize;

use super::health::worst_in_brief;
use crate::extract::Sent;
use crate::face::Face;
use crate::problem::Problem;
use crate::wire::Within;

type Shared = State<Arc<Face>>;

/// What there is.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    node: NodeStatus,
    agents: Vec<AgentStatus>,
    next: Option<String>,
}

pub(super) async fn overview(State(face): Shared) -> Result<Json<Overview>, Problem> {
    let node = face.runtime.status().await?;
    let page = face.runtime.agents(None, 0).await?;
    Ok(Json(Overview { node, agents: page.items, next: page.next }))
}

/// The same for whoever can connect to a port: nothing of runs, whose ids let one read them.
pub(super) async fn overview_in_brief(State(face): Shared) -> Result<Json<Overview>, Problem> {
    let Json(mut overview) = overview(State(Arc::clone(&face))).await?;
    overview.node.process.long_polls.clear();
    if let Some(scrub) = &mut overview.node.scrub {
        // How many places are damaged is in the pass.
        scrub.findings.clear();
    }
    if let Some(health) = overview.node.health.as_mut().filter(|health| health.verdict != Verdict::Healthy) {
        health.reason = worst_in_brief(&face).await.unwrap_or_default();
    }
    Ok(Json(overview))
}

pub(super) async fn status(State(face): Shared) -> Result<Json<NodeStatus>, Problem> {
    Ok(Json(face.runtime.status().await?))
}

pub(super) async fn shutdown(State(face): Shared, Sent(within): Sent<Within>) -> Result<StatusCode, Problem> {
    face.runtime.shutdown(within.duration()).await?;
    face.on_shutdown.cancel();
    Ok(StatusCode::NO_CONTENT)
}
