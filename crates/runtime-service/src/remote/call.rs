//! One request and its answer.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::{Method, Request, Response, header};
use runtime_traits::bus::BusError;
use runtime_traits::{Cause, RuntimeError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::problem::Problem;
use crate::remote::RemoteRuntime;
use crate::remote::backoff::Backoff;

/// The most bytes of an answer.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The other side could not be reached, or broke off: the request may or may not have been done.
    Away {
        cause: Cause,
        /// How long it took to find out, at least.
        spent: Duration,
    },
    /// Nothing was sent: nobody listens there.
    Unreached { cause: Cause },
    /// The other side refused.
    Said(RuntimeError),
    /// The other side's bus refused.
    OfBus(Box<BusError>),
    /// The other side answered something that no `AgentService` answers.
    Nonsense(Cause),
}

/// What is worth asking again, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) enum Again {
    /// Nothing: the request changes something.
    Never,
    /// A connection that broke.
    Broken(Backoff),
    /// Also a runtime that is ending: it may be on its way back.
    Ending(Backoff),
}

impl RemoteRuntime {
    /// A request for a path.
    pub(super) fn request(&self, method: Method, segments: &[&str]) -> Request {
        Request::new(method, self.place.url(segments))
    }

    /// A request that carries `body`.
    pub(super) fn sending<T: Serialize>(
        &self,
        method: Method,
        segments: &[&str],
        body: &T,
    ) -> Result<Request, RuntimeError> {
        let bytes = serde_json::to_vec(body).map_err(|error| self.unreachable(Cause::of(&error)))?;
        let mut request = self.request(method, segments);
        let media = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, media);
        *request.body_mut() = Some(bytes.into());
        Ok(request)
    }

    /// Asks until there is an answer or asking again is not worth it, and reads the answer's JSON.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request,
        extra: Duration,
        again: Again,
    ) -> Result<T, RuntimeError> {
        let bytes = self.answer(request, extra, again).await?;
        self.parsed(&bytes)
    }

    /// Asks for something that can be sent once, and reads the answer's JSON.
    pub(super) async fn ask_once<T: DeserializeOwned>(
        &self,
        request: Request,
        within: Duration,
    ) -> Result<T, RuntimeError> {
        let bytes = self.once(request, within).await.map_err(|failure| self.error(failure))?;
        self.parsed(&bytes)
    }

    fn parsed<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, RuntimeError> {
        serde_json::from_slice(bytes).map_err(|error| self.error(Failure::Nonsense(Cause::of(&error))))
    }

    /// Asks for something whose answer is empty.
    pub(super) async fn tell(&self, request: Request, extra: Duration) -> Result<(), RuntimeError> {
        self.answer(request, extra, Again::Never).await.map(drop)
    }

    async fn answer(
        &self,
        request: Request,
        extra: Duration,
        again: Again,
    ) -> Result<BytesMut, RuntimeError> {
        self.patient(request, extra, again).await.map_err(|failure| self.error(failure))
    }

    /// Asks until there is an answer or asking again is not worth it.
    pub(super) async fn patient(
        &self,
        request: Request,
        extra: Duration,
        mut again: Again,
    ) -> Result<BytesMut, Failure> {
        let within = self.deadlines.answer.saturating_add(extra);
        loop {
            let failure = match self.once(copy(&request), within).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            let Some(wait) = again.after(&failure) else {
                return Err(failure);
            };
            sleep(wait).await;
        }
    }

    pub(super) async fn once(&self, request: Request, within: Duration) -> Result<BytesMut, Failure> {
        let asked = async { read(self.send(request).await?).await };
        timeout(within, asked).await.unwrap_or_else(|_| Err(silence(within)))
    }

    /// Sends a request, and takes the answer's status and headers. The caller sets the deadline.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Failure> {
        let response = self.client.execute(request).await.map_err(away)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read(response).await?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { error: Some(error), .. }) => Failure::Said(*error),
            Ok(Problem { bus: Some(error), .. }) => Failure::OfBus(error),
            Ok(problem) if status.as_u16() == 503 => {
                Failure::Away { cause: Cause::says(problem.detail), spent: Duration::ZERO }
            }
            Ok(problem) => Failure::Nonsense(Cause::says(problem.detail)),
            Err(_) => Failure::Nonsense(Cause::says(format!("it answered {status}"))),
        })
    }

    /// The error for a failure that is final.
    pub(super) fn error(&self, failure: Failure) -> RuntimeError {
        match failure {
            Failure::Said(error) => error,
            Failure::OfBus(error) => self.unreachable(Cause::of(&*error)),
            Failure::Away { cause, .. } | Failure::Unreached { cause } | Failure::Nonsense(cause) => {
                self.unreachable(cause)
            }
        }
    }

    fn unreachable(&self, cause: Cause) -> RuntimeError {
        let at = self.place.to_string();
        RuntimeError::Unreachable { at, cause }
    }
}

impl Again {
    /// How long to wait before asking again after `failure`; `None` when that is not worth it.
    pub(super) fn after(&mut self, failure: &Failure) -> Option<Duration> {
        match (self, failure) {
            (Self::Broken(backoff) | Self::Ending(backoff), Failure::Away { spent, .. }) => {
                backoff.after(*spent)
            }
            (Self::Broken(backoff) | Self::Ending(backoff), Failure::Unreached { .. }) => {
                backoff.after(Duration::ZERO)
            }
            (Self::Ending(backoff), Failure::OfBus(error)) if error.is_transient() => {
                backoff.after(Duration::ZERO)
            }
            (Self::Ending(backoff), Failure::Said(RuntimeError::ShuttingDown)) => {
                backoff.after(Duration::ZERO)
            }
            _ => None,
        }
    }
}

/// Says that nothing came in time.
pub(super) fn silence(within: Duration) -> Failure {
    Failure::Away { cause: Cause::says(format!("nothing came within {within:?}")), spent: within }
}

/// Says that the connection failed. The place is named elsewhere.
pub(super) fn away(error: reqwest::Error) -> Failure {
    let nothing_sent = error.is_connect();
    let cause = Cause::of(&error.without_url());
    if nothing_sent { Failure::Unreached { cause } } else { Failure::Away { cause, spent: Duration::ZERO } }
}

async fn read(mut response: Response) -> Result<BytesMut, Failure> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(away)? {
        if body.len() + part.len() > ANSWER_LIMIT {
            let cause = format!("its answer has more than {ANSWER_LIMIT} bytes");
            return Err(Failure::Nonsense(Cause::says(cause)));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// The same request once more: its body is held in memory.
fn copy(request: &Request) -> Request {
    request.try_clone().expect("the body is no stream")
}
