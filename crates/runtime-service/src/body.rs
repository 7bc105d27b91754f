//! Reads the body of a request: bounded in size, in time, and in how many large ones are held at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use runtime_traits::snapshot::SnapshotFile;
use runtime_traits::{Cause, RuntimeError};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::problem::Problem;

/// A body up to this size needs no permit.
const SMALL: usize = 1024 * 1024;
/// How many larger ones are held at once.
const LARGE_AT_ONCE: usize = 8;
/// How much of a body that is too large is taken and thrown away, so that its sender reads the answer.
const LINGER: u64 = 256 * 1024 * 1024;

/// What a body may be.
#[derive(Debug)]
pub(crate) struct Bodies {
    limit: usize,
    quiet: Duration,
    large: Semaphore,
}

/// What is still to come of a body that somebody reads.
pub(crate) type Rest = Arc<Mutex<BodyDataStream>>;

impl Bodies {
    /// Bodies of at most `limit` bytes that never pause for longer than `quiet`.
    pub(crate) fn new(limit: usize, quiet: Duration) -> Self {
        Self { limit, quiet, large: Semaphore::new(LARGE_AT_ONCE) }
    }

    /// Reads a body to its end.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut parts = body.into_data_stream();
        if let Some(size) = announced.filter(|size| *size > self.limit as u64) {
            // Who expects a 100 has sent nothing yet, and reads the refusal instead.
            if !headers.contains_key(header::EXPECT) {
                self.discard(&mut parts).await;
            }
            return Err(self.too_large(size));
        }
        let mut permit = None;
        let mut held = BytesMut::new();
        while let Some(part) = self.next(&mut parts).await? {
            let size = held.len() + part.len();
            if size > self.limit {
                drop(held);
                let more = self.discard(&mut parts).await;
                return Err(self.too_large(size as u64 + more));
            }
            if size > SMALL && permit.is_none() {
                permit = Some(self.large.try_acquire().map_err(|_| Fault::TooManyBodies)?);
            }
            held.extend_from_slice(&part);
        }
        Ok(held.freeze())
    }

    /// A body of any length, piece by piece, and what is left of it.
    pub(crate) fn stream(&self, body: Body) -> (SnapshotFile, Rest) {
        let rest = Arc::new(Mutex::new(body.into_data_stream()));
        let quiet = self.quiet;
        let file = unfold(Some(Arc::clone(&rest)), move |rest| async move {
            let rest = rest?;
            let next = timeout(quiet, rest.lock().await.next()).await;
            let broken = |reason: String| Some((Err(RuntimeError::BadSnapshotFile { reason }), None));
            match next {
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(rest))),
                Ok(Some(Err(error))) => broken(format!("it broke off: {}", Cause::of(&error))),
                Ok(None) => None,
                Err(_) => broken(format!("nothing came for {} s", quiet.as_secs())),
            }
        });
        (Box::pin(file), rest)
    }

    /// Takes what nobody reads any more.
    pub(crate) async fn discard_rest(&self, rest: &Rest) {
        self.discard(&mut *rest.lock().await).await;
    }

    async fn next<E: std::error::Error>(
        &self,
        parts: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<Option<Bytes>, Fault> {
        match timeout(self.quiet, parts.next()).await {
            Ok(Some(Ok(part))) => Ok(Some(part)),
            Ok(Some(Err(error))) => Err(Fault::BadBody(Cause::of(&error))),
            Ok(None) => Ok(None),
            Err(_) => Err(Fault::BodyTimeout { quiet: self.quiet }),
        }
    }

    /// Takes what is still being sent, up to a bound, and says how much it was. Closing a connection on unread bytes
    /// resets it, and the sender would see that instead of the answer.
    async fn discard<E: std::error::Error>(
        &self,
        parts: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> u64 {
        let mut taken = 0;
        while taken < LINGER {
            match self.next(parts).await {
                Ok(Some(part)) => taken += part.len() as u64,
                Ok(None) | Err(_) => break,
            }
        }
        taken
    }

    fn too_large(&self, size: u64) -> Problem {
        Problem::from(RuntimeError::TooLarge {
            what: "the body of the request".to_owned(),
            size,
            limit: self.limit as u64,
        })
    }
}
