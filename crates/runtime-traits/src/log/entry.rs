//! An entry of a run log.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::log::bodies::{
    Accepted, AttemptEnded, CancelRequested, Ended, Started, StateSet, StepDecided, StepDispatched,
    StepOpened, StepSettled, StepUnknown, WaitClosed, WaitOpened,
};
use crate::store::Seq;

/// An entry of a run log. Its writer is (epoch, attempt).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: 1, 2, 3, …
    pub seq: Seq,
    /// When its writer made it.
    pub at: UnixMillis,
    /// Which execution of the run made it; 0 before the first.
    pub attempt: u32,
    /// Which ownership of the partition made it.
    pub epoch: u64,
    /// What happened.
    pub kind: EntryKind,
}

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The run will be worked to an outcome. Always entry 1.
    Accepted(Box<Accepted>),
    /// An attempt begins: written before its first instruction.
    Started(Started),
    /// A step was asked for, and may be under way.
    StepOpened(StepOpened),
    /// A step is under way, after a wait or once more.
    StepDispatched(StepDispatched),
    /// A step has its result, for good. For a pure step the only entry.
    StepSettled(StepSettled),
    /// Nobody knows how a step ended.
    StepUnknown(StepUnknown),
    /// What becomes of such a step.
    StepDecided(StepDecided),
    /// The session's state, as of the run's end.
    StateSet(StateSet),
    /// The run does not move, for this reason.
    WaitOpened(WaitOpened),
    /// The reason is gone.
    WaitClosed(WaitClosed),
    /// An attempt is over, the run is not.
    AttemptEnded(AttemptEnded),
    /// Somebody wants the run to end.
    CancelRequested(CancelRequested),
    /// The run is over. Exactly one, always the last entry.
    Ended(Ended),
    /// A suspect, started to be tried after the death of a process, lived long enough to be none any more.
    Cleared,
    /// An entry of a newer version that this one may pass over.
    Unrecognised {
        /// Its tag.
        tag: u16,
    },
}
