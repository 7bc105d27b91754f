//! Fills batches up to the target's limits. Each write has a condition, so that nothing is ever overwritten.

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, Durability, Key, Limits, Log, Seq, StateError, StateStore, Then, When};

use super::CopyError;
use crate::{again, chance};

/// So many batches share a sync. A crash loses the whole copy either way; but what was not synced is held by the store.
const SYNC_EVERY: u32 = 64;

pub(crate) struct Writer<'a> {
    to: &'a dyn StateStore,
    partition: Partition,
    limits: Limits,
    when: Vec<When>,
    then: Vec<Then>,
    writes: usize,
    bytes: usize,
    unsynced: u32,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(to: &'a dyn StateStore, partition: Partition) -> Self {
        let limits = to.profile().limits;
        Self { to, partition, limits, when: vec![], then: vec![], writes: 0, bytes: 0, unsynced: 0 }
    }

    pub(crate) async fn put(&mut self, key: Key, value: Bytes) -> Result<(), CopyError> {
        self.make_room(&key, value.len(), key.path.as_bytes().len() + value.len()).await?;
        self.when.push(When::Absent(key.clone()));
        self.then.push(Then::Put(key, value));
        Ok(())
    }

    /// Appends the entry that has this number.
    pub(crate) async fn append(&mut self, log: &Log, seq: Seq, entry: Bytes) -> Result<(), CopyError> {
        self.make_room(log, entry.len(), log.path.as_bytes().len() + entry.len()).await?;
        match self.then.last_mut() {
            Some(Then::Append(last, entries)) if last == log => entries.push(entry),
            _ => {
                self.when.push(When::Next(log.clone(), seq));
                self.then.push(Then::Append(log.clone(), vec![entry]));
            }
        }
        Ok(())
    }

    /// Makes a log whose next entry gets the number `first`.
    pub(crate) async fn skip_to(&mut self, log: &Log, first: Seq) -> Result<(), CopyError> {
        if first == Seq::FIRST {
            return Ok(());
        }
        self.flush().await?;
        let mut next = Seq::FIRST;
        while next < first {
            // One write of the batch is the trim.
            let count = (first.0 - next.0).min(self.limits.writes as u64 - 1);
            let after = Seq(next.0 + count);
            self.when.push(When::Next(log.clone(), next));
            self.then.push(Then::Append(log.clone(), vec![Bytes::new(); count as usize]));
            self.then.push(Then::Trim(log.clone(), after));
            self.flush().await?;
            next = after;
        }
        Ok(())
    }

    /// Writes what is left, as durably as the store can: with it everything before it.
    pub(crate) async fn end(mut self) -> Result<(), CopyError> {
        self.unsynced = SYNC_EVERY;
        self.commit().await
    }

    /// Writes the batch if one more write of this size does not fit into it.
    async fn make_room(
        &mut self,
        place: &(dyn std::fmt::Display + Sync),
        value: usize,
        size: usize,
    ) -> Result<(), CopyError> {
        let limit = if value > self.limits.value { self.limits.value } else { self.limits.batch };
        if value > self.limits.value || size > self.limits.batch {
            return Err(CopyError::TooLarge { place: place.to_string(), limit: limit as u64 });
        }
        if self.writes == self.limits.writes || self.bytes + size > self.limits.batch {
            self.flush().await?;
        }
        self.writes += 1;
        self.bytes += size;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), CopyError> {
        if self.then.is_empty() {
            return Ok(());
        }
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), CopyError> {
        let synced = self.unsynced >= SYNC_EVERY;
        self.unsynced = if synced { 0 } else { self.unsynced + 1 };
        let batch = Batch {
            id: chance::batch_id(),
            partition: self.partition,
            fence: None,
            when: std::mem::take(&mut self.when),
            then: std::mem::take(&mut self.then),
            durability: if synced { self.to.profile().best } else { Durability::Memory },
        };
        (self.writes, self.bytes) = (0, 0);
        match again::commit(self.to, batch).await {
            Ok(_) => Ok(()),
            // The place was free when the copy began: somebody else writes there.
            Err(StateError::Conflict { .. }) => Err(CopyError::Differs { place: self.partition.to_string() }),
            Err(error) => Err(CopyError::To(told(error))),
        }
    }
}

/// What the target's error is to whoever copies. A full disk stops a store that holds commits which were not synced: here
/// these are the copy's, which is begun anew, and what has to be done is to make room.
fn told(error: StateError) -> StateError {
    match error {
        StateError::Poisoned { cause } if cause.to_string().starts_with(&StateError::NoSpace.to_string()) => {
            StateError::NoSpace
        }
        error => error,
    }
}
