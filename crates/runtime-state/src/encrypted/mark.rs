//! The mark of an encrypted store: it says that it is one, and keeps the key of its fences.

use runtime_traits::store::{Batch, Key, StateError, StateStore, Then, When};

use super::envelope::{self, FORMAT, Place, Sort, Unreadable};
use super::error::EncryptionError;
use super::fence::FenceKey;
use super::keys::KeyRing;
use crate::{chance, marks};

/// Finds the mark of `store`, or makes the one of a store in which nothing was ever written.
pub(super) async fn find_or_make(
    store: &dyn StateStore,
    ring: &KeyRing,
) -> Result<FenceKey, EncryptionError> {
    if let Some(fences) = find(store, ring).await? {
        return Ok(fences);
    }
    if !store.partitions().await?.is_empty() {
        return Err(EncryptionError::NotEncrypted);
    }
    let mark = marks::encryption();
    let value = envelope::seal(ring, place(&mark), &[], &chance::bytes::<32>(), chance::bytes());
    let batch = Batch {
        id: chance::batch_id(),
        partition: mark.partition,
        fence: None,
        when: vec![When::Absent(mark.clone())],
        then: vec![Then::Put(mark, value.into())],
        durability: store.profile().best,
    };
    match store.commit(batch).await {
        // Another process made it first.
        Ok(_) | Err(StateError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    find(store, ring).await?.ok_or(EncryptionError::Damaged)
}

async fn find(store: &dyn StateStore, ring: &KeyRing) -> Result<Option<FenceKey>, EncryptionError> {
    let mark = marks::encryption();
    let found = store.get(std::slice::from_ref(&mark)).await?.pop().flatten();
    let Some(cell) = found else { return Ok(None) };
    let fences = envelope::open(ring, place(&mark), 0, &cell.value).map_err(|why| match why {
        Unreadable::Clear => EncryptionError::Damaged,
        Unreadable::Newer(found) => EncryptionError::Newer { found, known: FORMAT },
        Unreadable::Missing(id) => EncryptionError::MissingKey { id },
        Unreadable::Forged(id) => EncryptionError::WrongKey { id },
    })?;
    let fences = fences.try_into().map_err(|_| EncryptionError::Damaged)?;
    Ok(Some(FenceKey::new(fences)))
}

fn place(mark: &Key) -> Place<'_> {
    Place { sort: Sort::Mark, partition: mark.partition, path: &mark.path, seq: None }
}
