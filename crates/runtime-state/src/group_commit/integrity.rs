//! How much of a store is checked when it is opened.

/// How much of an embedded store is checked when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integrity {
    /// What is needed to go on after a crash. Rows carry checksums, so other damage shows at the first read of it.
    #[default]
    AsNeeded,
    /// Everything: takes as long as reading the store.
    Everything,
}
