//! What failed on the disk. A database says that something did, and then refuses everything.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::store::StateError;

/// The first thing that failed since the file was opened.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    act: Act,
    kind: io::ErrorKind,
    cause: Cause,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    Write,
    /// After it failed nobody knows what is on disk: the system may have thrown the pages away.
    Sync,
}

/// Where a disk leaves its fault.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    fault: Mutex<Option<Fault>>,
}

impl Fault {
    /// What a caller is told whose batch is certainly not in the file.
    pub(crate) fn refusal(&self) -> StateError {
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
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.lock().clone()
    }

    /// What is said to every caller once a sync has failed.
    pub(crate) fn failed_sync(&self) -> Option<Cause> {
        let fault = self.lock();
        fault
            .as_ref()
            .filter(|fault| fault.act == Act::Sync && Guard::Poison.holds())
            .map(|fault| fault.cause.clone())
    }

    /// Forgets the fault, because the file is opened anew.
    pub(crate) fn reset(&self) {
        *self.lock() = None;
    }

    /// Keeps what failed.
    pub(crate) fn tell(&self, act: Act, error: &io::Error) {
        let mut fault = self.lock();
        // The first one is the cause of the others, but a failed sync outweighs all.
        if fault.is_none() || act == Act::Sync {
            *fault = Some(Fault { act, kind: error.kind(), cause: Cause::of(error) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether room on the disk would have helped.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}
