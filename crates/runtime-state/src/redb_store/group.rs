//! One write transaction for a group of batches.

use redb::{Database, ReadableTable, Table, WriteTransaction};
use runtime_traits::guard::Guard;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, Committed, Durability, Path, Revision, Seq, StateError, Then};

use super::ledger::Ledger;
use super::queue::Job;
use super::rows::{self, LogRow, Torn};
use super::shared::Halt;
use super::{keys, tables};
use crate::decide::{Extent, View, decide};

/// What becomes of a job when the transaction is committed.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was answered before, or is refused.
    Answered(Result<Committed, StateError>),
    /// Another copy of the job at this place of the group.
    CopyOf(usize),
    /// It holds and writes nothing.
    Standing(Revision),
    /// It is written.
    Landed { revision: Revision, appended: Vec<Seq> },
}

/// What earlier transactions left for a sync to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsynced {
    Nothing,
    Some,
    /// redb keeps a record of each such transaction in memory until the next sync.
    TooMuch,
}

/// A transaction that redb did not commit, or did not say so.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: redb::Error,
    /// What would have become of the jobs; `None` when the commit was not even tried.
    pub(super) tried: Option<Vec<Outcome>>,
}

/// Decides and writes `jobs` in their order, each on what those before it left, and those that `more` adds. Answers
/// their outcomes, and whether the transaction was synced, was not, or was not needed at all.
///
/// Revisions in `ledger` go up with each batch that lands; after a failure the caller takes them back.
pub(super) fn write(
    database: &Database,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    more: impl FnMut(&mut Vec<Job>),
    unsynced: Unsynced,
) -> Result<(Vec<Outcome>, Option<Durability>), Failed> {
    let before = |error| Failed { error, tried: None };
    let mut txn = database.begin_write().map_err(|error| before(error.into()))?;
    // After a crash the file opens at once, whatever its size. It costs a second sync for each commit.
    txn.set_quick_repair(true);
    let mut outcomes = Vec::with_capacity(jobs.len());
    fill(&txn, ledger, jobs, more, &mut outcomes).map_err(|error| {
        ledger.take_back_all(jobs, &outcomes);
        before(error)
    })?;

    let given = durability(jobs, &outcomes, unsynced);
    let Some(given) = given else {
        txn.abort().map_err(|error| before(error.into()))?;
        return Ok((outcomes, None));
    };
    if given == Durability::Memory || !Guard::Sync.holds() {
        txn.set_durability(redb::Durability::None)
            .expect("only savepoints and shared files need a sync, and there are none");
    }
    match txn.commit() {
        Ok(()) => Ok((outcomes, Some(given))),
        Err(error) => {
            ledger.take_back_all(jobs, &outcomes);
            Err(Failed { error: error.into(), tried: Some(outcomes) })
        }
    }
}

/// How the transaction has to be committed; not at all, if it holds nothing and nothing waits for a sync.
fn durability(jobs: &[Job], outcomes: &[Outcome], unsynced: Unsynced) -> Option<Durability> {
    let wrote = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Landed { .. }));
    // A batch that writes nothing answers for what it saw, so it may ask for a sync as well.
    let asked = jobs.iter().zip(outcomes).any(|(job, outcome)| {
        job.batch.durability > Durability::Memory
            && matches!(outcome, Outcome::Landed { .. } | Outcome::Standing(_))
    });
    match unsynced {
        Unsynced::Nothing if !wrote => None,
        Unsynced::TooMuch if wrote => Some(Durability::Disk),
        _ if asked => Some(Durability::Disk),
        _ => wrote.then_some(Durability::Memory),
    }
}

