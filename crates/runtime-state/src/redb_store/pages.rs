//! Reads within one read transaction: a page is of one moment.

use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Path, Seq, StateError, Tail};

use super::{rows, tables};
use crate::decide::Extent;
use crate::group_commit::keys;
use crate::group_commit::rows::{LogRow, Torn};

type Halt = crate::group_commit::Halt<redb::Error>;
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(super) fn get(txn: &ReadTransaction, keys: &[Key]) -> Result<Vec<Option<Cell>>, Halt> {
    let cells = txn.open_table(tables::CELLS).map_err(Halt::broken)?;
    keys.iter()
        .map(|key| {
            let place = keys::of_path(key.partition, &key.path);
            let Some(row) = cells.get(place.as_slice()).map_err(Halt::broken)? else { return Ok(None) };
            rows::cell(row.value(), &place).map(Some).map_err(|Torn| damaged("the cell", key))
        })
        .collect()
}

pub(super) fn scan(
    txn: &ReadTransaction,
    under: &Key,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<(Key, Cell)>, Halt> {
    let cells = txn.open_table(tables::CELLS).map_err(Halt::broken)?;
    page(&cells, under.partition, &under.path, after.map(|after| &after.path), limit, |path, key, row| {
        let place = Key { partition: under.partition, path };
        match rows::cell(row, key) {
            Ok(cell) => Ok((place, cell)),
            Err(Torn) => Err(damaged("the cell", &place)),
        }
    })
}

pub(super) fn logs(
    txn: &ReadTransaction,
    under: &Log,
    after: Option<&Log>,
    limit: u32,
) -> Result<Vec<LogExtent>, Halt> {
    let logs = txn.open_table(tables::LOGS).map_err(Halt::broken)?;
    page(&logs, under.partition, &under.path, after.map(|after| &after.path), limit, |path, key, row| {
        let log = Log { partition: under.partition, path };
        match rows::log(row, key) {
            Ok(LogRow { first, next, .. }) => Ok(LogExtent { log, first: Seq(first), next: Seq(next) }),
            Err(Torn) => Err(damaged("the log", &log)),
        }
    })
}

pub(super) fn read(txn: &ReadTransaction, log: &Log, from: Seq, limit: u32) -> Result<Tail, Halt> {
    let place = keys::of_path(log.partition, &log.path);
    let logs = txn.open_table(tables::LOGS).map_err(Halt::broken)?;
    let Some(row) = logs.get(place.as_slice()).map_err(Halt::broken)? else {
        let Extent { first, next } = Extent::NEW;
        return Ok(Tail { first: from.max(first), next, entries: Vec::new() });
    };
    let row = rows::log(row.value(), &place).map_err(|Torn| damaged("the log", log))?;
    let first = from.max(Seq(row.first));
    let entries = entries(txn, log, row, first, limit)?;
    Ok(Tail { first, next: Seq(row.next), entries })
}

fn entries(
    txn: &ReadTransaction,
    log: &Log,
    row: LogRow,
    first: Seq,
    limit: u32,
) -> Result<Vec<Bytes>, Halt> {
    let end = first.0.saturating_add(u64::from(limit)).min(row.next);
    if end <= first.0 {
        return Ok(Vec::new());
    }
    let table = txn.open_table(tables::ENTRIES).map_err(Halt::broken)?;
    let range = keys::of_entry(row.id, first)..keys::of_entry(row.id, Seq(end));
    let mut entries = Vec::new();
    for (found, expected) in table.range(range).map_err(Halt::broken)?.zip(first.0..) {
        let (key, entry) = found.map_err(Halt::broken)?;
        let sound = keys::seq_in(key.value()) == Seq(expected);
        match rows::entry(entry.value(), key.value()) {
            Ok(entry) if sound => entries.push(entry),
            _ => return Err(damaged(&format!("entry {expected} of the log"), log)),
        }
    }
    // A missing entry is damage too, and not the end of the log.
    if (entries.len() as u64) < end - first.0 {
        return Err(damaged(&format!("entry {} of the log", first.0 + entries.len() as u64), log));
    }
    Ok(entries)
}

pub(super) fn partitions(txn: &ReadTransaction) -> Result<Vec<Partition>, Halt> {
    let table = txn.open_table(tables::POOLS).map_err(Halt::broken)?;
    let mut partitions = Vec::new();
    for row in table.iter().map_err(Halt::broken)? {
        let (key, row) = row.map_err(Halt::broken)?;
        let (pool, revisions) = tables::pool_in(key.value(), row.value())
            .ok_or_else(|| damaged("the row of pool", &key.value().escape_ascii()))?;
        let written = revisions.into_iter().zip(0..).filter(|(revision, _)| *revision > 0);
        partitions.extend(written.map(|(_, index)| Partition { pool, index }));
    }
    Ok(partitions)
}

fn page<T>(
    table: &Rows,
    partition: Partition,
    under: &Path,
    after: Option<&Path>,
    limit: u32,
    row: impl Fn(Path, &[u8], &[u8]) -> Result<T, Halt>,
) -> Result<Vec<T>, Halt> {
    let prefix = keys::of_path(partition, under);
    let end = keys::past(&prefix);
    let after = after.map(|after| keys::of_path(partition, after)).filter(|after| *after >= prefix);
    let from = match &after {
        Some(after) => Bound::Excluded(after.as_slice()),
        None => Bound::Included(prefix.as_slice()),
    };
    if after.as_ref().is_some_and(|after| *after >= end) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let range = table.range::<&[u8]>((from, Bound::Excluded(end.as_slice()))).map_err(Halt::broken)?;
    for next in range.take(limit as usize) {
        let (key, value) = next.map_err(Halt::broken)?;
        let path = keys::path_in(partition, key.value())
            .ok_or_else(|| damaged("the key", &key.value().escape_ascii()))?;
        found.push(row(path, key.value(), value.value())?);
    }
    Ok(found)
}

fn damaged(what: &str, place: &dyn std::fmt::Display) -> Halt {
    Halt::Refused(StateError::Damaged { what: format!("{what} `{place}`") })
}
