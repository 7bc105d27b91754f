//! The routes of schedules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::runtime::Page;
use runtime_traits::schedule::{Schedule, ScheduleFilter, ScheduleView};
use runtime_traits::{AgentRef, Name};

use crate::extract::{Asked, Both, Named, Sent};
use crate::face::Face;
use crate::problem::Problem;
use crate::wire::{PauseBody, ScheduledBy};

type Shared = State<Arc<Face>>;

pub(super) async fn put_schedule(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Asked(ScheduledBy { by }): Asked<ScheduledBy>,
    Sent(schedule): Sent<Schedule>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(face.runtime.put_schedule(&agent, schedule, by).await?))
}

pub(super) async fn pause_schedule(
    State(face): Shared,
    Both(agent, name): Both<AgentRef, Name>,
    Sent(PauseBody { paused }): Sent<PauseBody>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(face.runtime.pause_schedule(&agent, &name, paused).await?))
}

pub(super) async fn delete_schedule(
    State(face): Shared,
    Both(agent, name): Both<AgentRef, Name>,
) -> Result<StatusCode, Problem> {
    face.runtime.delete_schedule(&agent, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn schedule(
    State(face): Shared,
    Both(agent, name): Both<AgentRef, Name>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(face.runtime.schedule(&agent, &name).await?))
}

pub(super) async fn schedules(
    State(face): Shared,
    Asked(filter): Asked<ScheduleFilter>,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    Ok(Json(face.runtime.schedules(filter).await?))
}
