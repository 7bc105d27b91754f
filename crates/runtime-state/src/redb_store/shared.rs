//! What the handle and its committer share: the queue, and the database while it is open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, ReadTransaction, ReadableDatabase};
use runtime_traits::error::Cause;
use runtime_traits::store::StateError;

use super::backend::Watch;
use super::queue::Queue;

/// How often a read begins again when the committer reopens the file under it.
const TRIES: usize = 3;

/// Shared by the handle, its reads and its committer.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) watch: Arc<Watch>,
    /// Only the committer writes it. Readers hold it while they begin a transaction, and no longer.
    slot: RwLock<Slot>,
}

/// The database, or why there is none.
pub(super) enum Slot {
    Open(Database),
    /// It could not be reopened after an I/O error; the next commit tries again.
    Down(StateError),
    /// A sync failed, or the committer died. The user has to reopen the store.
    Poisoned(Cause),
}

/// Why a step of the store ended early.
#[derive(Debug)]
pub(super) enum Halt {
    /// The answer to this request; the file is fine, or its damage concerns only this request.
    Refused(StateError),
    /// redb's trouble.
    Broken(redb::Error),
}

impl From<StateError> for Halt {
    fn from(refusal: StateError) -> Self {
        Self::Refused(refusal)
    }
}

impl Halt {
    /// Takes what redb said.
    pub(super) fn broken(error: impl Into<redb::Error>) -> Self {
        Self::Broken(error.into())
    }
}

impl Shared {
    pub(super) fn new(database: Database, watch: Arc<Watch>, bound: usize) -> Self {
        Self { queue: Queue::new(bound), watch, slot: RwLock::new(Slot::Open(database)) }
    }

    /// Runs `read` in a transaction of its own.
    pub(super) fn look<R>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<R, Halt>,
    ) -> Result<R, StateError> {
        // redb panics on some damaged pages. That must not take the caller down.
        let looked = catch_unwind(AssertUnwindSafe(|| {
            for _ in 1..TRIES {
                match self.look_once(&read) {
                    Err(Halt::Broken(redb::Error::DatabaseClosed)) => {}
                    other => return other,
                }
            }
            self.look_once(&read)
        }));
        match looked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(Halt::Refused(refusal))) => Err(refusal),
            Ok(Err(Halt::Broken(error))) => Err(self.explain(&error)),
            Err(_) => Err(StateError::Damaged { what: "a page of the file".to_owned() }),
        }
    }

    fn look_once<R>(&self, read: &impl Fn(&ReadTransaction) -> Result<R, Halt>) -> Result<R, Halt> {
        let txn = match &*self.slot() {
            Slot::Open(database) => database.begin_read().map_err(Halt::broken)?,
            closed => {
                // Perhaps the file can be opened by now.
                self.queue.nudge();
                return Err(Halt::Refused(closed.trouble()));
            }
        };
        read(&txn)
    }

    /// What a reader is told about redb's error, and the committer about the reader's.
    fn explain(&self, error: &redb::Error) -> StateError {
        if let redb::Error::Corrupted(what) = error {
            return StateError::Damaged { what: what.clone() };
        }
        // redb refuses everything from now on. The committer closes the file and opens it anew.
        self.queue.nudge();
        if let Some(cause) = self.watch.failed_sync() {
            return StateError::Poisoned { cause };
        }
        match self.watch.fault() {
            Some(fault) => fault.refusal(),
            None => StateError::Unavailable { retry_after: None, cause: Cause::of(error) },
        }
    }

    /// Why there is no database, for callers that got no answer.
    pub(super) fn trouble(&self) -> StateError {
        self.slot().trouble()
    }

    pub(super) fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot_mut(&self) -> RwLockWriteGuard<'_, Slot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// What a caller is told who finds no database.
    pub(super) fn trouble(&self) -> StateError {
        match self {
            Self::Down(trouble) => trouble.clone(),
            Self::Poisoned(cause) => StateError::Poisoned { cause: cause.clone() },
            Self::Open(_) => {
                StateError::Unavailable { retry_after: None, cause: Cause::says("the store is closing") }
            }
        }
    }
}
