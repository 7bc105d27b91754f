//! What handlers take from a request; whatever is wrong with it becomes a problem document.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use runtime_traits::bus::Event;
use runtime_traits::store::Seq;
use runtime_traits::{Cause, IdempotencyKey, NameError, RuntimeError};
use serde::de::DeserializeOwned;

use crate::face::Face;
use crate::fault::Fault;
use crate::problem::Problem;
use crate::wire::bus::{CLOUD_EVENT, event_of};
use crate::wire::{IDEMPOTENCY_KEY, LAST_EVENT_ID, SNAPSHOT_FILE};

/// The one parameter of the path.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

/// The two parameters of the path.
#[derive(Debug)]
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

/// The query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

/// The body, as JSON.
#[derive(Debug)]
pub(crate) struct Sent<T>(pub(crate) T);

/// The body, as a CloudEvent in JSON.
#[derive(Debug)]
pub(crate) struct CloudEvent(pub(crate) Event);

impl<T> FromRequestParts<Arc<Face>> for Named<T>
where
    T: FromStr<Err = NameError>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, face: &Arc<Face>) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, face).await.map_err(|_| Fault::BadPath)?;
        let text = params.iter().next().map_or("", |(_, value)| value);
        let named = text.parse().map_err(RuntimeError::Name)?;
        Ok(Self(named))
    }
}

impl<A, B> FromRequestParts<Arc<Face>> for Both<A, B>
where
    A: FromStr<Err = NameError>,
    B: FromStr<Err = NameError>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, face: &Arc<Face>) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, face).await.map_err(|_| Fault::BadPath)?;
        let mut texts = params.iter().map(|(_, value)| value);
        let first = texts.next().unwrap_or_default().parse().map_err(RuntimeError::Name)?;
        let second = texts.next().unwrap_or_default().parse().map_err(RuntimeError::Name)?;
        Ok(Self(first, second))
    }
}

impl<T> FromRequestParts<Arc<Face>> for Asked<T>
where
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Face>) -> Result<Self, Problem> {
        let Query(asked) =
            Query::try_from_uri(&parts.uri).map_err(|rejection| Fault::BadQuery(Cause::of(&rejection)))?;
        Ok(Self(asked))
    }
}

impl<T> FromRequest<Arc<Face>> for Sent<T>
where
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, face: &Arc<Face>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Fault::WrongMediaType.into());
        }
        let bytes = face.bodies.read(&parts.headers, body).await?;
        let sent =
            serde_json::from_slice(&bytes).map_err(|error| Fault::BadJson(Cause::says(error.to_string())))?;
        Ok(Self(sent))
    }
}

impl FromRequest<Arc<Face>> for CloudEvent {
    type Rejection = Problem;

    async fn from_request(request: Request, face: &Arc<Face>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_of(&parts.headers, CLOUD_EVENT) && !is_json(&parts.headers) {
            return Err(Fault::NoCloudEvent.into());
        }
        let bytes = face.bodies.read(&parts.headers, body).await?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|error| Fault::BadJson(Cause::says(error.to_string())))?;
        Ok(Self(event_of(text)?))
    }
}

/// The caller's idempotency key.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(text) = single(headers, IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let key = IdempotencyKey::new(text).map_err(RuntimeError::Name)?;
    Ok(Some(key))
}

/// The number of the entry that the reader saw last.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<Seq>, Problem> {
    let Some(text) = single(headers, LAST_EVENT_ID)? else {
        return Ok(None);
    };
    let seq = text.parse().map_err(|_| Fault::BadHeader {
        name: LAST_EVENT_ID,
        problem: "is no number of an entry or place of an event",
    })?;
    Ok(Some(Seq(seq)))
}

/// Whether the caller wants events rather than one answer.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).into_iter();
    ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The text of a header that may be there once.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let problem = "is there twice; send it once";
        return Err(Fault::BadHeader { name, problem });
    }
    let text = value
        .to_str()
        .map_err(|_| Fault::BadHeader { name, problem: "holds other bytes than visible ASCII" })?;
    Ok(Some(text))
}

fn is_json(headers: &HeaderMap) -> bool {
    is_of(headers, "application/json")
}

/// Whether the body is a snapshot file.
pub(crate) fn is_file(headers: &HeaderMap) -> bool {
    is_of(headers, SNAPSHOT_FILE)
}

fn is_of(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(wanted))
}
