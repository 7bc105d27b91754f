//! Snapshot files, there and back, piece by piece.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use reqwest::{Body, Method, Request, header};
use runtime_traits::snapshot::SnapshotFile;
use runtime_traits::{RuntimeError, StateId};
use tokio::time::timeout;

use crate::remote::RemoteRuntime;
use crate::remote::call::{away, silence};
use crate::wire::{SNAPSHOT_FILE, StateAnswer};

/// How long a whole file may take to get there and be taken in.
const FILE_WITHIN: Duration = Duration::from_secs(60 * 60);

impl RemoteRuntime {
    /// The file of a snapshot over there. It breaks off with an error when nothing comes for as long as a stream may be
    /// quiet.
    pub(super) async fn file_of(&self, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        let request = self.request(Method::GET, &["v1", "snapshots", &state.to_string(), "file"]);
        let within = self.deadlines.answer;
        let sent = timeout(within, self.send(request)).await.unwrap_or_else(|_| Err(silence(within)));
        let response = sent.map_err(|failure| self.error(failure))?;
        let remote = self.clone();
        Ok(Box::pin(unfold(Some((remote, response)), |reading| async move {
            let (remote, mut response) = reading?;
            let quiet = remote.deadlines.quiet;
            match timeout(quiet, response.chunk()).await {
                Ok(Ok(Some(piece))) => Some((Ok(piece), Some((remote, response)))),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some((Err(remote.error(away(error))), None)),
                Err(_) => Some((Err(remote.error(silence(quiet))), None)),
            }
        })))
    }

    /// Sends a file over there.
    pub(super) async fn send_file(&self, file: SnapshotFile) -> Result<StateId, RuntimeError> {
        // The client says only that its body failed; why, is told from here.
        let broke: Arc<Mutex<Option<RuntimeError>>> = Arc::default();
        let noted = Arc::clone(&broke);
        let pieces = file.inspect(move |piece| {
            if let Err(error) = piece {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            }
        });
        let mut request: Request = self.request(Method::POST, &["v1", "snapshots"]);
        let media = header::HeaderValue::from_static(SNAPSHOT_FILE);
        request.headers_mut().insert(header::CONTENT_TYPE, media);
        *request.body_mut() = Some(Body::wrap_stream(pieces));
        match self.ask_once::<StateAnswer>(request, FILE_WITHIN).await {
            Ok(answer) => Ok(answer.state),
            Err(error) => {
                let broke = broke.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(broke.unwrap_or(error))
            }
        }
    }
}
