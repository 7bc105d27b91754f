//! The routes of what all agents may use together.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime_traits::ResourceLimits;
use runtime_traits::resource::{LimitsChange, TenantLimits};

use crate::extract::{Asked, Sent};
use crate::face::Face;
use crate::problem::Problem;
use crate::wire::LimitsBy;

type Shared = State<Arc<Face>>;

pub(super) async fn set_tenant_limits(
    State(face): Shared,
    Asked(LimitsBy { by }): Asked<LimitsBy>,
    Sent(limits): Sent<ResourceLimits>,
) -> Result<StatusCode, Problem> {
    face.runtime.set_tenant_limits(limits, by).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn change_tenant_limits(
    State(face): Shared,
    Sent(change): Sent<LimitsChange>,
) -> Result<StatusCode, Problem> {
    face.runtime.change_tenant_limits(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn tenant_limits(State(face): Shared) -> Result<Json<TenantLimits>, Problem> {
    Ok(Json(face.runtime.tenant_limits().await?))
}
