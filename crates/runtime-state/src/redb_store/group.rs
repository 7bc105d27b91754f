//! One write transaction for a group of batches.

use redb::{Database, ReadableTable, Table, WriteTransaction};
use runtime_traits::guard::Guard;
use runtime_traits::partition::Pool;
use runtime_traits::store::{Durability, Revision, Seq};

use super::{rows, tables};
use crate::group_commit::rows::{LogRow, Torn};
use crate::group_commit::{Failed, Job, Ledger, Outcome, Rows, Standing, Written, keys, weigh_all};

/// The most transactions without a sync in a row: one more is synced, whatever was asked for. redb keeps a record of
/// each in memory until the next sync.
const MOST_UNSYNCED: u32 = 10_000;

/// The group in one transaction, as [`Engine::write`](crate::group_commit::Engine::write) has it.
pub(super) fn write(
    database: &Database,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    more: impl FnMut(&mut Vec<Job>),
    standing: Standing,
) -> Written<redb::Error> {
    let before = |error| Failed { error, tried: None };
    let mut txn = database.begin_write().map_err(|error| before(error.into()))?;
    // After a crash the file opens at once, whatever its size. It costs a second sync for each commit.
    txn.set_quick_repair(true);
    let mut outcomes = Vec::with_capacity(jobs.len());
    fill(&txn, ledger, jobs, more, &mut outcomes).map_err(|error| {
        ledger.take_back_all(jobs, &outcomes);
        before(error)
    })?;

    let given = durability(jobs, &outcomes, standing.unsynced);
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
fn durability(jobs: &[Job], outcomes: &[Outcome], unsynced: u32) -> Option<Durability> {
    let wrote = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Landed { .. }));
    // A batch that writes nothing answers for what it saw, so it may ask for a sync as well.
    let asked = jobs.iter().zip(outcomes).any(|(job, outcome)| {
        job.batch.durability > Durability::Memory
            && matches!(outcome, Outcome::Landed { .. } | Outcome::Standing(_))
    });
    match unsynced {
        0 if !wrote => None,
        MOST_UNSYNCED.. if wrote => Some(Durability::Disk),
        _ if asked => Some(Durability::Disk),
        _ => wrote.then_some(Durability::Memory),
    }
}

fn fill(
    txn: &WriteTransaction,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    more: impl FnMut(&mut Vec<Job>),
    outcomes: &mut Vec<Outcome>,
) -> Result<(), redb::Error> {
    let first_new_log = ledger.next_log;
    let mut writing = Writing::open(txn)?;
    weigh_all(&mut writing, ledger, jobs, more, outcomes)?;
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

impl<'t> Writing<'t> {
    fn open(txn: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            cells: txn.open_table(tables::CELLS)?,
            logs: txn.open_table(tables::LOGS)?,
            entries: txn.open_table(tables::ENTRIES)?,
        })
    }
}

impl Rows for Writing<'_> {
    type Error = redb::Error;

    fn cell<R>(
        &self,
        key: &[u8],
        look: impl FnOnce(Result<Option<(Revision, &[u8])>, Torn>) -> R,
    ) -> Result<R, redb::Error> {
        Ok(match self.cells.get(key)? {
            None => look(Ok(None)),
            Some(row) => look(rows::cell_in(row.value(), key).map(Some)),
        })
    }

    fn log(&self, key: &[u8]) -> Result<Result<Option<LogRow>, Torn>, redb::Error> {
        let row = self.logs.get(key)?;
        Ok(row.map(|row| rows::log(row.value(), key)).transpose())
    }

    fn put(&mut self, key: &[u8], revision: Revision, value: &[u8]) -> Result<(), redb::Error> {
        let mut row = self.cells.insert_reserve(key, rows::cell_len(value.len()))?;
        rows::write_cell(row.as_mut(), key, revision, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), redb::Error> {
        self.cells.remove(key)?;
        Ok(())
    }

    fn put_log(&mut self, key: &[u8], row: Option<LogRow>) -> Result<(), redb::Error> {
        match row {
            Some(row) => self.logs.insert(key, rows::log_row(row, key).as_slice())?,
            None => self.logs.remove(key)?,
        };
        Ok(())
    }

    fn append(&mut self, _: &[u8], log: u64, seq: Seq, entry: &[u8]) -> Result<(), redb::Error> {
        let key = keys::of_entry(log, seq);
        let mut row = self.entries.insert_reserve(key, rows::entry_len(entry.len()))?;
        rows::write_entry(row.as_mut(), key, entry);
        Ok(())
    }

    fn remove(&mut self, _: &[u8], log: u64, from: u64, until: u64) -> Result<(), redb::Error> {
        let range = keys::of_entry(log, Seq(from))..keys::of_entry(log, Seq(until));
        if !range.is_empty() {
            self.entries.retain_in(range, |_, _| false)?;
        }
        Ok(())
    }
}
