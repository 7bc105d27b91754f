//! What a store is able to promise.

use serde::{Deserialize, Serialize};

use crate::store::batch::Durability;

/// What a store is able to promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreProfile {
    /// The backend's name, as in its URI: `memory`, `redb`, …
    pub name: String,
    /// The best that a commit can be.
    pub best: Durability,
    /// Who may open it at once.
    pub sharing: Sharing,
    /// What it takes.
    pub limits: Limits,
}

/// Who may open a store at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// One process; a second one is refused.
    Single,
    /// Any number of processes.
    Shared,
}

/// What a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Writes in one batch; each appended entry is one.
    pub writes: usize,
    /// Bytes in one batch, paths included.
    pub batch: usize,
    /// Bytes of one value or entry.
    pub value: usize,
}

impl Limits {
    /// The contract's own: 256 writes and 1 MiB in a batch, and no value larger than its batch.
    pub const CONTRACT: Self = Self { writes: 256, batch: 1024 * 1024, value: 1024 * 1024 };
}
