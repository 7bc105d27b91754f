//! Whether a batch of a group lands, and its writes, the same on every embedded store.

use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, Committed, Path, Revision, Seq, StateError, Then};

use super::rows::{LogRow, Torn};
use super::{Halt, Job, Ledger, keys};
use crate::decide::{Extent, View, decide};

/// What becomes of a job when its group is committed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was answered before, or is refused.
    Answered(Result<Committed, StateError>),
    /// Another copy of the job at this place of the group.
    CopyOf(usize),
    /// It holds and writes nothing.
    Standing(Revision),
    /// It is written.
    Landed { revision: Revision, appended: Vec<Seq> },
}

/// A store's rows as the batches of a group see them: with what those before them wrote. A key is a partition and a
/// path, as [`keys`] writes them.
pub(crate) trait Rows {
    /// The database's trouble.
    type Error;

    /// Refuses a batch whose partition is not to be trusted.
    fn enter(&self, _: Partition) -> Result<(), Halt<Self::Error>> {
        Ok(())
    }

    /// Shows the cell to `look`.
    fn cell<R>(
        &self,
        key: &[u8],
        look: impl FnOnce(Result<Option<(Revision, &[u8])>, Torn>) -> R,
    ) -> Result<R, Self::Error>;

    /// The log's row.
    fn log(&self, key: &[u8]) -> Result<Result<Option<LogRow>, Torn>, Self::Error>;

    /// Writes a cell.
    fn put(&mut self, key: &[u8], revision: Revision, value: &[u8]) -> Result<(), Self::Error>;

    /// Removes a cell.
    fn delete(&mut self, key: &[u8]) -> Result<(), Self::Error>;

    /// Writes the log's row, or removes it.
    fn put_log(&mut self, key: &[u8], row: Option<LogRow>) -> Result<(), Self::Error>;

    /// Writes an entry of the log with this key and number.
    fn append(&mut self, key: &[u8], log: u64, seq: Seq, entry: &[u8]) -> Result<(), Self::Error>;

    /// Removes entries.
    fn remove(&mut self, key: &[u8], log: u64, from: u64, until: u64) -> Result<(), Self::Error>;
}

/// Decides and writes all jobs and those that `more` adds, each on what those before it left.
pub(crate) fn weigh_all<T: Rows>(
    rows: &mut T,
    ledger: &mut Ledger,
    jobs: &mut Vec<Job>,
    mut more: impl FnMut(&mut Vec<Job>),
    outcomes: &mut Vec<Outcome>,
) -> Result<(), T::Error> {
    loop {
        // The first jobs are at work while the others are still on their way.
        if outcomes.len() == jobs.len() {
            more(jobs);
        }
        let Some(job) = jobs.get(outcomes.len()) else { return Ok(()) };
        let outcome = match weigh(rows, ledger, &job.batch, jobs, outcomes) {
            Ok(outcome) => outcome,
            Err(Halt::Refused(refusal)) => Outcome::Answered(Err(refusal)),
            Err(Halt::Broken(error)) => return Err(error),
        };
        outcomes.push(outcome);
    }
}

/// A log's key and row.
type Found = (Vec<u8>, Option<LogRow>);

/// A log that a batch writes to, from before its first write to after its last.
struct Touched<'b> {
    path: &'b Path,
    key: Vec<u8>,
    row: Option<LogRow>,
}

/// The rows, as the batches of one partition see them.
struct Home<'a, T> {
    rows: &'a T,
    partition: Partition,
}

