//! Why a store did not do as asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::Cause;

/// Why a store did not do as asked, by what the caller has to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateError {
    /// A condition does not hold. Permanent for this batch.
    #[error("condition {condition} of the batch does not hold")]
    Conflict {
        /// Its place in `Batch::when`.
        condition: usize,
    },
    /// Somebody else owns the partition now. Permanent for this owner: stop writing.
    #[error("another owner has taken the partition")]
    Fenced,
    /// Something is larger than the store takes. Permanent for this batch.
    #[error("{what} is larger than the store's limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in the unit of `what`.
        limit: u64,
    },
    /// The batch touches a partition that is not its own. Permanent for this batch.
    #[error("the batch touches a partition that is not its own")]
    WrongPartition,
    /// The batch may or may not have been applied: submit the same batch again.
    #[error("it is not known whether batch `{batch:032x}` was applied; submit the same batch again")]
    Unknown {
        /// The batch's id.
        batch: u128,
    },
    /// Nothing was written: try again later.
    #[error("the store is not available: {cause}")]
    Unavailable {
        /// When, if the store can tell.
        retry_after: Option<Duration>,
        /// What the driver said.
        cause: Cause,
    },
    /// The disk is full. Nothing was written; make room and try again.
    #[error("the store has no space left; make room and try again")]
    NoSpace,
    /// Stored bytes are not what was written.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What cannot be read.
        what: String,
    },
    /// A sync failed: nothing can be said of what is on disk until the store is reopened.
    #[error("the store stopped after a failed write ({cause}); reopen it")]
    Poisoned {
        /// What the driver said.
        cause: Cause,
    },
}

impl StateError {
    /// Whether the same batch may be submitted again, unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Unavailable { .. } | Self::NoSpace)
    }
}
