//! What a store is, in maps and without any care for speed: the measure of the others.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Durability, Key, LARGEST_SUM, Limits, Log, LogExtent, Path, Revision,
    Seq, StateError, Tail, Then, When,
};

/// Batches whose ids are remembered in each partition.
pub(crate) const WINDOW: usize = 4_096;

/// The contents of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    parts: BTreeMap<Partition, Part>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    revision: u64,
    cells: BTreeMap<Path, Cell>,
    logs: BTreeMap<Path, Entries>,
    answers: HashMap<BatchId, Committed>,
    order: VecDeque<BatchId>,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    trimmed: u64,
    held: VecDeque<Bytes>,
}

/// Refuses what can be refused without looking into the store: first the partition, then the sizes.
pub(crate) fn one_partition(batch: &Batch) -> Result<(), StateError> {
    let places = batch
        .then
        .iter()
        .map(Then::partition)
        .chain(batch.when.iter().map(When::partition))
        .chain(batch.fence.iter().map(|fence| fence.owner.partition));
    for partition in places {
        if partition != batch.partition {
            return Err(StateError::WrongPartition);
        }
    }
    Ok(())
}

/// Refuses a batch that is larger than the contract allows.
pub(crate) fn sized(batch: &Batch) -> Result<(), StateError> {
    let too_large =
        |what: &str, limit: usize| StateError::TooLarge { what: what.to_owned(), limit: limit as u64 };
    let Limits { writes, batch: bytes, value } = Limits::CONTRACT;
    if batch.then.iter().any(root) {
        return Err(too_large("the number of writes to the empty path", 0));
    }
    if batch.then.iter().any(|write| largest(write) > value) {
        return Err(too_large("a value of the batch, in bytes,", value));
    }
    if batch.then.iter().map(Then::count).sum::<usize>() > writes {
        return Err(too_large("the number of writes in the batch", writes));
    }
    if batch.then.iter().map(Then::size).sum::<usize>() > bytes {
        return Err(too_large("the batch, in bytes,", bytes));
    }
    Ok(())
}

fn root(write: &Then) -> bool {
    match write {
        Then::Put(key, _) | Then::Add(key, _) | Then::Delete(key) => key.path.is_root(),
        Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log) => log.path.is_root(),
    }
}

fn largest(write: &Then) -> usize {
    match write {
        Then::Put(_, value) => value.len(),
        Then::Append(_, entries) => entries.iter().map(Bytes::len).max().unwrap_or(0),
        Then::Add(..) | Then::Delete(_) | Then::Trim(..) | Then::Drop(_) => 0,
    }
}

impl Model {
    /// The answer that `id` got, if it is among the last [`WINDOW`] of its partition.
    pub(crate) fn answered(&self, partition: Partition, id: BatchId) -> Option<Committed> {
        self.parts.get(&partition)?.answers.get(&id).cloned()
    }

    /// Whether fence and conditions hold and every number is one.
    pub(crate) fn decide(&self, batch: &Batch) -> Result<(), StateError> {
        let empty = Part::default();
        let part = self.parts.get(&batch.partition).unwrap_or(&empty);
        if let Some(fence) = &batch.fence {
            let owner = part.cells.get(&fence.owner.path);
            if !owner.is_some_and(|cell| cell.value.starts_with(&fence.token.0)) {
                return Err(StateError::Fenced);
            }
        }
        if let Some(condition) = batch.when.iter().position(|when| !part.holds(when)) {
            return Err(StateError::Conflict { condition });
        }
        part.add_up(&batch.then)
    }

    /// Applies `batch` without asking for anything, remembers `id`, and answers.
    pub(crate) fn write(&mut self, batch: &Batch, durability: Durability) -> Committed {
        let part = self.parts.entry(batch.partition).or_default();
        if batch.then.is_empty() {
            let revision = Revision(part.revision);
            return Committed { revision, appended: Vec::new(), durability };
        }
        part.revision += 1;
        let appended = batch.then.iter().filter_map(|write| part.write(write)).collect();
        let answer = Committed { revision: Revision(part.revision), appended, durability };
        if part.answers.insert(batch.id, answer.clone()).is_none() {
            part.order.push_back(batch.id);
        }
        if part.order.len() > WINDOW
            && let Some(oldest) = part.order.pop_front()
        {
            part.answers.remove(&oldest);
        }
        answer
    }

    /// Applies `writes` as a part of the commit before; for stores that do so by mistake.
    pub(crate) fn write_more(&mut self, partition: Partition, writes: &[Then]) {
        let part = self.parts.entry(partition).or_default();
        for write in writes {
            part.write(write);
        }
    }

    /// The whole way of a batch: its first answer, a refusal, or its writes.
    pub(crate) fn commit(&mut self, batch: &Batch, durability: Durability) -> Result<Committed, StateError> {
        if let Some(first) = self.answered(batch.partition, batch.id) {
            return Ok(first);
        }
        self.decide(batch)?;
        Ok(self.write(batch, durability))
    }

    /// Forgets all ids, as an embedded store may when it is opened again.
    pub(crate) fn forget_answers(&mut self) {
        for part in self.parts.values_mut() {
            part.answers.clear();
            part.order.clear();
        }
    }

    /// Begins the numbers of empty logs again; for a store that does so by mistake.
    pub(crate) fn forget_empty_logs(&mut self) {
        for part in self.parts.values_mut() {
            part.logs.retain(|_, log| !log.held.is_empty());
        }
    }

    pub(crate) fn cell(&self, key: &Key) -> Option<Cell> {
        self.parts.get(&key.partition)?.cells.get(&key.path).cloned()
    }

