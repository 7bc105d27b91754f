//! A whole store into another, empty one.

mod compare;
pub(crate) mod owner;
pub(crate) mod writer;

use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, Key, LogExtent, StateError, StateStore, Then, When};
use serde::Serialize;
use thiserror::Error;

use crate::marks::{self, Marks};
use crate::{again, chance, pages};
use writer::Writer;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Partitions with anything in them.
    pub partitions: u64,
    /// Cells.
    pub cells: u64,
    /// Logs, those too of which every entry is trimmed.
    pub logs: u64,
    /// Entries that are not trimmed.
    pub entries: u64,
    /// Bytes of paths and values.
    pub bytes: u64,
}

/// What copying is about at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// It writes.
    Copying,
    /// It reads both stores back and compares them.
    Comparing,
}

/// Why a store was not copied. The store that was copied from is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CopyError {
    /// Something was written to the target before.
    #[error(
        "the store to copy into is not empty (partition `{partition}`): name a new one. If a copy into it broke off, \
         delete it and begin again"
    )]
    NotEmpty {
        /// One of its partitions.
        partition: Partition,
    },
    /// Somebody else marked the target first.
    #[error("somebody else has just begun to copy into this store: leave it to them, and name another one")]
    Raced,
    /// The source is encrypted, and was opened without its keys.
    #[error("the store to copy from is encrypted: open it with its keys")]
    Encrypted,
    /// The source is itself a copy that broke off.
    #[error("the store to copy from is a copy that broke off: copy the original")]
    HalfCopied,
    /// The target does not take values of this size.
    #[error(
        "`{place}` is larger than the {limit} bytes that the store to copy into takes: choose another store"
    )]
    TooLarge {
        /// The cell or log.
        place: String,
        /// What the target takes.
        limit: u64,
    },
    /// The two stores differ after the copy.
    #[error(
        "`{place}` is not the same in both stores: see that nobody writes to either, delete the copy, begin again"
    )]
    Differs {
        /// Where.
        place: String,
    },
    /// The source failed.
    #[error("the store to copy from: {0}")]
    From(#[source] StateError),
    /// The target failed.
    #[error("the store to copy into: {0}. Delete it and begin again")]
    To(#[source] StateError),
}

/// Copies everything in `from` into `to`, in which nothing was ever written, and compares the two.
///
/// Cells, logs with their first and next numbers, and all entries under their own numbers. Three things differ: revisions
/// are the target's own, answers to batch ids are not known there, and the owner of each partition is nobody: its cell
/// keeps its epoch, so that the next owner has a higher one, under a token that no process has.
///
/// Nobody may write to either store meanwhile. Afterwards only one of the two may be used for running: two that go on
/// from one point would give the same epochs to outside stores.
///
/// A log that begins at n is made by appending n - 1 empty entries and trimming them away in the same batches; the
/// contract knows no other way to a number, and a batch without a sync costs microseconds.
///
/// After a crash, or an error, the target is marked as half copied and [`open`](crate::open) refuses it. Delete it and
/// begin again.
///
/// `progress` hears after each page what was done so far.
///
/// # Errors
/// [`CopyError`].
///
/// # Examples
/// ```
/// use runtime_state::{MemoryStore, copy_store};
///
/// # runtime_testkit::block_on(async {
/// let (from, to) = (MemoryStore::new(), MemoryStore::new());
/// let copied = copy_store(&from, &to, |_, _| {}).await?;
/// assert_eq!(copied.cells, 0);
/// # Ok::<(), runtime_state::CopyError>(())
/// # }).expect("two stores in memory");
/// ```
pub async fn copy_store(
    from: &dyn StateStore,
    to: &dyn StateStore,
    mut progress: impl FnMut(CopyStep, &Copied),
) -> Result<Copied, CopyError> {
    let mark = begin(from, to).await?;
    let partitions = inhabited(from).await.map_err(CopyError::From)?;
    let mut copied = Copied::default();
    for partition in &partitions {
        let before = copied;
        copy_partition(from, to, *partition, &mut copied, &mut progress).await?;
        copied.partitions += u64::from(copied != before);
    }
    let mut compared = Copied::default();
    for partition in partitions {
        compare::partition(from, to, partition, &mut compared, &mut progress).await?;
    }
    end(to, mark).await?;
    Ok(copied)
}

/// Marks a store in which nothing was ever written as one that is being copied into.
pub(crate) async fn begin(from: &dyn StateStore, to: &dyn StateStore) -> Result<Key, CopyError> {
    let source = Marks::of(from).await.map_err(CopyError::From)?;
    if source.encrypted {
        return Err(CopyError::Encrypted);
    }
    if source.half_copied {
        return Err(CopyError::HalfCopied);
    }
    if let Some(partition) = to.partitions().await.map_err(CopyError::To)?.first() {
        return Err(CopyError::NotEmpty { partition: *partition });
    }
    let mark = marks::copying();
    set_mark(to, When::Absent(mark.clone()), Then::Put(mark.clone(), "copying".into())).await.map_err(
        |error| match error {
            StateError::Conflict { .. } => CopyError::Raced,
            error => CopyError::To(error),
        },
    )?;
    Ok(mark)
}

/// Takes the mark away: what was copied is whole.
pub(crate) async fn end(to: &dyn StateStore, mark: Key) -> Result<(), CopyError> {
    let held = to.get(std::slice::from_ref(&mark)).await.map_err(CopyError::To)?.pop().flatten();
    let held = held.ok_or_else(|| CopyError::Differs { place: mark.to_string() })?;
    set_mark(to, When::Revision(mark.clone(), held.revision), Then::Delete(mark)).await.map_err(CopyError::To)
}

/// The partitions of a store, without that of its marks.
pub(crate) async fn inhabited(store: &dyn StateStore) -> Result<Vec<Partition>, StateError> {
    let mut partitions = store.partitions().await?;
    partitions.retain(|partition| !marks::is_marks(*partition));
    partitions.sort_unstable();
    Ok(partitions)
}

async fn copy_partition(
    from: &dyn StateStore,
    to: &dyn StateStore,
    partition: Partition,
    copied: &mut Copied,
    progress: &mut impl FnMut(CopyStep, &Copied),
) -> Result<(), CopyError> {
    let mut writer = Writer::new(to, partition);
    let mut cells = pages::Cells::of(partition);
    while let Some(page) = cells.next(from).await.map_err(CopyError::From)? {
        for (key, cell) in page {
            copied.cells += 1;
            copied.bytes += (key.path.as_bytes().len() + cell.value.len()) as u64;
            let value = owner::nobodys(&key, cell.value);
            writer.put(key, value).await?;
        }
        progress(CopyStep::Copying, copied);
    }
    let mut logs = pages::Logs::of(partition);
    while let Some(page) = logs.next(from).await.map_err(CopyError::From)? {
        for extent in page {
            copied.logs += 1;
            copied.bytes += extent.log.path.as_bytes().len() as u64;
            copy_log(from, extent, &mut writer, copied, progress).await?;
        }
        progress(CopyStep::Copying, copied);
    }
    writer.end().await
}

async fn copy_log(
    from: &dyn StateStore,
    extent: LogExtent,
    writer: &mut Writer<'_>,
    copied: &mut Copied,
    progress: &mut impl FnMut(CopyStep, &Copied),
) -> Result<(), CopyError> {
    let LogExtent { log, first, .. } = extent.clone();
    writer.skip_to(&log, first).await?;
    let mut expected = first;
    let mut entries = pages::Entries::of(extent);
    while let Some((begins, page)) = entries.next(from).await.map_err(CopyError::From)? {
        if begins != expected {
            // Somebody trims it meanwhile.
            return Err(CopyError::Differs { place: log.to_string() });
        }
        for entry in page {
            copied.entries += 1;
            copied.bytes += entry.len() as u64;
            writer.append(&log, expected, entry).await?;
            expected = expected.next();
        }
        progress(CopyStep::Copying, copied);
    }
    Ok(())
}

/// Sets or takes away the mark of a store that is being copied into, as durably as the store can.
async fn set_mark(to: &dyn StateStore, when: When, then: Then) -> Result<(), StateError> {
    let batch = Batch {
        id: chance::batch_id(),
        partition: marks::copying().partition,
        fence: None,
        when: vec![when],
        then: vec![then],
        durability: to.profile().best,
    };
    again::commit(to, batch).await.map(drop)
}
