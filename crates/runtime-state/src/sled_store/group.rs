//! One group of batches, which sled writes wholly or not at all.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use runtime_traits::partition::Partition;
use runtime_traits::store::{Durability, Revision, Seq};
use sled::Batch;

use super::base::{Base, Open, View};
use super::layout::{self, CHUNK, Head, Kind};
use super::pace;
use super::pages;
use super::sums::{Part, Sum};
use super::trouble::Trouble;
use crate::group_commit::rows::{LogRow, Torn};
use crate::group_commit::{Failed, Halt, Job, Ledger, Outcome, Rows, Standing, Written, weigh_all};

/// What a group changes: rows by their keys, or that there is none any more.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The rows behind the gate, with what the group has written so far.
struct Writing<'a> {
    view: View<'a>,
    changes: Changes,
}

/// What a group makes of the sums.
struct Sums {
    next_log: u64,
    parts: BTreeMap<Partition, Part>,
    over_parts: Sum,
}

/// The group as [`Engine::write`](crate::group_commit::Engine::write) has it.
pub(super) fn write(
    base: &Base,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    more: impl FnMut(&mut Vec<Job>),
    standing: Standing,
) -> Written<Trouble> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    let prepared = prepare(base, ledger, jobs, more, &mut outcomes);
    let (changes, sums) = prepared.map_err(|error| {
        ledger.take_back_all(jobs, &outcomes);
        Failed { error: error.at_read(&base.watch), tried: None }
    })?;
    let asked = asked(jobs, &outcomes);
    if changes.is_empty() && asked <= standing.level {
        return Ok((outcomes, None));
    }

    let mut gate = base.gate();
    let put = catch_unwind(AssertUnwindSafe(|| match &*gate {
        Some(open) => put(open, base, &changes, sums, asked),
        None => Err(Trouble::Closed),
    }));
    match put {
        Ok(Ok(given)) => Ok((outcomes, Some(given))),
        Ok(Err(error)) => {
            ledger.take_back_all(jobs, &outcomes);
            // Nobody may see what is not on the disk.
            super::base::drop_quietly(gate.take());
            Err(Failed { error, tried: Some(outcomes) })
        }
        Err(panic) => {
            super::base::drop_quietly(gate.take());
            drop(gate);
            resume_unwind(panic)
        }
    }
}

/// What the batch that asks for most wants. One that writes nothing answers for what it saw, so it may ask as well.
fn asked(jobs: &[Job], outcomes: &[Outcome]) -> Durability {
    let asked = jobs.iter().zip(outcomes).filter_map(|(job, outcome)| match outcome {
        Outcome::Landed { .. } | Outcome::Standing(_) => Some(job.batch.durability),
        Outcome::Answered(_) | Outcome::CopyOf(_) => None,
    });
    asked.max().unwrap_or(Durability::Memory)
}

/// Decides the jobs; sled sees nothing of it yet.
fn prepare(
    base: &Base,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    more: impl FnMut(&mut Vec<Job>),
    outcomes: &mut Vec<Outcome>,
) -> Result<(Changes, Option<Sums>), Trouble> {
    let mut writing = Writing { view: base.view()?, changes: Changes::new() };
    weigh_all(&mut writing, ledger, jobs, more, outcomes)?;
    let Writing { view, mut changes } = writing;
    let landed: Vec<_> = jobs
        .iter()
        .zip(outcomes.iter())
        .filter(|(_, outcome)| matches!(outcome, Outcome::Landed { .. }))
        .map(|(job, _)| job.batch.partition)
        .collect();
    if landed.is_empty() {
        return Ok((changes, None));
    }
    let open = view.open();
    write_again(open, &mut changes)?;
    let sums = sums(open, &mut changes, &landed, ledger)?;
    Ok((changes, Some(sums)))
}

/// Adds old rows to the changes, as they are, if the log is much longer than what is in it.
fn write_again(open: &Open, changes: &mut Changes) -> Result<(), Trouble> {
    let size = |(key, row): (&Vec<u8>, &Option<Vec<u8>>)| key.len() + row.as_ref().map_or(0, Vec::len);
    let written = changes.iter().map(size).sum::<usize>() as u64;
    let mut left = pace::again(open.disk.len()?, open.known().live(), written);
    if left == 0 {
        return Ok(());
    }
    let mut pace = open.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut rows = open.range(pace.from()..layout::everything().end)?;
    loop {
        let Some(row) = rows.next() else {
            pace.cursor = None;
            return Ok(());
        };
        let (key, row) = row?;
        let size = (key.len() + row.len()) as u64;
        if left < size {
            pace.cursor = Some(key.to_vec());
            return Ok(());
        }
        left -= size;
        // A torn row stays as it is: its checksum tells whoever reads it.
        if let (false, Ok(turned)) = (changes.contains_key(&*key), layout::turned(&key, &row)) {
            changes.insert(key.to_vec(), Some(turned));
        }
    }
}

