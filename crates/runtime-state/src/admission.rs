//! What can be refused by looking at the request alone: before anything is sent, locked or read.

use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, Durability, Key, Limits, Log, StateError, Then};

/// What the stores of this crate take: the contract's limits, and room for what a wrapper adds to each value.
pub(crate) const LIMITS: Limits = Limits {
    writes: Limits::CONTRACT.writes,
    batch: Limits::CONTRACT.batch + WRAPPING,
    value: Limits::CONTRACT.value + WRAPPING,
};
/// 128 bytes for each write.
const WRAPPING: usize = Limits::CONTRACT.writes * 128;

/// Refuses a batch that no state of the store could accept.
pub(crate) fn admit(batch: &Batch, limits: Limits, best: Durability) -> Result<(), StateError> {
    known(batch.partition)?;
    let home = batch.partition;
    let fence = batch.fence.iter().map(|fence| fence.owner.partition);
    let when = batch.when.iter().map(runtime_traits::store::When::partition);
    let then = batch.then.iter().map(Then::partition);
    if fence.chain(when).chain(then).any(|partition| partition != home) {
        return Err(StateError::WrongPartition);
    }

    let (mut writes, mut bytes) = (0, 0);
    for write in &batch.then {
        writes += write.count();
        bytes += write.size();
        addressed(write)?;
        let largest = match write {
            Then::Put(_, value) => value.len(),
            Then::Append(_, entries) => entries.iter().map(bytes::Bytes::len).max().unwrap_or(0),
            Then::Add(..) | Then::Delete(_) | Then::Trim(..) | Then::Drop(_) => 0,
        };
        within("a value of the batch, in bytes,", largest, limits.value)?;
    }
    within("the number of writes in the batch", writes, limits.writes)?;
    within("the batch, in bytes,", bytes, limits.batch)?;
    // A store that cannot give the level must not answer `Ok` below it.
    within("the durability asked for (0 memory, 1 process, 2 disk)", batch.durability as usize, best as usize)
}

/// Refuses a partition that no pool has.
pub(crate) fn known(partition: Partition) -> Result<(), StateError> {
    if partition.index <= Partition::OWNERLESS { Ok(()) } else { Err(StateError::WrongPartition) }
}

/// The partition that all of `keys` are in, if there are any.
pub(crate) fn home_of(keys: &[Key]) -> Result<Option<Partition>, StateError> {
    let Some(first) = keys.first() else { return Ok(None) };
    known(first.partition)?;
    if keys.iter().any(|key| key.partition != first.partition) {
        return Err(StateError::WrongPartition);
    }
    Ok(Some(first.partition))
}

/// Refuses a page of cells that begins in another partition.
pub(crate) fn same_home(under: &Key, after: Option<&Key>) -> Result<(), StateError> {
    same(under.partition, after.map(|key| key.partition))
}

/// Refuses a page of logs that begins in another partition.
pub(crate) fn same_log_home(under: &Log, after: Option<&Log>) -> Result<(), StateError> {
    same(under.partition, after.map(|log| log.partition))
}

fn same(under: Partition, after: Option<Partition>) -> Result<(), StateError> {
    known(under)?;
    if after.is_some_and(|after| after != under) { Err(StateError::WrongPartition) } else { Ok(()) }
}

fn addressed(write: &Then) -> Result<(), StateError> {
    let path = match write {
        Then::Put(key, _) | Then::Add(key, _) | Then::Delete(key) => &key.path,
        Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log) => &log.path,
    };
    within("the number of writes to the empty path", usize::from(path.is_root()), 0)
}

fn within(what: &str, size: usize, limit: usize) -> Result<(), StateError> {
    if size <= limit {
        return Ok(());
    }
    Err(StateError::TooLarge { what: what.to_owned(), limit: limit as u64 })
}
