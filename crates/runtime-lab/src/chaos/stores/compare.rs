//! Reads everything in a store and compares it with what its writers have written.

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Path, Revision, Seq, StateError, StateStore};

use super::expected::{Expected, Kept};
use super::seen::{Reached, Seen};
use super::work::Work;
use crate::chaos::violation::Law;

const PAGE: u32 = 256;

/// How far a writer is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its journal tells.
    ByJournal,
    /// It ended in good order, after this batch: every place is read by itself, also after a read that failed.
    Exactly(u64),
}

/// One writer's places in a store.
struct Places<'a> {
    store: &'a dyn StateStore,
    seen: &'a mut Seen,
}

/// Compares what a writer wrote; `before` is what was expected of it the last time.
pub(super) async fn writer(
    store: &dyn StateStore,
    before: Expected,
    known: Known,
    seen: &mut Seen,
) -> Expected {
    let writer = before.writer;
    let journal = Work::journal(writer);
    let n = match (known, store.read(&journal, Seq::FIRST, 0).await) {
        (Known::Exactly(n), Ok(_)) => n,
        (Known::ByJournal, Ok(tail)) => tail.next.0.saturating_sub(1),
        (known, Err(error)) => {
            seen.tell(format!("the log `{journal}`: {error}"));
            match known {
                Known::Exactly(n) => n,
                Known::ByJournal => {
                    seen.writers.push(None);
                    return before;
                }
            }
        }
    };
    let expected = before.at(n);
    let singly = known != Known::ByJournal;
    let mut places = Places { store, seen };
    let revision = places.cells(&expected, singly).await;
    places.logs(&expected, singly).await;
    seen.writers.push(revision.map(|revision| Reached { n, revision }));
    expected
}

/// Looks for what nobody wrote.
pub(super) async fn strangers(store: &dyn StateStore, work: Work, seen: &mut Seen) {
    let known = |path: &Path| {
        (0..work.writers).any(|writer| path.as_bytes().starts_with(Work::under(writer).as_bytes()))
    };
    match store.partitions().await {
        Ok(found) => {
            for partition in found.into_iter().filter(|found| !Work::partitions().contains(found)) {
                seen.fault(Law::Invented, format!("the partition {partition}"));
            }
        }
        Err(error) => seen.tell(format!("the list of partitions: {error}")),
    }
    for partition in Work::partitions() {
        let owner = Work::owner(partition);
        let mut places = Places { store, seen };
        let cells = places.all_cells(&Key::all(partition)).await.unwrap_or_default();
        for path in cells.into_keys().filter(|path| !known(path) && *path != owner.path) {
            seen.fault(Law::Invented, format!("the cell `{partition}/{path}`"));
        }
        let mut places = Places { store, seen };
        let logs = places.all_logs(&Log::all(partition)).await.unwrap_or_default();
        for path in logs.into_keys().filter(|path| !known(path)) {
            seen.fault(Law::Invented, format!("the log `{partition}/{path}`"));
        }
    }
}

