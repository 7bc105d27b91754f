//! The embedded store by sled, with guards around what sled does not hold by itself.

mod base;
mod disk;
mod group;
mod layout;
mod mark;
mod opening;
mod options;
mod pace;
mod pages;
mod rim;
mod sums;
mod trouble;

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

use crate::OpenError;
use crate::admission;
use crate::group_commit::Committing;
use opening::Opening;

pub use options::SledOptions;
#[doc(hidden)]
pub use rim::Rim;

/// A [`StateStore`] in one folder, by [sled](https://sled.rs).
///
/// Commits are decided and written by one thread, up to 64 in a group. Reads wait for the group in flight. One process may
/// have the folder open. What it has acknowledged survives the end of the process; after a loss of power sled may not
/// open its log any more, so that [`Durability::Disk`](runtime_traits::store::Durability::Disk) is refused.
///
/// Dropping the store writes what is queued, closes the files and ends the thread; it blocks until that is done.
///
/// # Examples
/// ```
/// use runtime_state::SledStore;
/// use runtime_traits::store::{Durability, StateStore};
///
/// let folder = tempfile::tempdir()?;
/// let store = SledStore::open(folder.path().join("agents.sled"))?;
/// assert_eq!(store.profile().best, Durability::Process);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SledStore {
    path: PathBuf,
    folder: Committing<Opening>,
}

impl SledStore {
    /// Opens the store in the folder at `path`, and creates it when it is missing.
    ///
    /// # Errors
    /// [`OpenError`] with the path and the remedy.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(path, SledOptions::default())
    }

    /// Opens the store in the folder at `path` with other options.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: SledOptions) -> Result<Self, OpenError> {
        Self::with_rim(path, options, Arc::new(rim::Sound))
    }

    /// Opens the store on a disk that `rim` makes fail, for tests.
    #[doc(hidden)]
    pub fn with_rim(
        path: impl Into<PathBuf>,
        options: SledOptions,
        rim: Arc<dyn Rim>,
    ) -> Result<Self, OpenError> {
        let path = path.into();
        let SledOptions { group, queue, integrity, .. } = options;
        let opening = Opening::new(path.clone(), options, rim)?;
        Ok(Self { path, folder: Committing::start(opening, integrity, group, queue)? })
    }

    /// Lets the store in `folder`, which is not open, be as after a new start of the system, for experiments that take
    /// the power from its disk and not from the machine.
    ///
    /// # Errors
    /// What the system said.
    #[doc(hidden)]
    pub fn forget_start(folder: &FilePath) -> std::io::Result<()> {
        mark::forget_start(folder)
    }

    /// The folder.
    pub fn path(&self) -> &FilePath {
        &self.path
    }
}

#[async_trait]
impl StateStore for SledStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        if admission::home_of(keys)?.is_none() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        self.folder.look(move |base| pages::get(base, &keys)).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        admission::same_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.folder.look(move |base| pages::scan(base, &under, after.as_ref(), limit)).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        admission::known(log.partition)?;
        let log = log.clone();
        self.folder.look(move |base| pages::read(base, &log, from, limit)).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        admission::same_log_home(under, after)?;
        let (under, after) = (under.clone(), after.cloned());
        self.folder.look(move |base| pages::logs(base, &under, after.as_ref(), limit)).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.folder.look(|base| pages::partitions(base)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.folder.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.folder.profile()
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}
