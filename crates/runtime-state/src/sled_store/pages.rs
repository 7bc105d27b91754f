//! Reads behind the gate: a page is of one moment.

use std::ops::Bound;

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Path, Revision, Seq, StateError, Tail};

use super::base::{Base, View};
use super::layout::{self, Kind};
use super::trouble::Trouble;
use crate::decide::Extent;
use crate::group_commit::rows::{LogRow, Torn};
use crate::group_commit::{Halt as Halted, keys};

type Halt = Halted<Trouble>;

pub(super) fn get(base: &Base, keys: &[Key]) -> Result<Vec<Option<Cell>>, Halt> {
    let view = base.view().map_err(Halt::Broken)?;
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    view.enter_to_read(first.partition)?;
    keys.iter()
        .map(|key| {
            let place = keys::of_path(key.partition, &key.path);
            let row = layout::row(Kind::Cell, &place);
            let Some(found) = view.get(&row)? else { return Ok(None) };
            Ok(Some(cell(&view, key, &place, &row, &found)?))
        })
        .collect()
}

pub(super) fn scan(
    base: &Base,
    under: &Key,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<(Key, Cell)>, Halt> {
    let view = base.view().map_err(Halt::Broken)?;
    let after = after.map(|after| &after.path);
    page(&view, Kind::Cell, under.partition, &under.path, after, limit, |path, row, found| {
        let key = Key { partition: under.partition, path };
        let place = keys::of_path(key.partition, &key.path);
        let cell = cell(&view, &key, &place, row, found)?;
        Ok((key, cell))
    })
}

pub(super) fn logs(
    base: &Base,
    under: &Log,
    after: Option<&Log>,
    limit: u32,
) -> Result<Vec<LogExtent>, Halt> {
    let view = base.view().map_err(Halt::Broken)?;
    let after = after.map(|after| &after.path);
    page(&view, Kind::Log, under.partition, &under.path, after, limit, |path, key, row| {
        let log = Log { partition: under.partition, path };
        match log_in(key, row) {
            Ok(LogRow { first, next, .. }) => Ok(LogExtent { log, first: Seq(first), next: Seq(next) }),
            Err(Torn) => Err(damaged("the log", &log)),
        }
    })
}

pub(super) fn read(base: &Base, log: &Log, from: Seq, limit: u32) -> Result<Tail, Halt> {
    let view = base.view().map_err(Halt::Broken)?;
    view.enter_to_read(log.partition)?;
    let place = keys::of_path(log.partition, &log.path);
    let key = layout::row(Kind::Log, &place);
    let Some(row) = view.get(&key)? else {
        let Extent { first, next } = Extent::NEW;
        return Ok(Tail { first: from.max(first), next, entries: Vec::new() });
    };
    let row = log_in(&key, &row).map_err(|Torn| damaged("the log", log))?;
    let first = from.max(Seq(row.first));
    let end = first.0.saturating_add(u64::from(limit)).min(row.next);
    let mut entries = Vec::new();
    if first.0 < end {
        let range = [first, Seq(end)].map(|seq| layout::entry(Kind::Entry, &place, row.id, seq));
        let [from, until] = range;
        let mut rows = view.at_read(view.open().range(from..until))?;
        for expected in first.0..end {
            // A missing entry is damage too, and not the end of the log.
            let damaged = || damaged(&format!("entry {expected} of the log"), log);
            let (key, found) = view.at_read(rows.next().transpose())?.ok_or_else(damaged)?;
            if layout::seq_in(&key) != Some(Seq(expected)) {
                return Err(damaged());
            }
            let base = || layout::entry(Kind::EntryChunk, &place, row.id, Seq(expected));
            let (_, entry) = value(&view, &key, &found, base)?.map_err(|Torn| damaged())?;
            entries.push(entry);
        }
    }
    Ok(Tail { first, next: Seq(row.next), entries })
}

pub(super) fn partitions(base: &Base) -> Result<Vec<Partition>, Halt> {
    let view = base.view().map_err(Halt::Broken)?;
    let mut partitions: Vec<_> = view.open().known().parts.keys().copied().collect();
    partitions.sort_unstable();
    Ok(partitions)
}

/// What a log's row says.
pub(super) fn log_in(key: &[u8], row: &[u8]) -> Result<LogRow, Torn> {
    LogRow::from_bytes(layout::content(key, row)?)
}

/// A value from its first row and the others, whose keys begin with what `base` answers.
pub(super) fn value(
    view: &View<'_>,
    key: &[u8],
    row: &[u8],
    base: impl FnOnce() -> Vec<u8>,
) -> Result<Result<(u64, Bytes), Torn>, Halt> {
    let Ok(head) = layout::head(key, row) else { return Ok(Err(Torn)) };
    if head.chunks == 0 {
        return Ok(Ok((head.stamp, Bytes::copy_from_slice(head.bytes))));
    }
    let mut value = head.bytes.to_vec();
    let base = base();
    for index in 0..head.chunks {
        let key = layout::chunk(&base, index);
        let Some(row) = view.get(&key)? else { return Ok(Err(Torn)) };
        let Ok(bytes) = layout::chunk_in(&key, &row, head.stamp) else { return Ok(Err(Torn)) };
        value.extend_from_slice(bytes);
    }
    Ok(Ok((head.stamp, value.into())))
}

fn cell(view: &View<'_>, key: &Key, place: &[u8], row: &[u8], found: &[u8]) -> Result<Cell, Halt> {
    match value(view, row, found, || layout::row(Kind::CellChunk, place))? {
        Ok((revision, value)) => Ok(Cell { value, revision: Revision(revision) }),
        Err(Torn) => Err(damaged("the cell", key)),
    }
}

fn page<T>(
    view: &View<'_>,
    kind: Kind,
    partition: Partition,
    under: &Path,
    after: Option<&Path>,
    limit: u32,
    row: impl Fn(Path, &[u8], &[u8]) -> Result<T, Halt>,
) -> Result<Vec<T>, Halt> {
    let absence = view.enter_to_read(partition)?;
    let prefix = layout::row(kind, &keys::of_path(partition, under));
    let end = keys::past(&prefix);
    let after = after.map(|after| layout::row(kind, &keys::of_path(partition, after)));
    let after = after.filter(|after| *after >= prefix);
    if after.as_ref().is_some_and(|after| *after >= end) {
        return Ok(Vec::new());
    }
    let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
    let mut found = Vec::new();
    let range = view.at_read(view.open().range((from, Bound::Excluded(end))))?;
    for next in range.take(limit as usize) {
        let (key, value) = view.at_read(next)?;
        let path = layout::path_in(partition, &key).ok_or_else(|| damaged("the key", &key.escape_ascii()))?;
        found.push(row(path, &key, &value)?);
    }
    // Said once for all: whoever saves what is left looks for many things that were never there.
    if found.len() < limit as usize && under.as_bytes().is_empty() {
        absence.is_known()?;
    }
    Ok(found)
}

fn damaged(what: &str, place: &dyn std::fmt::Display) -> Halt {
    Halt::Refused(StateError::Damaged { what: format!("{what} `{place}`") })
}
