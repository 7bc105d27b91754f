//! A redb backend that remembers what failed. redb says that something did, and then refuses everything.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};
use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::store::StateError;

/// The first thing that failed since the file was opened.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    act: Act,
    kind: io::ErrorKind,
    cause: Cause,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Read,
    Write,
    /// After it failed nobody knows what is on disk: the system may have thrown the pages away.
    Sync,
}

/// Where a backend leaves its fault.
#[derive(Debug, Default)]
pub(super) struct Watch {
    fault: Mutex<Option<Fault>>,
}

/// A backend that reports to a [`Watch`].
#[derive(Debug)]
pub(super) struct Watched {
    backend: Box<dyn StorageBackend>,
    watch: Arc<Watch>,
}

impl Fault {
    /// What a caller is told whose batch is certainly not in the file.
    pub(super) fn refusal(&self) -> StateError {
        match self.kind {
            kind if is_full(kind) => StateError::NoSpace,
            io::ErrorKind::UnexpectedEof => {
                StateError::Damaged { what: "the file, which is shorter than it should be".to_owned() }
            }
            _ => StateError::Unavailable { retry_after: None, cause: self.cause.clone() },
        }
    }
}

impl Watch {
    /// What failed, if anything did.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().clone()
    }

    /// What is said to every caller once a sync has failed.
    pub(super) fn failed_sync(&self) -> Option<Cause> {
        let fault = self.lock();
        fault
            .as_ref()
            .filter(|fault| fault.act == Act::Sync && Guard::Poison.holds())
            .map(|fault| fault.cause.clone())
    }

    /// Forgets the fault, because the file is opened anew.
    pub(super) fn reset(&self) {
        *self.lock() = None;
    }

    fn note<T>(&self, act: Act, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let mut fault = self.lock();
            // The first one is the cause of the others, but a failed sync outweighs all.
            if fault.is_none() || act == Act::Sync {
                *fault = Some(Fault { act, kind: error.kind(), cause: Cause::of(error) });
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    pub(super) fn new(backend: Box<dyn StorageBackend>, watch: Arc<Watch>) -> Self {
        Self { backend, watch }
    }
}

/// Whether room on the disk would have helped.
pub(super) fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.watch.note(Act::Read, self.backend.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.watch.note(Act::Read, self.backend.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch.note(Act::Write, self.backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch.note(Act::Sync, self.backend.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.watch.note(Act::Write, self.backend.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
