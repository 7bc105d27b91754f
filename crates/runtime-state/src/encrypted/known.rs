//! The keys that ever wrote to a store, as it tells them itself, sealed under the newest of them.
//!
//! Without this, who has the older keys only would take values of a newer one for damage, and a repair would throw them
//! away. With it such a store is not opened; and a store that is open while somebody else brings a newer key says which
//! one it lacks.

use std::collections::BTreeSet;

use runtime_traits::store::{Batch, Cell, Key, StateError, StateStore, Then, When};

use super::envelope::{self, Unreadable};
use super::error::EncryptionError;
use super::keys::{KeyId, KeyRing};
use super::mark::place;
use crate::{again, chance, marks};

/// How often it is looked again because others write it too.
const TIMES: u32 = 16;

/// The keys that wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Whether they are all. Of a store that is older than this list nobody knows.
    complete: bool,
    ids: BTreeSet<KeyId>,
}

impl Known {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (complete, ids) = bytes.split_first()?;
        if *complete > 1 || ids.len() % size_of::<KeyId>() != 0 {
            return None;
        }
        let ids = ids.as_chunks().0.iter().map(|id| KeyId::from_le_bytes(*id)).collect();
        Some(Self { complete: *complete == 1, ids })
    }

    fn write(&self) -> Vec<u8> {
        let ids = self.ids.iter().flat_map(|id| id.to_le_bytes());
        [u8::from(self.complete)].into_iter().chain(ids).collect()
    }

    fn sealed(&self, ring: &KeyRing) -> (Key, Vec<u8>) {
        let list = marks::known_keys();
        let sealed = envelope::seal(ring, place(&list), &[], &self.write(), chance::bytes());
        (list, sealed)
    }
}

/// The list of a new store, which is complete.
pub(super) fn first(ring: &KeyRing) -> (Key, Vec<u8>) {
    Known { complete: true, ids: [ring.writing_key()].into() }.sealed(ring)
}

/// Writes the key that writes into the list before it writes anything else.
pub(super) async fn note(store: &dyn StateStore, ring: &KeyRing) -> Result<(), EncryptionError> {
    let mut last = StateError::Conflict { condition: 0 };
    for _ in 0..TIMES {
        let cell = find(store).await?;
        let (known, when) = match &cell {
            Some(cell) => {
                let known = open(ring, cell).map_err(EncryptionError::of)?;
                (known.ok_or(EncryptionError::Damaged)?, When::Revision(marks::known_keys(), cell.revision))
            }
            None => (Known { complete: false, ids: BTreeSet::new() }, When::Absent(marks::known_keys())),
        };
        if known.ids.contains(&ring.writing_key()) {
            return Ok(());
        }
        let mut ids = known.ids;
        ids.insert(ring.writing_key());
        let (list, sealed) = Known { ids, ..known }.sealed(ring);
        let batch = Batch {
            id: chance::batch_id(),
            partition: list.partition,
            fence: None,
            when: vec![when],
            then: vec![Then::Put(list, sealed.into())],
            durability: store.profile().best,
        };
        match again::commit(store, batch).await {
            Ok(_) => return Ok(()),
            Err(error @ StateError::Conflict { .. }) => last = error,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

/// Refuses a ring without the newest key.
#[cfg(feature = "redb")]
pub(super) async fn check(store: &dyn StateStore, ring: &KeyRing) -> Result<(), EncryptionError> {
    let Some(cell) = find(store).await? else { return Ok(()) };
    open(ring, &cell).map_err(EncryptionError::of)?.map(drop).ok_or(EncryptionError::Damaged)
}

/// Whether somebody may have written what cannot be read here, with a key or in a format that this process does not have.
/// Otherwise it is damage that looks so.
pub(super) async fn may_be_whole(
    store: &dyn StateStore,
    ring: &KeyRing,
    why: Unreadable,
) -> Result<bool, StateError> {
    let known = match why {
        Unreadable::Clear | Unreadable::Forged(_) => return Ok(false),
        Unreadable::Missing(_) | Unreadable::Newer(_) | Unreadable::Algorithm(_) => find(store).await?,
    };
    let Some(cell) = known else { return Ok(true) };
    Ok(match (why, open(ring, &cell)) {
        (Unreadable::Missing(id), Ok(Some(known))) => !known.complete || known.ids.contains(&id),
        // Whoever writes in a later format writes the list in it first.
        (_, Ok(Some(_))) => false,
        (_, Ok(None) | Err(_)) => true,
    })
}

async fn find(store: &dyn StateStore) -> Result<Option<Cell>, StateError> {
    Ok(store.get(&[marks::known_keys()]).await?.pop().flatten())
}

fn open(ring: &KeyRing, cell: &Cell) -> Result<Option<Known>, Unreadable> {
    let list = marks::known_keys();
    envelope::open(ring, place(&list), 0, &cell.value).map(|bytes| Known::read(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        for (complete, ids) in [(true, vec![7]), (false, vec![1, 2, KeyId::MAX])] {
            let known = Known { complete, ids: ids.into_iter().collect() };
            assert_eq!(Known::read(&known.write()), Some(known));
        }
        assert_eq!(Known { complete: true, ids: [258].into() }.write(), [1, 2, 1, 0, 0]);
        for none in [&[][..], &[2], &[1, 0], &[0, 1, 2, 3]] {
            assert_eq!(Known::read(none), None, "{none:?}");
        }
    }
}