/// Decides the batch of a job, and writes it if it lands. `before` are the outcomes of the jobs before it.
fn weigh<T: Rows>(
    rows: &mut T,
    ledger: &mut Ledger,
    batch: &Batch,
    jobs: &[Job],
    before: &[Outcome],
) -> Result<Outcome, Halt<T::Error>> {
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
    rows.enter(batch.partition)?;
    let home = Home { rows: &*rows, partition: batch.partition };
    let sums = decide(batch, &home)?;
    // The rows of all logs are read before the first write: a row that is damaged refuses the batch whole.
    let touched = home.touched(&batch.then)?;
    if batch.then.is_empty() {
        return Ok(Outcome::Standing(ledger.revision(batch.partition)));
    }
    let revision = ledger.next_revision(batch.partition);
    let appended = apply(rows, batch, revision, sums, touched, ledger).map_err(|error| {
        // The outcome that would take this revision back is not recorded.
        ledger.take_back(batch.partition);
        Halt::Broken(error)
    })?;
    Ok(Outcome::Landed { revision, appended })
}

fn apply<T: Rows>(
    rows: &mut T,
    batch: &Batch,
    revision: Revision,
    sums: Vec<i64>,
    mut touched: Vec<Touched<'_>>,
    ledger: &mut Ledger,
) -> Result<Vec<Seq>, T::Error> {
    let mut appended = Vec::new();
    let mut sums = sums.into_iter();
    for write in &batch.then {
        match write {
            Then::Put(key, value) => {
                rows.put(&keys::of_path(batch.partition, &key.path), revision, value)?;
            }
            Then::Add(key, _) => {
                let sum = sums.next().expect("`decide` answers one sum for each `Add`");
                let key = keys::of_path(batch.partition, &key.path);
                rows.put(&key, revision, sum.to_string().as_bytes())?;
            }
            Then::Delete(key) => {
                rows.delete(&keys::of_path(batch.partition, &key.path))?;
            }
            Then::Append(log, entries) => {
                let Touched { key, row, .. } = in_touched(&mut touched, &log.path);
                if row.is_none() && !entries.is_empty() {
                    *row = Some(LogRow { id: ledger.new_log(), first: 1, next: 1 });
                }
                for entry in entries {
                    let row = row.as_mut().expect("made above when there are entries");
                    rows.append(key, row.id, Seq(row.next), entry)?;
                    row.next += 1;
                }
                appended.push(Seq(row.map_or(1, |row| row.next) - 1));
            }
            Then::Trim(log, until) => {
                let Touched { key, row, .. } = in_touched(&mut touched, &log.path);
                if let Some(row) = row {
                    let until = until.0.clamp(row.first, row.next);
                    rows.remove(key, row.id, row.first, until)?;
                    row.first = until;
                }
            }
            Then::Drop(log) => {
                let Touched { key, row, .. } = in_touched(&mut touched, &log.path);
                if let Some(row) = row.take() {
                    rows.remove(key, row.id, row.first, row.next)?;
                }
            }
        }
    }
    for Touched { key, row, .. } in &touched {
        rows.put_log(key, *row)?;
    }
    Ok(appended)
}

impl<T: Rows> Home<'_, T> {
    fn touched<'b>(&self, then: &'b [Then]) -> Result<Vec<Touched<'b>>, Halt<T::Error>> {
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

    fn log(&self, path: &Path) -> Result<Found, Halt<T::Error>> {
        let key = keys::of_path(self.partition, path);
        let row = self.rows.log(&key).map_err(Halt::broken)?;
        let row = row.map_err(|Torn| self.damaged("log", path))?;
        Ok((key, row))
    }

    fn damaged(&self, what: &str, path: &Path) -> Halt<T::Error> {
        Halt::Refused(StateError::Damaged { what: format!("the {what} `{}/{path}`", self.partition) })
    }
}

impl<T: Rows> View for Home<'_, T> {
    type Error = Halt<T::Error>;

    fn cell<R>(
        &self,
        path: &Path,
        look: impl FnOnce(Option<(Revision, &[u8])>) -> R,
    ) -> Result<R, Halt<T::Error>> {
        let key = keys::of_path(self.partition, path);
        let looked = self.rows.cell(&key, |cell| cell.map(look)).map_err(Halt::broken)?;
        looked.map_err(|Torn| self.damaged("cell", path))
    }

    fn extent(&self, path: &Path) -> Result<Extent, Halt<T::Error>> {
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
