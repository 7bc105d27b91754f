//! Which process serves now: what callers look at before they call, and wait for when it is gone.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::service::RemoteRuntime;
use agent_runtime_cli::SocketPath;
use runtime_traits::RuntimeError;
use tokio::sync::watch;
use tokio::time::timeout;

/// A failure may be seen before the process is known to be gone: after this whoever serves is asked again.
const SOON: Duration = Duration::from_millis(200);

/// A process that serves.
#[derive(Clone, Debug)]
pub(super) struct Up {
    pub(super) life: u32,
    pub(super) runtime: Arc<RemoteRuntime>,
    /// Its folder is reached through this as long as the socket is there.
    pub(super) _socket: Arc<SocketPath>,
}

/// Which process serves now.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    pub(super) up: Option<Up>,
    /// Nothing new is asked for any more.
    pub(super) finishing: bool,
}

/// Which process serves now, for callers.
#[derive(Clone, Debug)]
pub(super) struct Lives(watch::Receiver<Now>);

impl Lives {
    pub(super) fn new(now: watch::Receiver<Now>) -> Self {
        Self(now)
    }

    /// The process that serves; waits for one.
    pub(super) async fn up(&mut self) -> Up {
        let served = self.0.wait_for(|now| now.up.is_some()).await.ok().and_then(|now| now.up.clone());
        match served {
            Some(up) => up,
            // The campaign is over, and ends whoever waits.
            None => std::future::pending().await,
        }
    }

    /// The process to ask after one that gave no answer.
    pub(super) async fn after(&mut self, before: &Up) -> Up {
        let next = self.0.wait_for(|now| now.up.as_ref().is_some_and(|up| up.life > before.life));
        // Whether it came or not: whoever serves is asked.
        let _ = timeout(SOON, next).await;
        self.up().await
    }

    /// Whether nothing new is to be asked for.
    pub(super) fn finishing(&self) -> bool {
        self.0.borrow().finishing
    }
}

/// Whether nobody knows what became of a request.
pub(super) fn is_away(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::Unreachable { .. } | RuntimeError::ShuttingDown)
}
