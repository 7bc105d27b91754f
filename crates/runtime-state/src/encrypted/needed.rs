//! Which keys a store still needs.

use std::collections::BTreeMap;

use runtime_traits::store::{StateError, StateStore};
use serde::Serialize;

use super::keys::KeyId;
use super::{EncryptedStore, envelope, fence, is_hidden};
use crate::pages;

/// How many values need a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Values of cells.
    pub cells: u64,
    /// Entries of logs.
    pub entries: u64,
}

impl<S: StateStore> EncryptedStore<S> {
    /// Reads the whole store, and counts by key what was encrypted with it. A key that is not here, and is not the one
    /// that writes, may be taken from the ring, if nobody has written meanwhile. What is damaged is not counted.
    ///
    /// Needs no key but the one of the mark.
    ///
    /// # Errors
    /// What kept the store from reading.
    pub async fn keys_needed(&self) -> Result<BTreeMap<KeyId, Needed>, StateError> {
        let mut needed: BTreeMap<KeyId, Needed> = BTreeMap::new();
        for partition in self.inner.partitions().await? {
            let mut cells = pages::Cells::of(partition);
            while let Some(page) = cells.next(&self.inner).await? {
                let prefix = if is_hidden(partition) { 0 } else { fence::LENGTH };
                for id in page.iter().filter_map(|(_, cell)| envelope::key_of(prefix, &cell.value)) {
                    needed.entry(id).or_default().cells += 1;
                }
            }
            let mut logs = pages::Logs::of(partition);
            while let Some(page) = logs.next(&self.inner).await? {
                for extent in page {
                    let mut entries = pages::Entries::of(extent);
                    while let Some((_, page)) = entries.next(&self.inner).await? {
                        for id in page.iter().filter_map(|entry| envelope::key_of(0, entry)) {
                            needed.entry(id).or_default().entries += 1;
                        }
                    }
                }
            }
        }
        Ok(needed)
    }
}
