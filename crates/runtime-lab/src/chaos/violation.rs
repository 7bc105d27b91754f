//! What a campaign holds the runtime to, and how it says that something did not hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    pub(super) law: Law,
    what: String,
}

/// What a campaign holds the runtime to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Law {
    /// What was acknowledged is in the store: a commit; a run whose acceptance was answered, and that in the lists too.
    Lost,
    /// Every run ends, or waits for what somebody can end.
    Stuck,
    /// A settled step is not executed again.
    Repeated,
    /// An `AtMostOnce` step is executed once, and once more for each decision to repeat it.
    Twice,
    /// Each execution has its dispatch in the log, each dispatch one execution at most.
    Dispatch,
    /// An idempotency key gives one run; a step has one key towards the outside.
    Key,
    /// A log is gap-free, begins with its acceptance, and ends with its only outcome.
    Log,
    /// What a stream showed is in the log.
    Stream,
    /// Outputs, values and outcomes are what the script says.
    Output,
    /// What callers were told is what is stored.
    Told,
    /// A session's runs are worked one after the other; its messages and its state follow from their outcomes.
    Session,
    /// A recorded verdict is one that was given, and one that was answered is recorded.
    Decided,
    /// After the receipt of a cancel nothing is executed; nothing is cancelled that nobody cancelled.
    Cancelled,
    /// A snapshot whose save was answered is there, with the conversations.
    Saved,
    /// Usage is the sum of what was settled.
    Usage,
    /// Nothing is left of a run that is over: it is not open, and no timer is set for it.
    Left,
    /// A consent that was answered is recorded once, and used once; without consent nothing is done.
    Consent,
    /// A call of another agent is one run; what that came to is what the call came to.
    Called,
    /// What was said stands once in its session, in an order that every provider takes.
    Said,
    /// What leaves a partition arrives, and nothing of it is left behind.
    Mail,
    /// What happened is told once each, in its order, and nothing else is.
    Events,
    /// Nothing is there that nobody asked for.
    Invented,
    /// The server answers as its contract says, and ends only when it is killed or asked to.
    Served,
    /// A commit is there wholly or not at all.
    Torn,
    /// No read gives a value that was not written there.
    Wrong,
    /// All that a commit wrote has the revision that was told; revisions rise.
    Revision,
    /// A store that nobody damaged opens, and every read is answered.
    Unreadable,
    /// What was damaged is said: at open, at the first read of it, or by the check of everything.
    Silent,
    /// Nothing that is stored, or comes from outside, makes the process panic or end.
    Panicked,
    /// What is read takes no more memory than its limit.
    Greedy,
    /// What breaks a law is noticed.
    #[cfg(feature = "unguarded")]
    Unnoticed,
    /// Batches are answered as the store contract says.
    Answered,
    /// A provider has next to nothing to refuse.
    Refused,
    /// What a provider lets through is used.
    Unused,
    /// Whoever shares a quota gets its part.
    Unfair,
    /// Whoever is away is asked by those that find it out, and by probes.
    Asked,
    /// Whoever is back is asked at twice the normal rate at most.
    Stormed,
    /// A process dies of a run a few times at most.
    Deaths,
    /// No run is set aside that does no harm.
    Innocent,
}

impl Violation {
    pub(super) fn new(law: Law, what: impl Into<String>) -> Self {
        Self { law, what: what.into() }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "violation law={} {}", self.law, self.what)
    }
}
