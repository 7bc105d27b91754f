//! One partition: cells, logs and the answers to its last batches.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use bytes::Bytes;
use runtime_traits::store::{
    Batch, Cell, Committed, Durability, Path, Revision, Seq, StateError, Tail, Then,
};

use super::log::Entries;
use crate::decide::{Extent, View, decide};
use crate::window::Window;

#[derive(Debug, Default)]
pub(super) struct Part {
    revision: u64,
    cells: BTreeMap<Path, Cell>,
    logs: BTreeMap<Path, Entries>,
    window: Window,
}

impl Part {
    pub(super) fn is_written(&self) -> bool {
        self.revision > 0
    }

    pub(super) fn cell(&self, path: &Path) -> Option<Cell> {
        self.cells.get(path).cloned()
    }

    pub(super) fn scan<'a>(
        &'a self,
        under: &'a Path,
        after: Option<&Path>,
        limit: u32,
    ) -> impl Iterator<Item = (&'a Path, &'a Cell)> {
        page(&self.cells, under, after, limit)
    }

    pub(super) fn read(&self, path: &Path, from: Seq, limit: u32) -> Tail {
        match self.logs.get(path) {
            Some(log) => log.tail(from, limit),
            None => Entries::default().tail(from, limit),
        }
    }

    pub(super) fn logs<'a>(
        &'a self,
        under: &'a Path,
        after: Option<&Path>,
        limit: u32,
    ) -> impl Iterator<Item = (&'a Path, Extent)> {
        page(&self.logs, under, after, limit).map(|(path, log)| (path, log.extent()))
    }

    pub(super) fn commit(&mut self, batch: Batch) -> Result<Committed, StateError> {
        if let Some(first) = self.window.find(batch.id) {
            return Ok(first);
        }
        let sums = decide(&batch, self)?;
        if batch.then.is_empty() {
            return Ok(self.answer(Vec::new()));
        }
        self.revision += 1;
        let appended = self.apply(batch.then, sums);
        let answer = self.answer(appended);
        self.window.push(batch.id, &answer);
        Ok(answer)
    }

    fn answer(&self, appended: Vec<Seq>) -> Committed {
        Committed { revision: Revision(self.revision), appended, durability: Durability::Memory }
    }

    fn apply(&mut self, then: Vec<Then>, sums: Vec<i64>) -> Vec<Seq> {
        let mut appended = Vec::new();
        let mut sums = sums.into_iter();
        for write in then {
            match write {
                Then::Put(key, value) => self.put(key.path, value),
                Then::Add(key, _) => {
                    let sum = sums.next().expect("`decide` answers one sum for each `Add`");
                    self.put(key.path, Bytes::from(sum.to_string()));
                }
                Then::Delete(key) => {
                    self.cells.remove(&key.path);
                }
                Then::Append(log, entries) if entries.is_empty() => {
                    let next = self.logs.get(&log.path).map_or(Extent::NEW, Entries::extent).next;
                    appended.push(Seq(next.0 - 1));
                }
                Then::Append(log, entries) => {
                    appended.push(self.logs.entry(log.path).or_default().append(entries));
                }
                Then::Trim(log, until) => {
                    if let Some(entries) = self.logs.get_mut(&log.path) {
                        entries.trim(until);
                    }
                }
                Then::Drop(log) => {
                    // Its path is never used again, so nothing of it has to be remembered.
                    self.logs.remove(&log.path);
                }
            }
        }
        appended
    }

    fn put(&mut self, path: Path, value: Bytes) {
        let cell = Cell { value, revision: Revision(self.revision) };
        match self.cells.entry(path) {
            Entry::Occupied(mut held) => *held.get_mut() = cell,
            Entry::Vacant(place) => {
                place.insert(cell);
            }
        }
    }
}

impl View for Part {
    type Error = StateError;

    fn cell<R>(
        &self,
        path: &Path,
        look: impl FnOnce(Option<(Revision, &[u8])>) -> R,
    ) -> Result<R, StateError> {
        Ok(look(self.cells.get(path).map(|cell| (cell.revision, &cell.value[..]))))
    }

    fn extent(&self, path: &Path) -> Result<Extent, StateError> {
        Ok(self.logs.get(path).map_or(Extent::NEW, Entries::extent))
    }
}

fn page<'a, T>(
    map: &'a BTreeMap<Path, T>,
    under: &'a Path,
    after: Option<&Path>,
    limit: u32,
) -> impl Iterator<Item = (&'a Path, &'a T)> {
    let from = match after {
        Some(after) if after >= under => Bound::Excluded(after),
        _ => Bound::Included(under),
    };
    map.range((from, Bound::Unbounded))
        .take_while(|(path, _)| path.as_bytes().starts_with(under.as_bytes()))
        .take(limit as usize)
}
