//! What the driver knows of the server, for those who are about to ask it something.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime_traits::error::Cause;
use runtime_traits::store::{Durability, StateError};

use super::server::Server;

/// What a commit can be now.
#[derive(Debug)]
pub(super) struct Standing {
    /// What was promised when the store was opened.
    best: Durability,
    /// What the server gives now, and why it is not more.
    now: Mutex<(Durability, Cause)>,
}

impl Standing {
    pub(super) fn of(server: &Server) -> Self {
        let best = server.best();
        Self { best, now: Mutex::new((best, server.why_not_disk())) }
    }

    pub(super) fn best(&self) -> Durability {
        self.best
    }

    /// Takes in what the server is like now. Answers whether it gives less than before.
    pub(super) fn note(&self, server: &Server) -> bool {
        let mut now = self.lock();
        let level = server.best().min(self.best);
        let fell = level < now.0;
        *now = (level, server.why_not_disk());
        fell
    }

    /// The level that a commit gets, if that is enough.
    ///
    /// More than was ever promised is refused for good elsewhere; what was promised and is no longer given may come
    /// back.
    pub(super) fn level(&self, asked: Durability) -> Result<Durability, StateError> {
        let now = self.lock();
        if asked <= now.0 {
            return Ok(now.0);
        }
        let cause = format!("Redis no longer gives the durability that it gave at first: {}", now.1);
        Err(StateError::Unavailable { retry_after: None, cause: Cause::says(cause) })
    }

    fn lock(&self) -> MutexGuard<'_, (Durability, Cause)> {
        // Nothing under this lock can panic half way.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