impl Places<'_> {
    /// Compares the cells of a writer, and answers the revision of its last batch.
    async fn cells(&mut self, expected: &Expected, singly: bool) -> Option<u64> {
        let home = Work::home(expected.writer);
        let under = Key::new(home, Work::under(expected.writer)).expect("a short path");
        let found = self.all_cells(&under).await;
        let mut revisions: BTreeMap<u64, Revision> = BTreeMap::new();
        if let Some(found) = &found {
            for path in found.keys().filter(|path| !expected.cells.contains_key(*path)) {
                self.seen.fault(
                    Law::Torn,
                    format!("the cell `{path}` should not be there after batch {}", expected.n),
                );
            }
        }
        for (path, (value, by)) in &expected.cells {
            if let Some(found) = &found {
                self.cell(path, found.get(path), value, *by, &mut revisions);
            }
            if singly {
                let key = Key { partition: home, path: path.clone() };
                match self.store.get(std::slice::from_ref(&key)).await {
                    Ok(cells) => self.cell(path, cells[0].as_ref(), value, *by, &mut revisions),
                    Err(error) => self.seen.tell(format!("the cell `{key}`: {error}")),
                }
            }
        }
        if !revisions.values().is_sorted_by(|earlier, later| earlier < later) {
            self.seen.fault(Law::Revision, format!("writer {}: {revisions:?} do not rise", expected.writer));
        }
        if expected.n == 0 { Some(0) } else { revisions.get(&expected.n).map(|revision| revision.0) }
    }

    fn cell(
        &mut self,
        path: &Path,
        found: Option<&Cell>,
        value: &Bytes,
        by: u64,
        revisions: &mut BTreeMap<u64, Revision>,
    ) {
        let Some(cell) = found else {
            return self.seen.fault(Law::Torn, format!("the cell `{path}` of batch {by} is not there"));
        };
        if cell.value != *value {
            let what = format!(
                "the cell `{path}` of batch {by} begins with `{}` and not with `{}`",
                begin(&cell.value),
                begin(value)
            );
            return self.seen.fault(Law::Wrong, what);
        }
        let first = *revisions.entry(by).or_insert(cell.revision);
        if first != cell.revision {
            let what = format!("batch {by} has revisions {} and {}, at `{path}`", first.0, cell.revision.0);
            self.seen.fault(Law::Revision, what);
        }
    }

    async fn logs(&mut self, expected: &Expected, singly: bool) {
        let home = Work::home(expected.writer);
        let under = Log::new(home, Work::under(expected.writer)).expect("a short path");
        let found = self.all_logs(&under).await;
        if let Some(found) = &found {
            // What is left of a dropped log may be removed later.
            let strange =
                |path: &&Path| !expected.logs.contains_key(*path) && !Work::is_passing(path.as_bytes());
            for path in found.keys().filter(strange) {
                self.seen.fault(Law::Torn, format!("the log `{path}` should not be there"));
            }
        }
        for (path, kept) in &expected.logs {
            let wanted = (kept.first(), kept.next());
            let extent = found.as_ref().map(|found| found.get(path).copied());
            if extent.is_some_and(|extent| extent != Some(wanted)) {
                let what = format!("the log `{path}` goes from, to {extent:?}, and not {wanted:?}");
                self.seen.fault(Law::Torn, what);
            }
            let log = Log { partition: home, path: path.clone() };
            let whole = self.entries(&log, kept, 0).await;
            if singly && !whole {
                for at in 0..kept.entries.len() {
                    self.entry(&log, kept, at).await;
                }
            }
        }
    }

    /// Compares all entries of a log; `false` when a read failed.
    async fn entries(&mut self, log: &Log, kept: &Kept, skip: usize) -> bool {
        let mut at = skip;
        while at < kept.entries.len() {
            let from = Seq(kept.first() + at as u64);
            match self.store.read(log, from, PAGE).await {
                Ok(tail) if tail.first != from || tail.entries.is_empty() => {
                    let what = format!("the log `{log}` has no entry {}", from.0);
                    self.seen.fault(Law::Log, what);
                    return true;
                }
                Ok(tail) => {
                    for (found, wanted) in tail.entries.iter().zip(kept.entries.range(at..)) {
                        if found != wanted {
                            let what = format!("entry {} of `{log}` begins with `{}`", from.0, begin(found));
                            self.seen.fault(Law::Wrong, what);
                        }
                    }
                    at += tail.entries.len();
                }
                Err(error) => {
                    self.seen.tell(format!("the log `{log}`: {error}"));
                    return false;
                }
            }
        }
        true
    }

    async fn entry(&mut self, log: &Log, kept: &Kept, at: usize) {
        let seq = Seq(kept.first() + at as u64);
        match self.store.read(log, seq, 1).await {
            Ok(tail) if tail.first != seq || tail.entries.first() != Some(&kept.entries[at]) => {
                self.seen.fault(Law::Wrong, format!("entry {} of `{log}`", seq.0));
            }
            Ok(_) => {}
            Err(error) => self.seen.tell(format!("entry {} of `{log}`: {error}", seq.0)),
        }
    }

    /// All cells under a prefix; `None` when a read failed.
    async fn all_cells(&mut self, under: &Key) -> Option<BTreeMap<Path, Cell>> {
        let mut found: BTreeMap<Path, Cell> = BTreeMap::new();
        loop {
            let after = found
                .last_key_value()
                .map(|(path, _)| Key { partition: under.partition, path: path.clone() });
            let page = self.store.scan(under, after.as_ref(), PAGE).await;
            let page = self.page(page, under)?;
            let last = page.len() < PAGE as usize;
            found.extend(page.into_iter().map(|(key, cell)| (key.path, cell)));
            if last {
                return Some(found);
            }
        }
    }

    /// Where all logs under a prefix begin and go on; `None` when a read failed.
    async fn all_logs(&mut self, under: &Log) -> Option<BTreeMap<Path, (u64, u64)>> {
        let mut found: BTreeMap<Path, (u64, u64)> = BTreeMap::new();
        loop {
            let after = found
                .last_key_value()
                .map(|(path, _)| Log { partition: under.partition, path: path.clone() });
            let page = self.store.logs(under, after.as_ref(), PAGE).await;
            let page = self.page(page, under)?;
            let last = page.len() < PAGE as usize;
            found
                .extend(page.into_iter().map(|LogExtent { log, first, next }| (log.path, (first.0, next.0))));
            if last {
                return Some(found);
            }
        }
    }

    fn page<T>(&mut self, page: Result<T, StateError>, under: &dyn std::fmt::Display) -> Option<T> {
        page.map_err(|error| self.seen.tell(format!("a page under `{under}`: {error}"))).ok()
    }
}

fn begin(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(16)].escape_ascii().to_string()
}
