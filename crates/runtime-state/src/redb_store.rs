//! The embedded store that is the default: one redb file, one committer thread.

mod backend;
mod group;
mod opening;
mod options;
mod pages;
mod rows;
mod tables;

use std::fmt;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use redb::StorageBackend;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

use crate::OpenError;
use crate::admission;
use crate::group_commit::{Committing, files};
use opening::Opening;

pub use options::RedbOptions;

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
    file: Committing<Opening>,
}

impl RedbStore {
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
        files::make_room(&path)?;
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
        let RedbOptions { group, queue, integrity, .. } = options;
        let opening = Opening::new(path.clone(), options, open);
        Ok(Self { path, file: Committing::start(opening, integrity, group, queue)? })
    }
}

#[async_trait]
impl StateStore for RedbStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        if admission::home_of(keys)?.is_none() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        self.file.look(move |txn| pages::get(txn, &keys)).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        admission::same_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.file.look(move |txn| pages::scan(txn, &under, after.as_ref(), limit)).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        admission::known(log.partition)?;
        let log = log.clone();
        self.file.look(move |txn| pages::read(txn, &log, from, limit)).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        admission::same_log_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.file.look(move |txn| pages::logs(txn, &under, after.as_ref(), limit)).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.file.look(pages::partitions).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.file.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.file.profile()
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}
