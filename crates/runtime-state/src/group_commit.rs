//! What the embedded stores share: a queue, one thread that commits what waits in groups, and readers beside it.
//!
//! A store brings an [`Engine`]: how its file is opened, read, and written to by a group.

mod answers;
mod committer;
mod engine;
pub(crate) mod files;
mod integrity;
pub(crate) mod keys;
mod ledger;
mod queue;
pub(crate) mod rows;
mod shared;
mod watch;
mod weigh;

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use runtime_traits::error::Cause;
use runtime_traits::store::{Batch, Committed, Sharing, StateError, StoreProfile};
use tokio::runtime::Handle;

use crate::OpenError;
use crate::admission;
use committer::Committer;
use queue::NotQueued;
use shared::Shared;

pub(crate) use engine::{Engine, Failed, Halt, Standing, Written};
pub(crate) use ledger::{Contents, Ledger, SLICES};
pub(crate) use queue::Job;
pub(crate) use watch::{Act, Watch, is_full};
pub(crate) use weigh::{Outcome, Rows, weigh_all};

pub use integrity::Integrity;

/// An open store: whoever holds it reads and commits. Dropped, it writes what is queued and closes the file.
pub(crate) struct Committing<E: Engine> {
    shared: Arc<Shared<E>>,
    committer: Option<JoinHandle<()>>,
}

impl<E: Engine> Committing<E> {
    /// Opens the database and starts its committer, which takes `group` batches at a time of at most `queue`.
    pub(crate) fn start(
        engine: E,
        integrity: Integrity,
        group: usize,
        queue: usize,
    ) -> Result<Self, OpenError> {
        let (base, contents) = engine.open(integrity)?;
        let shared = Arc::new(Shared::new(base, engine.watch(), queue));
        let path = engine.path().to_path_buf();
        let committer = Committer::new(Arc::clone(&shared), engine, contents, group);
        let thread = Builder::new()
            .name(format!("{}-committer", E::NAME))
            .spawn(move || committer.run())
            .map_err(|source| OpenError::Failed { path, source })?;
        Ok(Self { shared, committer: Some(thread) })
    }

    /// Reads on a thread for blocking work.
    ///
    /// A read of cached pages takes some microseconds, less than the hop. But one missing page waits for the disk,
    /// nobody knows beforehand, and on a worker of the executor all its tasks would wait. Owners keep in memory what
    /// they need for a run, so reads are not on the way of a run. Without a tokio runtime there is no executor to
    /// protect, and the caller's thread reads.
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        read: impl Fn(&E::Reader) -> Result<R, Halt<E::Error>> + Send + 'static,
    ) -> Result<R, StateError> {
        let Ok(runtime) = Handle::try_current() else { return self.shared.look(read) };
        let shared = Arc::clone(&self.shared);
        let reading = runtime.spawn_blocking(move || shared.look(read));
        reading.await.unwrap_or_else(|gone| {
            Err(StateError::Unavailable { retry_after: None, cause: Cause::of(&gone) })
        })
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        admission::admit(&batch, admission::LIMITS, E::BEST)?;
        let (reply, caller) = answers::pair();
        // From here on the batch is the committer's: a caller that goes away changes nothing.
        match self.shared.queue.push(Job { batch, reply }) {
            Ok(()) => {}
            Err(NotQueued::Closed) => return Err(self.shared.trouble()),
            Err(NotQueued::Full) => {
                return Err(StateError::Unavailable {
                    retry_after: Some(Duration::from_millis(50)),
                    cause: Cause::says("too many commits are waiting for the disk"),
                });
            }
        }
        let answer = caller.await;
        self.shared.queue.sleepers.wake_all();
        // No answer: the committer has ended, and has left the reason.
        answer.unwrap_or_else(|| Err(self.shared.trouble()))
    }

    pub(crate) fn profile(&self) -> StoreProfile {
        StoreProfile {
            name: E::NAME.to_owned(),
            best: E::BEST,
            sharing: Sharing::Single,
            limits: admission::LIMITS,
        }
    }
}

impl<E: Engine> Drop for Committing<E> {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(committer) = self.committer.take() {
            // The thread catches its own panics, so there is nothing to learn here.
            let _ = committer.join();
        }
    }
}
