//! What is done about a failure.

use crate::clock::UnixMillis;
use crate::recovery::failure::Failure;

/// What is done about a failure. Only the first five change anything; who carries one out tells [`History::took`](crate::recovery::History::took) at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The call is made again; its effect says whether it may be.
    Retry {
        /// Not before then.
        at: UnixMillis,
    },
    /// Its runs are parked, it is built anew from its spec, and its runs go on.
    Restart {
        /// Not before then.
        at: UnixMillis,
        /// Whether the start that failed counts as one of the attempts without progress.
        counted: bool,
    },
    /// The last good snapshot is put in its place.
    Restore {
        /// Not before then.
        at: UnixMillis,
    },
    /// It goes on with another model.
    SwitchModel {
        /// The next of the chain.
        model: String,
    },
    /// What the user registered is run.
    Act {
        /// The name under which it is registered.
        action: String,
        /// Not before then.
        at: UnixMillis,
    },
    /// Nothing is tried before `until`; then it goes on as before, with its own model.
    CoolDown {
        /// Until then.
        until: UnixMillis,
    },
    /// It is set aside until a person acts.
    Quarantine(Quarantine),
    /// Nothing is done: it stays as it is.
    Leave,
}

/// Since when and why something is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Since when.
    pub since: UnixMillis,
    /// The failure that was one too many.
    pub why: Failure,
}
