//! The thread that owns writing: takes what waits, writes it in one transaction, answers, and mends what it can.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use redb::Database;
use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::partition::Partition;
use runtime_traits::store::{BatchId, Committed, Durability, StateError};

use super::answers::Answer;
use super::group::{self, Failed, Outcome, Unsynced};
use super::ledger::Ledger;
use super::opening::Opening;
use super::options::Integrity;
use super::queue::{Job, Taken};
use super::shared::{Shared, Slot};
use super::tables::Contents;
use crate::OpenError;

/// How long a group that will be synced may wait for the writers of the one before it. A fraction of a sync.
const PATIENCE: Duration = Duration::from_micros(200);

/// The most transactions without a sync in a row: one more is synced, whatever was asked for.
const MOST_UNSYNCED: u32 = 10_000;

/// Owns the transactions of a store, and the file's opening and closing.
pub(super) struct Committer {
    shared: Arc<Shared>,
    opening: Opening,
    most: usize,
    ledger: Ledger,
    /// As many as came last time.
    expected: usize,
    /// Transactions in the database that no sync has reached.
    unsynced: u32,
    /// The group in hand. A field, so that a panic does not drop it before the reason is there to be read.
    serving: Vec<Job>,
    /// Batches of which nobody knows whether they are in the file, because it could not be opened again.
    doubt: Vec<Landing>,
}

/// A batch, and its answer if it is in the file.
struct Landing {
    partition: Partition,
    id: BatchId,
    answer: Committed,
}

