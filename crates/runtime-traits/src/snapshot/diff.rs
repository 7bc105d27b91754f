//! How two snapshots differ.

use serde::{Deserialize, Serialize};

use crate::name::SessionName;

/// How two snapshots differ, of one agent or of two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotDiff {
    /// What differs in the declarations.
    pub spec: Vec<SpecChange>,
    /// Conversations that only the second has.
    pub added: Vec<SessionName>,
    /// Conversations that only the first has.
    pub removed: Vec<SessionName>,
    /// Conversations that both have and that differ.
    pub changed: Vec<SessionDiff>,
}

/// A field of a declaration that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecChange {
    /// Which: `description`, or `config.model` for a setting.
    pub field: String,
    /// Its JSON in the first; `None` where it is not there.
    pub before: Option<String>,
    /// Its JSON in the second.
    pub after: Option<String>,
}

/// A conversation that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDiff {
    /// Its name.
    pub name: SessionName,
    /// How many messages both have.
    pub shared: u64,
    /// How many messages only the first has.
    pub only_before: u64,
    /// How many messages only the second has.
    pub only_after: u64,
    /// Whether its state differs.
    pub state_differs: bool,
}

impl SnapshotDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.spec.is_empty() && self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
