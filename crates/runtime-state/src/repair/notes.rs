//! What a repair says: what it changed, and what it left out.

use std::io;

use bytes::Bytes;
use runtime_codec::Whose;
use runtime_traits::partition::Partition;
use serde::{Serialize, Serializer};

use super::{NAMED, RepairError};
use crate::export::hex;
use crate::verify::DamagedPlace;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSort {
    /// It was made anew from what else there is.
    Mended,
    /// It was cut off where the damage begins.
    Cut,
    /// A run was ended.
    Ended,
    /// It is not in the new store.
    LeftOut,
}

/// Something that is not in the new store as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What became of it.
    pub change: ChangeSort,
    /// The partition.
    pub partition: Partition,
    /// Where in it.
    #[serde(flatten)]
    pub place: DamagedPlace,
    /// In words.
    pub what: String,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
}

/// A value that is not in the new store, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The partition.
    pub partition: Partition,
    /// Where in it.
    #[serde(flatten)]
    pub place: DamagedPlace,
    /// Why it is here.
    pub why: String,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// Its bytes in hexadecimal digits; nothing where the store does not show them.
    #[serde(serialize_with = "as_hex")]
    pub bytes: Option<Bytes>,
}

/// Collects them.
pub(super) struct Notes<'a> {
    quarantine: &'a mut (dyn FnMut(Quarantined) -> io::Result<()> + Send + Sync),
    pub(super) changes: Vec<Change>,
    pub(super) changed: u64,
    pub(super) quarantined: u64,
}

impl<'a> Notes<'a> {
    pub(super) fn new(quarantine: &'a mut (dyn FnMut(Quarantined) -> io::Result<()> + Send + Sync)) -> Self {
        Self { quarantine, changes: Vec::new(), changed: 0, quarantined: 0 }
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changed += 1;
        if self.changes.len() < NAMED {
            self.changes.push(change);
        }
    }

    pub(super) fn keep_aside(&mut self, value: Quarantined) -> Result<(), RepairError> {
        self.quarantined += 1;
        (self.quarantine)(value).map_err(RepairError::Quarantine)
    }
}

fn as_hex<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.as_ref().map(|bytes| hex(bytes)).serialize(serializer)
}