/// What the file tells of the batches in doubt, once it is open again.
enum Found {
    Landed,
    Lost,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, opening: Opening, contents: Contents, most: usize) -> Self {
        Self {
            shared,
            opening,
            most: most.max(1),
            ledger: Ledger::new(contents),
            expected: 1,
            unsynced: 0,
            serving: Vec::new(),
            doubt: Vec::new(),
        }
    }

    /// Serves until the queue is closed and empty, then closes the file.
    pub(super) fn run(mut self) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_all()));
        let end = match served {
            Ok(()) => Slot::Down(unavailable(Cause::says("the store is closed"))),
            Err(_) => Slot::Poisoned(Cause::says("redb panicked while it wrote")),
        };
        self.close(end);
        self.serving.clear();
        self.shared.queue.abandon();
    }

    fn serve_all(&mut self) {
        loop {
            match self.shared.queue.take(&mut self.serving, self.most) {
                Taken::Group => self.serve(),
                Taken::Nudge => self.look_after_reader(),
                Taken::Closed => return,
            }
        }
    }

    fn serve(&mut self) {
        if let Err(trouble) = self.ready() {
            return self.refuse(&trouble);
        }
        // A commit without a sync is over before the others could come.
        let mut patience = if self.unsynced > 0 { Duration::ZERO } else { PATIENCE };
        let (queue, expected, most) = (&self.shared.queue, self.expected, self.most);
        let more = |serving: &mut Vec<Job>| queue.take_more(serving, expected, most, &mut patience);
        let unsynced = match self.unsynced {
            0 => Unsynced::Nothing,
            count if count < MOST_UNSYNCED => Unsynced::Some,
            _ => Unsynced::TooMuch,
        };
        let written = match &*self.shared.slot() {
            Slot::Open(database) => {
                group::write(database, &mut self.ledger, &mut self.serving, more, unsynced)
            }
            closed => unreachable!("`ready` opened it, and nobody else closes it: {}", closed.trouble()),
        };
        self.expected = self.serving.len();
        match written {
            Ok((outcomes, given)) => {
                if let Some(given) = given {
                    self.unsynced = if given == Durability::Memory { self.unsynced + 1 } else { 0 };
                }
                let now = if self.unsynced > 0 { Durability::Memory } else { Durability::Disk };
                self.answer(outcomes, given.unwrap_or(now));
            }
            Err(failed) => self.mend(failed),
        }
    }

    fn answer(&mut self, outcomes: Vec<Outcome>, durability: Durability) {
        let jobs = mem::take(&mut self.serving);
        let mut answers: Vec<Answer> = Vec::with_capacity(outcomes.len());
        for (job, outcome) in jobs.iter().zip(outcomes) {
            answers.push(match outcome {
                Outcome::Answered(answer) => answer,
                Outcome::CopyOf(first) => answers[first].clone(),
                Outcome::Standing(revision) => Ok(Committed { revision, appended: Vec::new(), durability }),
                Outcome::Landed { revision, appended } => {
                    let answer = Committed { revision, appended, durability };
                    self.ledger.remember(job.batch.partition, job.batch.id, &answer);
                    Ok(answer)
                }
            });
        }
        self.send(jobs.into_iter().zip(answers));
    }

    fn refuse(&mut self, trouble: &StateError) {
        let jobs = mem::take(&mut self.serving);
        self.send(jobs.into_iter().map(|job| (job, Err(trouble.clone()))));
    }

    fn send(&self, answers: impl Iterator<Item = (Job, Answer)>) {
        let wakers = answers.filter_map(|(job, answer)| job.reply.put(answer, job.batch));
        self.shared.queue.sleepers.wake_one_of(wakers.collect());
    }

    /// Makes sure that there is a database.
    fn ready(&mut self) -> Result<(), StateError> {
        match &*self.shared.slot() {
            Slot::Open(_) => return Ok(()),
            Slot::Poisoned(cause) => return Err(StateError::Poisoned { cause: cause.clone() }),
            Slot::Down(_) => {}
        }
        self.reopen().map(|_| ())
    }

    /// A reader met an I/O error, and redb refuses everything since; or the file could not be opened after one.
    fn look_after_reader(&mut self) {
        let is_open = matches!(&*self.shared.slot(), Slot::Open(_));
        // What came of it is in the slot; nobody waits for an answer here.
        let _ = match self.shared.watch.fault() {
            Some(fault) if is_open => self.recover(&fault.refusal()).map(|_| ()),
            _ => self.ready(),
        };
    }

    fn mend(&mut self, Failed { error, tried }: Failed) {
        let fault = self.shared.watch.fault();
        if fault.is_none() && tried.is_none() {
            return self.mend_damage(&error);
        }
        let refusal = fault.map_or_else(|| of_redb(&error), |fault| fault.refusal());
        let Some(outcomes) = tried else {
            // The commit was not tried, so nothing of the group is in the file.
            let trouble = self.recover(&refusal).err().unwrap_or(refusal);
            return self.refuse(&trouble);
        };
        self.doubt = self.landings(&outcomes);
        match self.recover(&refusal) {
            Ok(Found::Landed) => self.answer_found(outcomes),
            // Refusals too: they may have been decided on what is lost now.
            Ok(Found::Lost) => self.refuse(&refusal),
            Err(poisoned @ StateError::Poisoned { .. }) => self.refuse(&poisoned),
            Err(_) => {
                let unknown = |job: &Job| Err(StateError::Unknown { batch: job.batch.id.0 });
                let jobs = mem::take(&mut self.serving);
                self.send(jobs.into_iter().map(|job| {
                    let answer = unknown(&job);
                    (job, answer)
                }));
            }
        }
    }

    /// Some page of the file cannot be followed. The transaction is undone; only the batch that needs the page
    /// fails, and not its neighbours.
    fn mend_damage(&mut self, error: &redb::Error) {
        if self.serving.len() <= 1 {
            return self.refuse(&of_redb(error));
        }
        let most = mem::replace(&mut self.most, 1);
        for job in mem::take(&mut self.serving) {
            self.serving = vec![job];
            self.serve();
        }
        self.most = most;
    }

    fn landings(&self, outcomes: &[Outcome]) -> Vec<Landing> {
        let landed = self.serving.iter().zip(outcomes).filter_map(|(job, outcome)| match outcome {
            Outcome::Landed { revision, appended } => Some(Landing {
                partition: job.batch.partition,
                id: job.batch.id,
                answer: Committed {
                    revision: *revision,
                    appended: appended.clone(),
                    durability: Durability::Disk,
                },
            }),
            Outcome::Answered(_) | Outcome::CopyOf(_) | Outcome::Standing(_) => None,
        });
        landed.collect()
    }

    /// Answers a group that is in the file although its commit failed. Its answers are remembered already.
    fn answer_found(&mut self, outcomes: Vec<Outcome>) {
        let jobs = mem::take(&mut self.serving);
        self.send(jobs.into_iter().zip(outcomes).map(|(job, outcome)| {
            let remembered = self.ledger.find(job.batch.partition, job.batch.id);
            let answer = match (outcome, remembered) {
                (_, Some(answer)) => Ok(answer),
                (Outcome::Answered(answer), None) => answer,
                (Outcome::Standing(revision), None) => {
                    Ok(Committed { revision, appended: Vec::new(), durability: Durability::Disk })
                }
                (Outcome::CopyOf(_) | Outcome::Landed { .. }, None) => {
                    Err(StateError::Unknown { batch: job.batch.id.0 })
                }
            };
            (job, answer)
        }));
    }

    /// Closes the file after an I/O error and opens it anew, unless that would hide a loss.
    fn recover(&mut self, trouble: &StateError) -> Result<Found, StateError> {
        if let Some(cause) = self.shared.watch.failed_sync() {
            return Err(self.poison(cause));
        }
        if self.unsynced > 0 {
            // They were answered with `Ok`, and this process, which they were to live as long as, goes on.
            let text = format!("{trouble}; commits at `memory` since the last sync are lost");
            return Err(self.poison(Cause::says(text)));
        }
        if !Guard::Reopen.holds() {
            return Err(trouble.clone());
        }
        self.reopen()
    }

    fn reopen(&mut self) -> Result<Found, StateError> {
        // Readers wait at the slot until the file is open again.
        let shared = Arc::clone(&self.shared);
        let mut slot = shared.slot_mut();
        *slot = Slot::Down(unavailable(Cause::says("the file is being opened again")));
        let opened =
            self.opening.open(Integrity::AsNeeded).map_err(of_open).and_then(|(database, contents)| {
                let found = self.find(&contents);
                if matches!(found, Found::Landed) {
                    sync(&database).map_err(|error| of_redb(&error))?;
                }
                Ok((database, contents, found))
            });
        match opened {
            Ok((database, contents, found)) => {
                *slot = Slot::Open(database);
                self.unsynced = 0;
                self.ledger.adopt(contents);
                for landing in mem::take(&mut self.doubt) {
                    if matches!(found, Found::Landed) {
                        self.ledger.remember(landing.partition, landing.id, &landing.answer);
                    }
                }
                tracing::info!("the store was opened again after an I/O error");
                Ok(found)
            }
            Err(trouble) => {
                if let Some(cause) = shared.watch.failed_sync() {
                    *slot = Slot::Poisoned(cause.clone());
                    return Err(StateError::Poisoned { cause });
                }
                *slot = Slot::Down(trouble.clone());
                Err(trouble)
            }
        }
    }

    /// A transaction is in the file wholly or not at all, so its first batch speaks for it.
    fn find(&self, contents: &Contents) -> Found {
        let Some(first) = self.doubt.first() else { return Found::Lost };
        let pool = contents.revisions.get(&first.partition.pool);
        let revision = pool.and_then(|revisions| revisions.get(usize::from(first.partition.index)));
        match revision {
            Some(revision) if *revision >= first.answer.revision.0 => Found::Landed,
            _ => Found::Lost,
        }
    }

    fn poison(&mut self, cause: Cause) -> StateError {
        tracing::error!(%cause, "the store stopped");
        self.close(Slot::Poisoned(cause.clone()));
        StateError::Poisoned { cause }
    }

    fn close(&self, end: Slot) {
        let last = mem::replace(&mut *self.shared.slot_mut(), end);
        let Slot::Open(database) = last else { return };
        // Where redb has panicked once it may panic again.
        match catch_unwind(AssertUnwindSafe(|| database.close())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store was not closed in order; it is mended when it is opened again");
            }
            Err(_) => tracing::warn!("redb panicked while it closed the store"),
        }
    }
}

/// Syncs what is in the file. What was found there after a failed commit may be in the system's memory only.
fn sync(database: &Database) -> Result<(), redb::Error> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    Ok(txn.commit()?)
}

fn unavailable(cause: Cause) -> StateError {
    StateError::Unavailable { retry_after: None, cause }
}

fn of_redb(error: &redb::Error) -> StateError {
    match error {
        redb::Error::Corrupted(what) => StateError::Damaged { what: what.clone() },
        _ => unavailable(Cause::of(error)),
    }
}

fn of_open(error: OpenError) -> StateError {
    match error {
        OpenError::NoSpace { .. } => StateError::NoSpace,
        OpenError::Damaged { cause, .. } => StateError::Damaged { what: cause.to_string() },
        other => unavailable(Cause::of(&other)),
    }
}
