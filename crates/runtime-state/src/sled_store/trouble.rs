//! What sled, or the disk below it, has to complain about.

use std::io;

use runtime_traits::error::Cause;
use runtime_traits::store::StateError;
use thiserror::Error;

use crate::group_commit::{Act, Watch, is_full};

/// Why a call did not work.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// What sled said.
    #[error(transparent)]
    Sled(#[from] sled::Error),
    /// What the system said to our own calls.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// The committer has closed the database.
    #[error("the database is being opened again")]
    Closed,
}

impl Trouble {
    /// Tells `watch` what a read met.
    pub(super) fn at_read(self, watch: &Watch) -> Self {
        if let Some(error) = self.of_disk() {
            watch.tell(Act::Read, error);
        }
        self
    }

    /// Tells `watch` what writing or flushing met. sled writes and waits for the writes in one call. When that fails for
    /// another reason than a full disk, nobody knows what is on it.
    pub(super) fn at_write(self, watch: &Watch) -> Self {
        match self.of_disk() {
            Some(error) if is_full(error.kind()) => watch.tell(Act::Write, error),
            Some(error) => watch.tell(Act::Sync, error),
            None => watch.tell(Act::Sync, &io::Error::other(self.to_string())),
        }
        self
    }

    /// Tells `watch` that a sync failed.
    pub(super) fn at_sync(self, watch: &Watch) -> Self {
        match self.of_disk() {
            Some(error) => watch.tell(Act::Sync, error),
            None => watch.tell(Act::Sync, &io::Error::other(self.to_string())),
        }
        self
    }

    pub(super) fn refusal(&self) -> StateError {
        match self {
            Self::Sled(sled::Error::Corruption { .. }) => StateError::Damaged { what: self.to_string() },
            _ => StateError::Unavailable { retry_after: None, cause: Cause::of(self) },
        }
    }

    fn of_disk(&self) -> Option<&io::Error> {
        match self {
            Self::Disk(error) | Self::Sled(sled::Error::Io(error)) => Some(error),
            Self::Sled(_) | Self::Closed => None,
        }
    }
}
