//! Stores that each break one clause of the contract: what shows that a suite can fail.

mod flaw;

use crate::fakes::MapStore;

pub use flaw::Flaw;

/// A store that is right but for `flaw`.
pub fn store(flaw: Flaw) -> MapStore {
    MapStore::flawed(flaw)
}
