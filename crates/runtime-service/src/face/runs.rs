//! The routes of runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime_traits::runtime::{CancelReceipt, ForkRequest, Joined, Page, RunFilter};
use runtime_traits::store::Seq;
use runtime_traits::{AgentRef, RunId, RunRequest, RunView};

use crate::extract::{Asked, Named, Sent, last_event_id};
use crate::face::{Face, events};
use crate::problem::Problem;
use crate::wire::{AnswerBody, CancelBody, DecideBody, From, RunAnswer, Within};

type Shared = State<Arc<Face>>;

pub(super) async fn submit(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(request): Sent<RunRequest>,
) -> Result<Response, Problem> {
    let submitted = face.runtime.submit(&agent, request).await?;
    let location = location(&submitted.run);
    Ok((StatusCode::ACCEPTED, [location], Json(submitted)).into_response())
}

pub(super) async fn run(
    State(face): Shared,
    Named(agent): Named<AgentRef>,
    Sent(request): Sent<RunRequest>,
) -> Result<Response, Problem> {
    let submitted = face.runtime.submit(&agent, request).await?;
    let joined = face.join(&submitted.run, face.wait_limit).await?;
    let status = match &joined {
        Joined::Ended(_) => StatusCode::OK,
        Joined::Open(_) => StatusCode::ACCEPTED,
    };
    Ok((status, [location(&submitted.run)], Json(joined)).into_response())
}

pub(super) async fn join(
    State(face): Shared,
    Named(run): Named<RunId>,
    Asked(within): Asked<Within>,
) -> Result<Json<Joined>, Problem> {
    Ok(Json(face.join(&run, within.duration()).await?))
}

pub(super) async fn stream(
    State(face): Shared,
    Named(run): Named<RunId>,
    Asked(From { from }): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let from = last_event_id(&headers)?.map_or(from, after);
    let stream = face.runtime.stream(&run, from).await?;
    Ok(events::events(&face, stream))
}

pub(super) async fn cancel(
    State(face): Shared,
    Named(run): Named<RunId>,
    Sent(body): Sent<CancelBody>,
) -> Result<Json<CancelReceipt>, Problem> {
    let within = Within { within_ms: body.within_ms };
    let receipt = face.runtime.cancel(&run, &body.reason, within.duration()).await?;
    Ok(Json(receipt))
}

pub(super) async fn decide(
    State(face): Shared,
    Named(run): Named<RunId>,
    Sent(body): Sent<DecideBody>,
) -> Result<StatusCode, Problem> {
    face.runtime.decide(&run, &body.step, body.decision).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn answer(
    State(face): Shared,
    Named(run): Named<RunId>,
    Sent(body): Sent<AnswerBody>,
) -> Result<StatusCode, Problem> {
    face.runtime.answer(&run, &body.step, body.reply).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn requeue(State(face): Shared, Named(run): Named<RunId>) -> Result<StatusCode, Problem> {
    face.runtime.requeue(&run).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn fork(
    State(face): Shared,
    Named(run): Named<RunId>,
    Sent(request): Sent<ForkRequest>,
) -> Result<Response, Problem> {
    let run = face.runtime.fork(&run, request).await?;
    Ok((StatusCode::CREATED, [location(&run)], Json(RunAnswer { run })).into_response())
}

pub(super) async fn runs(
    State(face): Shared,
    Asked(filter): Asked<RunFilter>,
) -> Result<Json<Page<RunView>>, Problem> {
    Ok(Json(face.runtime.runs(filter).await?))
}

pub(super) async fn run_status(
    State(face): Shared,
    Named(run): Named<RunId>,
) -> Result<Json<RunView>, Problem> {
    Ok(Json(face.runtime.run_status(&run).await?))
}

/// Where a run is looked at.
pub(super) fn location(run: &RunId) -> (HeaderName, String) {
    (header::LOCATION, format!("/v1/runs/{run}"))
}

/// The entry after the one that was seen last.
pub(super) fn after(last: Seq) -> Seq {
    Seq(last.0.saturating_add(1))
}
