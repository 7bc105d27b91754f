//! Problem documents (RFC 9457): what every refusal looks like on the wire.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime_traits::RuntimeError;
use runtime_traits::bus::BusError;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::status::{retry_after, status_of, status_of_bus};

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

const TYPE_PREFIX: &str = "urn:agent-runtime:problem:";

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What sort of problem: stable, for programs.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The sort in words.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What is wrong, and what to do about it.
    pub(crate) detail: String,
    /// The error itself, so that a client has what a local caller has. Faults of the request have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<RuntimeError>>,
    /// The error of a bus, of routes of the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bus: Option<Box<BusError>>,
    /// When to ask again: a header.
    #[serde(skip)]
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    fn new(code: &str, status: u16, detail: String) -> Self {
        Self {
            kind: format!("{TYPE_PREFIX}{code}"),
            title: title(code),
            status,
            detail,
            error: None,
            bus: None,
            retry_after: None,
        }
    }

    /// The document as JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a problem holds nothing that JSON cannot")
    }
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        let mut problem = Self::new(error.code(), status_of(&error), error.to_string());
        problem.retry_after = retry_after(&error);
        problem.error = Some(Box::new(error));
        problem
    }
}

impl From<BusError> for Problem {
    fn from(error: BusError) -> Self {
        let mut problem = Self::new(error.code(), status_of_bus(&error), error.to_string());
        problem.retry_after = error.is_transient().then_some(Duration::from_secs(1));
        problem.bus = Some(Box::new(error));
        problem
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let mut problem = Self::new(fault.code(), fault.status(), fault.to_string());
        problem.retry_after = fault.retry_after();
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media = HeaderValue::from_static(MEDIA_TYPE);
        let mut response = (status, [(header::CONTENT_TYPE, media)], self.to_json()).into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000).max(1);
            let value = HeaderValue::try_from(seconds.to_string()).expect("digits are a header");
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// `unknown-agent` is titled `Unknown agent`.
fn title(code: &str) -> String {
    let words = code.replace('-', " ");
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => words,
    }
}
