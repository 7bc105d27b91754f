//! The outside process that counts: every execution of a step is told to it before its work and after it.
//!
//! One connection per execution, one line of JSON, and an answer to each: an execution has begun for the one who does
//! it only when it has begun for the one who counts.

mod counter;
mod witness;

use runtime_traits::clock::UnixMillis;
use runtime_traits::{RunId, StepKey};
use serde::{Deserialize, Serialize};

pub(super) use counter::Counter;
pub(super) use witness::Witness;

/// The work of a step begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// In which process: the parent numbers them.
    pub(super) life: u32,
    pub(super) run: RunId,
    pub(super) key: StepKey,
    /// Which dispatch of the step the engine says that it is.
    pub(super) try_no: u32,
    /// In which execution of the run.
    pub(super) attempt: u32,
    /// In which ownership of the partition.
    pub(super) epoch: u64,
    pub(super) idempotency_key: String,
}

/// An execution of a step, as it was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Execution {
    /// Its place among all executions: 1, 2, 3, … in the order in which they were told.
    pub(super) tick: u64,
    pub(super) at: UnixMillis,
    pub(super) begun: Begun,
    /// Whether its work came to its end.
    pub(super) ended: bool,
}
