//! The routes of snapshots.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime_traits::runtime::{Page, SnapshotFilter};
use runtime_traits::snapshot::{Retention, SnapshotDiff, SnapshotInfo, SnapshotView};
use runtime_traits::{AgentRef, StateId};

use crate::extract::{Asked, Named, Sent, is_file};
use crate::face::Face;
use crate::fault::Fault;
use crate::problem::Problem;
use crate::wire::{AgentAnswer, DeletedAnswer, OtherState, RestoreBody, SNAPSHOT_FILE, StateAnswer};

type Shared = State<Arc<Face>>;

pub(super) async fn save_state(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
) -> Result<(StatusCode, Json<StateAnswer>), Problem> {
    let state = face.runtime.save_state(&agent).await?;
    Ok((StatusCode::CREATED, Json(StateAnswer { state })))
}

pub(super) async fn restore_agent(
    State(face): Shared,
    Named(state): Named<StateId>,
    Sent(body): Sent<RestoreBody>,
) -> Result<(StatusCode, Json<AgentAnswer>), Problem> {
    let agent = face.runtime.restore_agent(&state, body.name).await?;
    Ok((StatusCode::CREATED, Json(AgentAnswer { agent })))
}

pub(super) async fn restore_in_place(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(body): Sent<StateAnswer>,
) -> Result<StatusCode, Problem> {
    face.runtime.restore_in_place(&body.state, &agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn snapshots(
    State(face): Shared,
    Asked(filter): Asked<SnapshotFilter>,
) -> Result<Json<Page<SnapshotInfo>>, Problem> {
    Ok(Json(face.runtime.snapshots(filter).await?))
}

pub(super) async fn snapshot(
    State(face): Shared,
    Named(state): Named<StateId>,
) -> Result<Json<SnapshotView>, Problem> {
    Ok(Json(face.runtime.snapshot(&state).await?))
}

pub(super) async fn diff_snapshots(
    State(face): Shared,
    Named(before): Named<StateId>,
    Asked(other): Asked<OtherState>,
) -> Result<Json<SnapshotDiff>, Problem> {
    Ok(Json(face.runtime.diff_snapshots(&before, &other.after).await?))
}

pub(super) async fn delete_snapshot(
    State(face): Shared,
    Named(state): Named<StateId>,
) -> Result<StatusCode, Problem> {
    face.runtime.delete_snapshot(&state).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn retain_snapshots(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(retention): Sent<Retention>,
) -> Result<Json<DeletedAnswer>, Problem> {
    let deleted = face.runtime.retain_snapshots(&agent, retention).await?;
    Ok(Json(DeletedAnswer { deleted }))
}

/// The file as it is read; where that breaks off, so does the connection.
pub(super) async fn export_snapshot(
    State(face): Shared,
    Named(state): Named<StateId>,
) -> Result<Response, Problem> {
    let file = face.runtime.export_snapshot(&state).await?;
    let media = [(header::CONTENT_TYPE, HeaderValue::from_static(SNAPSHOT_FILE))];
    Ok((media, Body::from_stream(file)).into_response())
}

pub(super) async fn import_snapshot(
    State(face): Shared,
    request: Request,
) -> Result<(StatusCode, Json<StateAnswer>), Problem> {
    let (parts, body) = request.into_parts();
    if !is_file(&parts.headers) {
        return Err(Fault::NoFile.into());
    }
    let (file, rest) = face.bodies.stream(body);
    match face.runtime.import_snapshot(file).await {
        Ok(state) => Ok((StatusCode::CREATED, Json(StateAnswer { state }))),
        Err(error) => {
            face.bodies.discard_rest(&rest).await;
            Err(error.into())
        }
    }
}
