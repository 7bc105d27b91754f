//! The ways to be wrong.

/// One way to break one clause of the store contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Shows the first of two cells that a batch writes before the second.
    ShowsHalf,
    /// Has only half of the last batch on disk when it crashes.
    TearsAtCrash,
    /// Checks fence and conditions when the batch is queued, not when it is written.
    ChecksEarly,
    /// Keeps what a refused batch appends.
    LeaksRefused,
    /// Refuses the batch that follows a refused one in its group.
    RefusesNeighbour,
    /// Gives a whole group the durability of its first batch, and says otherwise.
    SyncsForFirst,
    /// Answers `Memory` to a batch that asked for more.
    AnswersLess,
    /// Lets reads see what no sync has reached.
    ShowsUnsynced,
    /// Forgets the ids of batches.
    ForgetsIds,
    /// Takes a queued batch back when its future is dropped.
    CancelsOnDrop,
    /// Applies a group from its end.
    Reorders,
    /// Begins a log's numbers again once all entries are trimmed.
    ReusesNumbers,
    /// Answers `None` and emptiness when it cannot read.
    NoneForErrors,
    /// Gives pages in another order.
    UnsortedPages,
    /// Hides cells under `due/` whose time has come.
    Expires,
    /// Takes batches of any size.
    TakesAnySize,
    /// Goes on after a failed sync.
    GoesOn,
    /// Takes batches over two partitions, and writes the part that is at home.
    TakesTwoPartitions,
    /// Reads from a copy that may be behind.
    ReadsCopies,
}

impl Flaw {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::ShowsHalf,
        Self::TearsAtCrash,
        Self::ChecksEarly,
        Self::LeaksRefused,
        Self::RefusesNeighbour,
        Self::SyncsForFirst,
        Self::AnswersLess,
        Self::ShowsUnsynced,
        Self::ForgetsIds,
        Self::CancelsOnDrop,
        Self::Reorders,
        Self::ReusesNumbers,
        Self::NoneForErrors,
        Self::UnsortedPages,
        Self::Expires,
        Self::TakesAnySize,
        Self::GoesOn,
        Self::TakesTwoPartitions,
        Self::ReadsCopies,
    ];

    /// The clause that it breaks, and the only one.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::ShowsHalf | Self::TearsAtCrash => "atomic",
            Self::ChecksEarly => "checked-where-written",
            Self::LeaksRefused | Self::RefusesNeighbour => "alone-in-the-group",
            Self::SyncsForFirst | Self::AnswersLess => "durable-when-ok",
            Self::ShowsUnsynced => "no-peeking",
            Self::ForgetsIds => "once-by-id",
            Self::CancelsOnDrop => "drop-is-not-cancel",
            Self::Reorders => "in-order",
            Self::ReusesNumbers => "gap-free",
            Self::NoneForErrors => "absent-is-known",
            Self::UnsortedPages => "ordered-pages",
            Self::Expires => "no-clock",
            Self::TakesAnySize => "sized",
            Self::GoesOn => "poisoned",
            Self::TakesTwoPartitions => "one-partition",
            Self::ReadsCopies => "primary",
        }
    }
}
