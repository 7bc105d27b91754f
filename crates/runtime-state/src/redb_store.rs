//! The embedded store on disk: one redb file, one committer thread.

mod answers;
mod backend;
mod committer;
mod group;
mod keys;
mod ledger;
mod opening;
mod options;
mod pages;
mod queue;
mod rows;
mod shared;
mod tables;

use std::fmt;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use redb::{ReadTransaction, StorageBackend};
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Durability, Key, Log, LogExtent, Seq, Sharing, StateError, StateStore,
    StoreProfile, Tail,
};
use tokio::runtime::Handle;

use crate::OpenError;
use crate::admission;
use committer::Committer;
use opening::Opening;
use queue::{Job, NotQueued};
use shared::{Halt, Shared};

pub use options::{Integrity, RedbOptions};

/// A [`StateStore`] in one file, by [redb](https://www.redb.org).
///
/// Commits are decided and written by one thread, up to 64 in a transaction with one sync. Reads see the last
/// finished transaction, and wait only while the file grows. One process may have the file open.
///
/// Dropping the store writes what is queued, closes the file and ends the thread; it blocks until that is done.
///
/// # Examples
/// ```
/// use runtime_state::RedbStore;
/// use runtime_traits::store::{Durability, StateStore};
///
/// let folder = tempfile::tempdir()?;
/// let store = RedbStore::open(folder.path().join("agents.redb"))?;
/// assert_eq!(store.profile().best, Durability::Disk);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedbStore {
    path: PathBuf,
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

impl RedbStore {
    const BEST: Durability = Durability::Disk;

    /// Opens the store in the file at `path`, and creates file and folder when they are missing.
    ///
    /// # Errors
    /// [`OpenError`] with the path and the remedy.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(path, RedbOptions::default())
    }

    /// Opens the store in the file at `path` with other options.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: RedbOptions) -> Result<Self, OpenError> {
        let path = path.into();
        opening::make_room(&path)?;
        let file = path.clone();
        Self::start(path, options, Box::new(move || opening::open_file(&file)))
    }

    /// Opens the store on whatever `open` gives, for tests that make a disk fail. Called again after an I/O error.
    #[doc(hidden)]
    pub fn on_backend(
        options: RedbOptions,
        open: impl Fn() -> io::Result<Box<dyn StorageBackend>> + Send + 'static,
    ) -> Result<Self, OpenError> {
        Self::start(PathBuf::from("backend"), options, Box::new(open))
    }

    /// The file.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    fn start(path: PathBuf, options: RedbOptions, open: opening::Open) -> Result<Self, OpenError> {
        let opening = Opening::new(path.clone(), options.clone(), open);
        let (database, contents) = opening.open(options.integrity)?;
        let shared = Arc::new(Shared::new(database, opening.watch(), options.queue));
        let committer = Committer::new(Arc::clone(&shared), opening, contents, options.group);
        let thread = Builder::new()
            .name("redb-committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|source| OpenError::Failed { path: path.clone(), source })?;
        Ok(Self { path, shared, committer: Some(thread) })
    }

    /// Reads on a thread for blocking work.
    ///
    /// A read of cached pages takes some microseconds, less than the hop. But one missing page waits for the disk,
    /// nobody knows beforehand, and on a worker of the executor all its tasks would wait. Owners keep in memory what
    /// they need for a run, so reads are not on the way of a run. Without a tokio runtime there is no executor to
    /// protect, and the caller's thread reads.
    async fn look<R: Send + 'static>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<R, Halt> + Send + 'static,
    ) -> Result<R, StateError> {
        let Ok(runtime) = Handle::try_current() else { return self.shared.look(read) };
        let shared = Arc::clone(&self.shared);
        let reading = runtime.spawn_blocking(move || shared.look(read));
        reading.await.unwrap_or_else(|gone| {
            Err(StateError::Unavailable { retry_after: None, cause: Cause::of(&gone) })
        })
    }
}

#[async_trait]
impl StateStore for RedbStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        if admission::home_of(keys)?.is_none() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        self.look(move |txn| pages::get(txn, &keys)).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        admission::same_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.look(move |txn| pages::scan(txn, &under, after.as_ref(), limit)).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        admission::known(log.partition)?;
        let log = log.clone();
        self.look(move |txn| pages::read(txn, &log, from, limit)).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        admission::same_log_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.look(move |txn| pages::logs(txn, &under, after.as_ref(), limit)).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.look(pages::partitions).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        admission::admit(&batch, admission::LIMITS, Self::BEST)?;
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

    fn profile(&self) -> StoreProfile {
        StoreProfile {
            name: "redb".to_owned(),
            best: Self::BEST,
            sharing: Sharing::Single,
            limits: admission::LIMITS,
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(committer) = self.committer.take() {
            // The thread catches its own panics, so there is nothing to learn here.
            let _ = committer.join();
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}
