//! What a committer drives.

use std::path::Path;
use std::sync::Arc;

use runtime_traits::store::{Durability, StateError};

use super::{Contents, Integrity, Job, Ledger, Outcome, Watch};
use crate::OpenError;

/// A database as its committer and its readers know it.
pub(crate) trait Engine: Sized + Send + 'static {
    /// The open database.
    type Base: Send + Sync + 'static;
    /// What a read works on, for as long as it takes.
    type Reader;
    /// The database's trouble.
    type Error: std::error::Error + Send + 'static;

    /// What the store is called.
    const NAME: &'static str;

    /// The most durable that is promised. What was synced may be more, and is not said.
    const BEST: Durability;

    /// The file or folder.
    fn path(&self) -> &Path;

    /// Where the first fault is kept.
    fn watch(&self) -> Arc<Watch>;

    /// Opens the database, at first and after an I/O error, and reads what a committer has to know.
    fn open(&self, integrity: Integrity) -> Result<(Self::Base, Contents), OpenError>;

    /// Begins a read.
    fn begin(base: &Self::Base) -> Result<Self::Reader, Self::Error>;

    /// Decides and writes `jobs` in their order, each on what those before it left, and those that `more` adds.
    ///
    /// Revisions in `ledger` go up with each batch that lands; after a failure they are taken back.
    fn write(
        base: &Self::Base,
        ledger: &mut Ledger,
        jobs: &mut Vec<Job>,
        more: impl FnMut(&mut Vec<Job>),
        before: Standing,
    ) -> Written<Self::Error>;

    /// Syncs what is in the file.
    fn sync(base: &Self::Base) -> Result<(), Self::Error>;

    /// Closes the database in order.
    fn close(base: Self::Base) -> Result<(), Self::Error>;

    /// Whether the read has only to begin again, because the file was opened anew under it.
    fn is_closed(error: &Self::Error) -> bool;

    /// What a caller is told of `error` when no fault of the disk explains it.
    fn refusal(error: &Self::Error) -> StateError;
}

/// What earlier groups left for a sync to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// What all of them survive.
    pub(crate) level: Durability,
    /// Groups since the last sync.
    pub(crate) unsynced: u32,
}

/// What became of a group, and how durable it is; `None` if nothing had to be done.
pub(crate) type Written<E> = Result<(Vec<Outcome>, Option<Durability>), Failed<E>>;

/// A group that the database did not commit, or did not say so.
#[derive(Debug)]
pub(crate) struct Failed<E> {
    pub(crate) error: E,
    /// What would have become of the jobs; `None` when the commit was not even tried.
    pub(crate) tried: Option<Vec<Outcome>>,
}

/// Why a step of the store ended early.
#[derive(Debug)]
pub(crate) enum Halt<E> {
    /// The answer to this request; the file is fine, or its damage concerns only this request.
    Refused(StateError),
    /// The database's trouble.
    Broken(E),
}

impl<E> From<StateError> for Halt<E> {
    fn from(refusal: StateError) -> Self {
        Self::Refused(refusal)
    }
}

impl<E> Halt<E> {
    /// Takes what the database said.
    pub(crate) fn broken(error: impl Into<E>) -> Self {
        Self::Broken(error.into())
    }
}
