//! What the handle and its committer share: the queue, and the database while it is open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use runtime_traits::error::Cause;
use runtime_traits::store::StateError;

use super::queue::Queue;
use super::{Engine, Halt, Watch};

/// How often a read begins again when the committer reopens the file under it.
const TRIES: usize = 3;

/// Shared by the handle, its reads and its committer.
pub(crate) struct Shared<E: Engine> {
    pub(crate) queue: Queue,
    pub(crate) watch: Arc<Watch>,
    /// Only the committer writes it. Readers hold it while they begin a read, and no longer.
    slot: RwLock<Slot<E::Base>>,
}

/// The database, or why there is none.
pub(crate) enum Slot<B> {
    Open(B),
    /// It could not be reopened after an I/O error; the next commit tries again.
    Down(StateError),
    /// A sync failed, or the committer died. The user has to reopen the store.
    Poisoned(Cause),
}

impl<E: Engine> Shared<E> {
    pub(crate) fn new(base: E::Base, watch: Arc<Watch>, bound: usize) -> Self {
        Self { queue: Queue::new(bound), watch, slot: RwLock::new(Slot::Open(base)) }
    }

    /// Runs `read` on a reader of its own.
    pub(crate) fn look<R>(
        &self,
        read: impl Fn(&E::Reader) -> Result<R, Halt<E::Error>>,
    ) -> Result<R, StateError> {
        // Databases panic on some damaged pages. That must not take the caller down.
        let looked = catch_unwind(AssertUnwindSafe(|| {
            for _ in 1..TRIES {
                match self.look_once(&read) {
                    Err(Halt::Broken(error)) if E::is_closed(&error) => {}
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

    fn look_once<R>(
        &self,
        read: &impl Fn(&E::Reader) -> Result<R, Halt<E::Error>>,
    ) -> Result<R, Halt<E::Error>> {
        let reader = match &*self.slot() {
            Slot::Open(base) => E::begin(base).map_err(Halt::Broken)?,
            closed => {
                // Perhaps the file can be opened by now.
                self.queue.nudge();
                return Err(Halt::Refused(closed.trouble()));
            }
        };
        read(&reader)
    }

    /// What a reader is told about the database's error, and the committer about the reader's.
    fn explain(&self, error: &E::Error) -> StateError {
        let refusal = E::refusal(error);
        if let StateError::Damaged { .. } = refusal {
            return refusal;
        }
        // The database refuses everything from now on. The committer closes the file and opens it anew.
        self.queue.nudge();
        if let Some(cause) = self.watch.failed_sync() {
            return StateError::Poisoned { cause };
        }
        self.watch.fault().map_or(refusal, |fault| fault.refusal())
    }

    /// Why there is no database, for callers that got no answer.
    pub(crate) fn trouble(&self) -> StateError {
        self.slot().trouble()
    }

    pub(crate) fn slot(&self) -> RwLockReadGuard<'_, Slot<E::Base>> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn slot_mut(&self) -> RwLockWriteGuard<'_, Slot<E::Base>> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Slot<B> {
    /// What a caller is told who finds no database.
    pub(crate) fn trouble(&self) -> StateError {
        match self {
            Self::Down(trouble) => trouble.clone(),
            Self::Poisoned(cause) => StateError::Poisoned { cause: cause.clone() },
            Self::Open(_) => {
                StateError::Unavailable { retry_after: None, cause: Cause::says("the store is closing") }
            }
        }
    }
}