    pub(crate) fn scan(&self, under: &Key, after: Option<&Key>, limit: u32) -> Vec<(Key, Cell)> {
        let key = |path: &Path| Key { partition: under.partition, path: path.clone() };
        let Some(part) = self.parts.get(&under.partition) else { return Vec::new() };
        let cells =
            part.cells.iter().filter(|(path, _)| on_page(path, &under.path, after.map(|key| &key.path)));
        cells.take(limit as usize).map(|(path, cell)| (key(path), cell.clone())).collect()
    }

    pub(crate) fn read(&self, log: &Log, from: Seq, limit: u32) -> Tail {
        let empty = Entries::default();
        let part = self.parts.get(&log.partition);
        let entries = part.and_then(|part| part.logs.get(&log.path)).unwrap_or(&empty);
        let first = from.max(entries.first());
        let skip = (first.0 - entries.first().0) as usize;
        let page = entries.held.iter().skip(skip).take(limit as usize).cloned().collect();
        Tail { first, next: entries.next(), entries: page }
    }

    pub(crate) fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Vec<LogExtent> {
        let Some(part) = self.parts.get(&under.partition) else { return Vec::new() };
        let logs =
            part.logs.iter().filter(|(path, _)| on_page(path, &under.path, after.map(|log| &log.path)));
        logs.take(limit as usize)
            .map(|(path, entries)| LogExtent {
                log: Log { partition: under.partition, path: path.clone() },
                first: entries.first(),
                next: entries.next(),
            })
            .collect()
    }

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        let written = self.parts.iter().filter(|(_, part)| part.revision > 0);
        written.map(|(partition, _)| *partition).collect()
    }
}

impl Part {
    fn holds(&self, when: &When) -> bool {
        match when {
            When::Absent(key) => !self.cells.contains_key(&key.path),
            When::Revision(key, revision) => {
                self.cells.get(&key.path).is_some_and(|cell| cell.revision == *revision)
            }
            When::Next(log, next) => self.next(&log.path) == *next,
            When::BacklogBelow(log, limit) => {
                self.logs.get(&log.path).map_or(0, |log| log.held.len()) < *limit as usize
            }
        }
    }

    fn next(&self, path: &Path) -> Seq {
        self.logs.get(path).map_or(Seq::FIRST, Entries::next)
    }

    /// Plays the cells of the batch on the side, to see whether each `Add` finds a number and leaves one.
    fn add_up(&self, then: &[Then]) -> Result<(), StateError> {
        let mut played: HashMap<&Path, Option<Bytes>> = HashMap::new();
        for write in then {
            match write {
                Then::Put(key, value) => {
                    played.insert(&key.path, Some(value.clone()));
                }
                Then::Delete(key) => {
                    played.insert(&key.path, None);
                }
                Then::Add(key, by) => {
                    let stored = || self.cells.get(&key.path).map(|cell| cell.value.clone());
                    let before = played.get(&key.path).cloned().unwrap_or_else(stored);
                    let sum = sum(key, before.as_ref(), *by)?;
                    played.insert(&key.path, Some(Bytes::from(sum.to_string())));
                }
                Then::Append(..) | Then::Trim(..) | Then::Drop(_) => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, write: &Then) -> Option<Seq> {
        let revision = Revision(self.revision);
        match write {
            Then::Put(key, value) => {
                self.cells.insert(key.path.clone(), Cell { value: value.clone(), revision });
            }
            Then::Add(key, by) => {
                let before = self.cells.get(&key.path).map(|cell| &cell.value);
                let value = sum(key, before, *by).unwrap_or(0).to_string().into();
                self.cells.insert(key.path.clone(), Cell { value, revision });
            }
            Then::Delete(key) => {
                self.cells.remove(&key.path);
            }
            Then::Append(log, entries) if entries.is_empty() => {
                return Some(Seq(self.next(&log.path).0 - 1));
            }
            Then::Append(log, entries) => {
                let held = self.logs.entry(log.path.clone()).or_default();
                held.held.extend(entries.iter().cloned());
                return Some(Seq(held.next().0 - 1));
            }
            Then::Trim(log, until) => {
                if let Some(held) = self.logs.get_mut(&log.path) {
                    while held.first() < *until && held.held.pop_front().is_some() {
                        held.trimmed += 1;
                    }
                }
            }
            Then::Drop(log) => {
                self.logs.remove(&log.path);
            }
        }
        None
    }
}

impl Entries {
    fn first(&self) -> Seq {
        Seq(self.trimmed + 1)
    }

    fn next(&self) -> Seq {
        Seq(self.trimmed + self.held.len() as u64 + 1)
    }
}

fn on_page(path: &Path, under: &Path, after: Option<&Path>) -> bool {
    path.as_bytes().starts_with(under.as_bytes()) && after.is_none_or(|after| path > after)
}

fn sum(key: &Key, before: Option<&Bytes>, by: i64) -> Result<i64, StateError> {
    let damaged = || StateError::Damaged { what: format!("`{key}` holds no decimal number within 2^53") };
    let exact = |number: &i64| number.unsigned_abs() <= LARGEST_SUM as u64;
    let before = match before {
        None => 0,
        Some(value) => {
            let text = std::str::from_utf8(value).map_err(|_| damaged())?;
            text.parse().ok().filter(exact).ok_or_else(damaged)?
        }
    };
    let too_large =
        || StateError::TooLarge { what: format!("the number in `{key}`"), limit: LARGEST_SUM as u64 };
    before.checked_add(by).filter(exact).ok_or_else(too_large)
}