fn fill(
    txn: &WriteTransaction,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    mut more: impl FnMut(&mut Vec<Job>),
    outcomes: &mut Vec<Outcome>,
) -> Result<(), redb::Error> {
    let first_new_log = ledger.next_log;
    let mut writing = Writing::open(txn)?;
    loop {
        // The first jobs are at work while the others are still on their way.
        if outcomes.len() == jobs.len() {
            more(jobs);
        }
        let Some(job) = jobs.get(outcomes.len()) else { break };
        let outcome = match writing.weigh(ledger, &job.batch, jobs, outcomes) {
            Ok(outcome) => outcome,
            Err(Halt::Refused(refusal)) => Outcome::Answered(Err(refusal)),
            Err(Halt::Broken(error)) => return Err(error),
        };
        outcomes.push(outcome);
    }
    drop(writing);

    let mut table = txn.open_table(tables::POOLS)?;
    let mut pools: Vec<Pool> = Vec::new();
    for (job, outcome) in jobs.iter().zip(outcomes.iter()) {
        let pool = job.batch.partition.pool;
        if matches!(outcome, Outcome::Landed { .. }) && !pools.contains(&pool) && Guard::Revisions.holds() {
            let key = pool.as_str().as_bytes();
            let row = rows::revisions_row(ledger.revisions(pool), key);
            table.insert(key, row.as_slice())?;
            pools.push(pool);
        }
    }
    if ledger.next_log > first_new_log {
        txn.open_table(tables::META)?.insert(tables::NEXT_LOG, ledger.next_log)?;
    }
    Ok(())
}

struct Writing<'t> {
    cells: Table<'t, &'static [u8], &'static [u8]>,
    logs: Table<'t, &'static [u8], &'static [u8]>,
    entries: Table<'t, u128, &'static [u8]>,
}

/// A log that a batch writes to, from before its first write to after its last.
struct Touched<'b> {
    path: &'b Path,
    key: Vec<u8>,
    row: Option<LogRow>,
}

/// The open tables, as the batches of one partition see them.
struct Home<'a, 't> {
    writing: &'a Writing<'t>,
    partition: Partition,
}

impl<'t> Writing<'t> {
    fn open(txn: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            cells: txn.open_table(tables::CELLS)?,
            logs: txn.open_table(tables::LOGS)?,
            entries: txn.open_table(tables::ENTRIES)?,
        })
    }

    fn weigh(
        &mut self,
        ledger: &mut Ledger,
        batch: &Batch,
        jobs: &[Job],
        before: &[Outcome],
    ) -> Result<Outcome, Halt> {
        if let Some(first) = ledger.find(batch.partition, batch.id) {
            return Ok(Outcome::Answered(Ok(first)));
        }
        let copy = jobs.iter().zip(before).position(|(job, outcome)| {
            job.batch.id == batch.id
                && job.batch.partition == batch.partition
                && matches!(outcome, Outcome::Landed { .. })
        });
        if let Some(copy) = copy {
            return Ok(Outcome::CopyOf(copy));
        }
        let home = Home { writing: self, partition: batch.partition };
        let sums = decide(batch, &home)?;
        // The rows of all logs are read before the first write: a row that is damaged refuses the batch whole.
        let touched = home.touched(&batch.then)?;
        if batch.then.is_empty() {
            return Ok(Outcome::Standing(ledger.revision(batch.partition)));
        }
        let revision = ledger.next_revision(batch.partition);
        let appended = self.apply(batch, revision, sums, touched, ledger).map_err(|error| {
            // The outcome that would take this revision back is not recorded.
            ledger.take_back(batch.partition);
            Halt::Broken(error)
        })?;
        Ok(Outcome::Landed { revision, appended })
    }

    fn apply(
        &mut self,
        batch: &Batch,
        revision: Revision,
        sums: Vec<i64>,
        mut touched: Vec<Touched<'_>>,
        ledger: &mut Ledger,
    ) -> Result<Vec<Seq>, redb::Error> {
        let mut appended = Vec::new();
        let mut sums = sums.into_iter();
        for write in &batch.then {
            match write {
                Then::Put(key, value) => self.put(batch.partition, &key.path, revision, value)?,
                Then::Add(key, _) => {
                    let sum = sums.next().expect("`decide` answers one sum for each `Add`");
                    self.put(batch.partition, &key.path, revision, sum.to_string().as_bytes())?;
                }
                Then::Delete(key) => {
                    let key = keys::of_path(batch.partition, &key.path);
                    self.cells.remove(key.as_slice())?;
                }
                Then::Append(log, entries) => {
                    let row = &mut in_touched(&mut touched, &log.path).row;
                    if row.is_none() && !entries.is_empty() {
                        *row = Some(LogRow { id: ledger.new_log(), first: 1, next: 1 });
                    }
                    for entry in entries {
                        let row = row.as_mut().expect("made above when there are entries");
                        self.append(row, entry)?;
                    }
                    appended.push(Seq(row.map_or(1, |row| row.next) - 1));
                }
                Then::Trim(log, until) => {
                    if let Some(row) = &mut in_touched(&mut touched, &log.path).row {
                        let until = until.0.clamp(row.first, row.next);
                        self.remove(row.id, row.first, until)?;
                        row.first = until;
                    }
                }
                Then::Drop(log) => {
                    if let Some(row) = in_touched(&mut touched, &log.path).row.take() {
                        self.remove(row.id, row.first, row.next)?;
                    }
                }
            }
        }
        for Touched { key, row, .. } in &touched {
            match row {
                Some(row) => {
                    self.logs.insert(key.as_slice(), rows::log_row(*row, key).as_slice())?;
                }
                None => {
                    self.logs.remove(key.as_slice())?;
                }
            }
        }
        Ok(appended)
    }

    fn put(
        &mut self,
        partition: Partition,
        path: &Path,
        revision: Revision,
        value: &[u8],
    ) -> Result<(), redb::Error> {
        let key = keys::of_path(partition, path);
        let mut row = self.cells.insert_reserve(key.as_slice(), rows::cell_len(value.len()))?;
        rows::write_cell(row.as_mut(), &key, revision, value);
        Ok(())
    }

    fn append(&mut self, log: &mut LogRow, entry: &[u8]) -> Result<(), redb::Error> {
        let key = keys::of_entry(log.id, Seq(log.next));
        let mut row = self.entries.insert_reserve(key, rows::entry_len(entry.len()))?;
        rows::write_entry(row.as_mut(), key, entry);
        log.next += 1;
        Ok(())
    }

    fn remove(&mut self, log: u64, from: u64, until: u64) -> Result<(), redb::Error> {
        let range = keys::of_entry(log, Seq(from))..keys::of_entry(log, Seq(until));
        if !range.is_empty() {
            self.entries.retain_in(range, |_, _| false)?;
        }
        Ok(())
    }
}

