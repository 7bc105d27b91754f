//! The mark of an encrypted store: it says that it is one, and keeps the key of its fences.

use runtime_traits::store::{Batch, Key, StateError, StateStore, Then, When};

use super::envelope::{self, Place, Sort};
use super::error::EncryptionError;
use super::fence::FenceKey;
use super::keys::KeyRing;
use super::known;
use crate::{again, chance, marks};

/// Finds the mark of `store`, or makes the one of a store in which nothing was ever written.
pub(super) async fn find_or_make(
    store: &dyn StateStore,
    ring: &KeyRing,
) -> Result<FenceKey, EncryptionError> {
    if let Some(fences) = find(store, ring).await? {
        known::note(store, ring).await?;
        return Ok(fences);
    }
    if !store.partitions().await?.is_empty() {
        return Err(EncryptionError::NotEncrypted);
    }
    let mark = marks::encryption();
    let value = envelope::seal(ring, place(&mark), &[], &chance::bytes::<32>(), chance::bytes());
    let (list, names) = known::first(ring);
    let batch = Batch {
        id: chance::batch_id(),
        partition: mark.partition,
        fence: None,
        when: vec![When::Absent(mark.clone())],
        then: vec![Then::Put(mark, value.into()), Then::Put(list, names.into())],
        durability: store.profile().best,
    };
    match again::commit(store, batch).await {
        // Another process made it first.
        Ok(_) | Err(StateError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let fences = find(store, ring).await?.ok_or(EncryptionError::Damaged)?;
    known::note(store, ring).await?;
    Ok(fences)
}

/// As [`find_or_make`], without a word to a store that has a mark.
#[cfg(feature = "redb")]
pub(super) async fn find_or_make_to_read(
    store: &dyn StateStore,
    ring: &KeyRing,
) -> Result<FenceKey, EncryptionError> {
    match find(store, ring).await? {
        Some(fences) => known::check(store, ring).await.map(|()| fences),
        None => find_or_make(store, ring).await,
    }
}

async fn find(store: &dyn StateStore, ring: &KeyRing) -> Result<Option<FenceKey>, EncryptionError> {
    let mark = marks::encryption();
    let found = store.get(std::slice::from_ref(&mark)).await?.pop().flatten();
    let Some(cell) = found else { return Ok(None) };
    let fences = envelope::open(ring, place(&mark), 0, &cell.value).map_err(EncryptionError::of)?;
    let fences = fences.try_into().map_err(|_| EncryptionError::Damaged)?;
    Ok(Some(FenceKey::new(fences)))
}

pub(super) fn place(mark: &Key) -> Place<'_> {
    Place { sort: Sort::Mark, partition: mark.partition, path: &mark.path, seq: None }
}