/// What the changes make of the sums, which become changes too.
fn sums(open: &Open, changes: &mut Changes, landed: &[Partition], ledger: &Ledger) -> Result<Sums, Trouble> {
    let known = open.known();
    let mut parts: BTreeMap<Partition, Part> = BTreeMap::new();
    let mut over_parts = known.over_parts;
    let part = |partition: &Partition| known.parts.get(partition).copied().unwrap_or_default();
    for (key, row) in &*changes {
        let partition = layout::partition_of(key).expect("only rows of partitions are changed");
        let sum = &mut parts.entry(partition).or_insert_with_key(part).sum;
        if let Some(old) = open.get(key)? {
            sum.subtract(key, &old);
        }
        if let Some(new) = row {
            sum.add(key, new);
        }
    }
    for partition in landed {
        parts.entry(*partition).or_insert_with_key(part).revision = ledger.revision(*partition).0;
    }
    for (partition, part) in &parts {
        let key = layout::part(*partition);
        if let Some(old) = known.parts.get(partition) {
            over_parts.subtract(&key, &old.row(&key));
        }
        let row = part.row(&key);
        over_parts.add(&key, &row);
        changes.insert(key, Some(row));
    }
    Ok(Sums { next_log: ledger.next_log, parts, over_parts })
}

/// Hands the changes to sled and makes them as durable as they have to be.
fn put(
    open: &Open,
    base: &Base,
    changes: &Changes,
    sums: Option<Sums>,
    asked: Durability,
) -> Result<Durability, Trouble> {
    let watch = &base.watch;
    let cost = changes.iter().map(|(key, row)| pace::cost(key, row.as_deref())).sum();
    if let Some(sums) = sums {
        let mut known = open.known();
        known.count += 1;
        known.next_log = sums.next_log;
        known.over_parts = sums.over_parts;
        known.parts.extend(sums.parts);
        let mut batch = Batch::default();
        for (key, row) in changes {
            match row {
                Some(row) => batch.insert(key.as_slice(), row.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        batch.insert(layout::STORE, known.row());
        open.rim.write().map_err(|error| Trouble::from(error).at_write(watch))?;
        open.db.apply_batch(batch).map_err(|error| Trouble::from(error).at_write(watch))?;
    }
    let count = open.known().count;
    let mut pace = open.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let given = if pace.must_sync(cost) { Durability::Disk } else { asked };
    if given > Durability::Memory {
        open.db.flush().map_err(|error| Trouble::from(error).at_write(watch))?;
    }
    match given {
        Durability::Memory => pace.unsynced(cost),
        Durability::Process => {
            pace.unsynced(cost);
            open.mark.claim_written(count).map_err(|error| Trouble::from(error).at_sync(watch))?;
        }
        Durability::Disk => {
            let synced = open.disk.sync().and_then(|()| open.mark.claim_synced(count));
            synced.map_err(|error| Trouble::from(error).at_sync(watch))?;
            pace.synced();
        }
    }
    Ok(given)
}

impl Writing<'_> {
    /// Shows the row, as the group has left it.
    fn row<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, Trouble> {
        match self.changes.get(key) {
            Some(changed) => Ok(look(changed.as_deref())),
            None => Ok(look(self.view.open().get(key)?.as_deref())),
        }
    }

    fn set(&mut self, key: Vec<u8>, row: Vec<u8>) {
        self.changes.insert(key, Some(row));
    }

    /// Removes all rows from one key up to another.
    fn clear(&mut self, from: Vec<u8>, until: Vec<u8>) -> Result<(), Trouble> {
        let changed: Vec<_> =
            self.changes.range(from.clone()..until.clone()).map(|(key, _)| key.clone()).collect();
        for row in self.view.open().range(from..until)? {
            self.changes.insert(row?.0.to_vec(), None);
        }
        self.changes.extend(changed.into_iter().map(|key| (key, None)));
        Ok(())
    }

    /// Removes the rows of a cell's value behind the first.
    fn clear_chunks(&mut self, key: &[u8], first: &[u8]) -> Result<(), Trouble> {
        let chunks =
            self.row(first, |row| row.map(|row| layout::head(first, row).map(|head| head.chunks)))?;
        let chunks = match chunks {
            None | Some(Ok(0)) => return Ok(()),
            Some(Ok(chunks)) => chunks,
            // How many there are is not known.
            Some(Err(Torn)) => u16::MAX,
        };
        let base = layout::row(Kind::CellChunk, key);
        self.clear(layout::chunk(&base, 0), layout::chunk(&base, chunks))
    }

    /// Writes a value or entry in as many rows as it needs.
    fn set_value(&mut self, first: Vec<u8>, stamp: u64, value: &[u8], base: impl FnOnce() -> Vec<u8>) {
        let (bytes, rest) = value.split_at(value.len().min(CHUNK));
        let chunks = rest.len().div_ceil(CHUNK) as u16;
        let head = layout::head_row(&first, Head { stamp, chunks, bytes });
        self.set(first, head);
        if chunks == 0 {
            return;
        }
        let base = base();
        for (bytes, index) in rest.chunks(CHUNK).zip(0..) {
            let key = layout::chunk(&base, index);
            let row = layout::chunk_row(&key, stamp, bytes);
            self.set(key, row);
        }
    }
}

impl Rows for Writing<'_> {
    type Error = Trouble;

    fn enter(&self, partition: Partition) -> Result<(), Halt<Trouble>> {
        self.view.enter(partition)
    }

    fn cell<R>(
        &self,
        key: &[u8],
        look: impl FnOnce(Result<Option<(Revision, &[u8])>, Torn>) -> R,
    ) -> Result<R, Trouble> {
        let first = layout::row(Kind::Cell, key);
        let head = self.row(&first, |row| {
            row.map(|row| {
                layout::head(&first, row).map(|head| (head.stamp, head.chunks, head.bytes.to_vec()))
            })
        })?;
        let (stamp, chunks, mut value) = match head {
            None => return Ok(look(Ok(None))),
            Some(Err(Torn)) => return Ok(look(Err(Torn))),
            Some(Ok(head)) => head,
        };
        let base = layout::row(Kind::CellChunk, key);
        for index in 0..chunks {
            let key = layout::chunk(&base, index);
            let whole = self.row(&key, |row| {
                let bytes = row.and_then(|row| layout::chunk_in(&key, row, stamp).ok());
                bytes.map(|bytes| value.extend_from_slice(bytes)).is_some()
            })?;
            if !whole {
                return Ok(look(Err(Torn)));
            }
        }
        Ok(look(Ok(Some((Revision(stamp), &value)))))
    }

    fn log(&self, key: &[u8]) -> Result<Result<Option<LogRow>, Torn>, Trouble> {
        let key = layout::row(Kind::Log, key);
        self.row(&key, |row| row.map(|row| pages::log_in(&key, row)).transpose())
    }

    fn put(&mut self, key: &[u8], revision: Revision, value: &[u8]) -> Result<(), Trouble> {
        let first = layout::row(Kind::Cell, key);
        self.clear_chunks(key, &first)?;
        self.set_value(first, revision.0, value, || layout::row(Kind::CellChunk, key));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Trouble> {
        let first = layout::row(Kind::Cell, key);
        self.clear_chunks(key, &first)?;
        self.changes.insert(first, None);
        Ok(())
    }

    fn put_log(&mut self, key: &[u8], row: Option<LogRow>) -> Result<(), Trouble> {
        let key = layout::row(Kind::Log, key);
        let row = row.map(|row| layout::seal_row(&key, &[&row.to_bytes()]));
        self.changes.insert(key, row);
        Ok(())
    }

    fn append(&mut self, key: &[u8], log: u64, seq: Seq, entry: &[u8]) -> Result<(), Trouble> {
        let first = layout::entry(Kind::Entry, key, log, seq);
        self.set_value(first, seq.0, entry, || layout::entry(Kind::EntryChunk, key, log, seq));
        Ok(())
    }

    fn remove(&mut self, key: &[u8], log: u64, from: u64, until: u64) -> Result<(), Trouble> {
        if from >= until {
            return Ok(());
        }
        for kind in [Kind::Entry, Kind::EntryChunk] {
            let [from, until] = [from, until].map(|seq| layout::entry(kind, key, log, Seq(seq)));
            self.clear(from, until)?;
        }
        Ok(())
    }
}
