//! The open database: one tree, read by many, written by one.

use std::collections::HashMap;
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use runtime_traits::partition::Partition;
use runtime_traits::store::StateError;
use sled::{Db, IVec};

use super::disk::Disk;
use super::layout;
use super::mark::Mark;
use super::pace::Pace;
use super::rim::Rim;
use super::sums::{Known, Sum};
use super::trouble::Trouble;
use crate::group_commit::{Halt, Watch};

/// What readers and the committer share.
pub(super) struct Base {
    /// Written while a group is on its way to the disk, so that no read sees what a crash could take away. Empty once
    /// the database is closed.
    gate: RwLock<Option<Open>>,
    pub(super) watch: Arc<Watch>,
}

/// The committer's hold on the database: dropped, it closes it, whoever still reads.
pub(super) struct Hold(pub(super) Arc<Base>);

/// The database itself.
pub(super) struct Open {
    pub(super) db: Db,
    pub(super) disk: Disk,
    pub(super) mark: Arc<Mark>,
    pub(super) rim: Arc<dyn Rim>,
    known: Mutex<Known>,
    pub(super) pace: Mutex<Pace>,
    salvage: bool,
    /// Partitions that were looked through, and whether they have all rows.
    looked_through: Mutex<HashMap<Partition, bool>>,
}

/// The database during a read.
pub(super) struct View<'a> {
    open: RwLockReadGuard<'a, Option<Open>>,
    watch: &'a Watch,
}

/// What it means that something is not found in a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// It may have been lost.
    lost: Option<Partition>,
}

impl Base {
    pub(super) fn new(open: Open, watch: Arc<Watch>) -> Self {
        Self { gate: RwLock::new(Some(open)), watch }
    }

    /// Waits for the group in flight.
    pub(super) fn view(&self) -> Result<View<'_>, Trouble> {
        // Whoever panicked behind the gate may have left half a group.
        let open = self.gate.read().map_err(|_| Trouble::Closed)?;
        if open.is_none() {
            return Err(Trouble::Closed);
        }
        Ok(View { open, watch: &self.watch })
    }

    /// Keeps readers out.
    pub(super) fn gate(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the database in order: with a last sync, unless something has failed before.
    pub(super) fn close(&self) -> Result<(), Trouble> {
        let mut gate = self.gate();
        let Some(open) = gate.take() else { return Ok(()) };
        let synced = if self.watch.fault().is_some() { Ok(()) } else { open.sync() };
        drop_quietly(open);
        synced
    }

    /// Closes the database without a last sync.
    pub(super) fn abandon(&self) {
        drop_quietly(self.gate().take());
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Open {
    pub(super) fn new(
        db: Db,
        disk: Disk,
        mark: Arc<Mark>,
        rim: Arc<dyn Rim>,
        known: Known,
        salvage: bool,
    ) -> Self {
        Self {
            salvage,
            db,
            disk,
            mark,
            rim,
            known: Mutex::new(known),
            pace: Mutex::default(),
            looked_through: Mutex::default(),
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts all that was written onto the disk.
    fn sync(&self) -> Result<(), Trouble> {
        self.db.flush()?;
        self.disk.sync()?;
        Ok(self.mark.claim_synced(self.known().count)?)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Trouble> {
        self.rim.read()?;
        Ok(self.db.get(key)?)
    }

    pub(super) fn range<R: RangeBounds<Vec<u8>>>(
        &self,
        range: R,
    ) -> Result<impl Iterator<Item = Result<(IVec, IVec), Trouble>>, Trouble> {
        self.rim.read()?;
        Ok(self.db.range(range).map(|row| Ok(row?)))
    }

    /// Whether all rows of the partition are there, and each as it was written last.
    pub(super) fn is_whole(&self, partition: Partition) -> Result<bool, Trouble> {
        if let Some(whole) = self.looked_through().get(&partition) {
            return Ok(*whole);
        }
        let mut sum = Sum::default();
        for row in self.range(layout::all(partition))? {
            let (key, row) = row?;
            sum.add(&key, &row);
        }
        let expected = self.known().parts.get(&partition).copied().unwrap_or_default().sum;
        let whole = sum == expected;
        if !whole {
            tracing::error!(%partition, found = ?sum, ?expected, "sled has lost rows of a partition");
        }
        self.looked_through().insert(partition, whole);
        Ok(whole)
    }

    fn looked_through(&self) -> MutexGuard<'_, HashMap<Partition, bool>> {
        self.looked_through.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View<'_> {
    pub(super) fn open(&self) -> &Open {
        self.open.as_ref().expect("whoever opens the gate has seen it")
    }

    /// Refuses a partition that is not whole. What is not found there may have been there.
    pub(super) fn enter(&self, partition: Partition) -> Result<(), Halt<Trouble>> {
        if self.at_read(self.open().is_whole(partition))? { Ok(()) } else { Err(lost(partition)) }
    }

    /// As [`View::enter`], for reads: with salvage a partition that is not whole is shown. What has to be said where
    /// nothing more of it is found is answered.
    pub(super) fn enter_to_read(&self, partition: Partition) -> Result<Absence, Halt<Trouble>> {
        if !self.open().salvage {
            return self.enter(partition).map(|()| Absence { lost: None });
        }
        let is_whole = self.at_read(self.open().is_whole(partition))?;
        Ok(Absence { lost: (!is_whole).then_some(partition) })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Halt<Trouble>> {
        self.at_read(self.open().get(key))
    }

    pub(super) fn at_read<T>(&self, read: Result<T, Trouble>) -> Result<T, Halt<Trouble>> {
        read.map_err(|trouble| Halt::Broken(trouble.at_read(self.watch)))
    }
}

impl Absence {
    /// That something is not there, if that is known.
    pub(super) fn is_known(self) -> Result<(), Halt<Trouble>> {
        self.lost.map_or(Ok(()), |partition| Err(lost(partition)))
    }
}

fn lost(partition: Partition) -> Halt<Trouble> {
    let what = format!("partition `{partition}`, of which sled has lost rows");
    Halt::Refused(StateError::Damaged { what })
}

/// Drops what may panic while it is dropped.
pub(super) fn drop_quietly<T>(what: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(what))).is_err() {
        tracing::warn!("sled panicked while it closed the store");
    }
}
