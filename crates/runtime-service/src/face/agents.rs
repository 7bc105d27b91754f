//! The routes of agents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::resource::{LimitsChange, UsageHistory};
use runtime_traits::runtime::{AgentStatus, Page, Said, SessionStatus};
use runtime_traits::{AgentRef, AgentSpec, ResourceLimits};

use crate::extract::{Asked, Named, Sent};
use crate::face::Face;
use crate::problem::Problem;
use crate::wire::{AgentAnswer, Paging, Which};

type Shared = State<Arc<Face>>;

pub(super) async fn register(
    State(face): Shared,
    Sent(spec): Sent<AgentSpec>,
) -> Result<Json<AgentAnswer>, Problem> {
    let agent = face.runtime.register(spec).await?;
    Ok(Json(AgentAnswer { agent }))
}

pub(super) async fn unregister(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<StatusCode, Problem> {
    face.runtime.unregister(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn set_limits(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(limits): Sent<ResourceLimits>,
) -> Result<StatusCode, Problem> {
    face.runtime.set_limits(&agent, limits).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn change_limits(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(change): Sent<LimitsChange>,
) -> Result<StatusCode, Problem> {
    face.runtime.change_limits(&agent, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn start(State(face): Shared, Named(agent): Named<AgentRef>) -> Result<StatusCode, Problem> {
    face.runtime.start(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn stop(State(face): Shared, Named(agent): Named<AgentRef>) -> Result<StatusCode, Problem> {
    face.runtime.stop(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(State(face): Shared, Named(agent): Named<AgentRef>) -> Result<StatusCode, Problem> {
    face.runtime.pause(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn resume(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<StatusCode, Problem> {
    face.runtime.resume(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn agents(
    State(face): Shared,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<AgentStatus>>, Problem> {
    let page = face.runtime.agents(paging.after.as_deref(), paging.limit).await?;
    Ok(Json(page))
}

pub(super) async fn usage_history(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<Json<UsageHistory>, Problem> {
    let history = face.runtime.usage_history(&agent).await?;
    Ok(Json(history))
}

pub(super) async fn agent(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<Json<AgentStatus>, Problem> {
    Ok(Json(face.runtime.agent(&agent).await?))
}

pub(super) async fn sessions(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<SessionStatus>>, Problem> {
    Ok(Json(face.runtime.sessions(&agent, paging.after.as_deref(), paging.limit).await?))
}

pub(super) async fn messages(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Asked(which): Asked<Which>,
) -> Result<Json<Page<Said>>, Problem> {
    let Which { session, before, limit } = which;
    Ok(Json(face.runtime.messages(&agent, &session, before.as_deref(), limit).await?))
}