impl Home<'_, '_> {
    fn touched<'b>(&self, then: &'b [Then]) -> Result<Vec<Touched<'b>>, Halt> {
        let mut touched: Vec<Touched<'b>> = Vec::new();
        for write in then {
            let (Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log)) = write else { continue };
            if !touched.iter().any(|touched| *touched.path == log.path) {
                let (key, row) = self.log(&log.path)?;
                touched.push(Touched { path: &log.path, key, row });
            }
        }
        Ok(touched)
    }

    fn log(&self, path: &Path) -> Result<(Vec<u8>, Option<LogRow>), Halt> {
        let key = keys::of_path(self.partition, path);
        let row = match self.writing.logs.get(key.as_slice()).map_err(Halt::broken)? {
            None => None,
            Some(row) => Some(rows::log(row.value(), &key).map_err(|Torn| self.damaged("log", path))?),
        };
        Ok((key, row))
    }

    fn damaged(&self, what: &str, path: &Path) -> Halt {
        Halt::Refused(StateError::Damaged { what: format!("the {what} `{}/{path}`", self.partition) })
    }
}

impl View for Home<'_, '_> {
    type Error = Halt;

    fn cell<R>(&self, path: &Path, look: impl FnOnce(Option<(Revision, &[u8])>) -> R) -> Result<R, Halt> {
        let key = keys::of_path(self.partition, path);
        match self.writing.cells.get(key.as_slice()).map_err(Halt::broken)? {
            None => Ok(look(None)),
            Some(row) => {
                let cell = rows::cell_in(row.value(), &key);
                Ok(look(Some(cell.map_err(|Torn| self.damaged("cell", path))?)))
            }
        }
    }

    fn extent(&self, path: &Path) -> Result<Extent, Halt> {
        let (_, row) = self.log(path)?;
        Ok(row.map_or(Extent::NEW, |row| Extent { first: Seq(row.first), next: Seq(row.next) }))
    }
}

fn in_touched<'a, 'b>(touched: &'a mut [Touched<'b>], path: &Path) -> &'a mut Touched<'b> {
    touched
        .iter_mut()
        .find(|touched| touched.path == path)
        .expect("`touched` holds every log that the batch writes to")
}
