//! The run log: what happens in a run, as entries, and the pure projection of them.
//!
//! A run *is* its log: append-only, gap-free, numbered from 1, written only by the run's owner. Status, usage, result
//! and timeline are folds of it ([`RunView`]), total on every prefix.

mod bodies;
mod entry;
mod message;
mod outcome;
mod step;
mod usage;
mod view;
mod wait;

pub use bodies::{
    Accepted, AttemptEnded, AttemptEnding, CancelRequested, Chain, Ended, Started, StateSet, StepDecided,
    StepDispatched, StepOpened, StepSettled, StepUnknown, WaitClosed, WaitOpened,
};
pub use entry::{Entry, EntryKind};
pub use message::{Author, Head, Message};
pub use outcome::{FailureKind, Outcome, Receipt, RunFailure, Stopped};
pub use step::{DecidedBy, Effect, StepFailure, StepFailureKind, StepKey, StepSort, UnknownCause, Verdict};
pub use usage::{Price, Usage};
pub use view::{Phase, RunView, StepPhase, StepView, WaitView};
pub use wait::{WaitId, WaitOn};
