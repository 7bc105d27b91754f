//! The thread that owns writing: takes what waits, has it written as one group, answers, and mends what it can.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::partition::Partition;
use runtime_traits::store::{BatchId, Committed, Durability, StateError};

use super::answers::Answer;
use super::queue::Taken;
use super::shared::{Shared, Slot};
use super::{Contents, Engine, Failed, Integrity, Job, Ledger, Outcome, Standing};
use crate::OpenError;

/// How long a group that will be synced may wait for the writers of the one before it. A fraction of a sync.
const PATIENCE: Duration = Duration::from_micros(200);

/// Nothing waits for a sync.
const SYNCED: Standing = Standing { level: Durability::Disk, unsynced: 0 };

/// Owns the groups of a store, and the file's opening and closing.
pub(crate) struct Committer<E: Engine> {
    shared: Arc<Shared<E>>,
    engine: E,
    most: usize,
    ledger: Ledger,
    /// As many as came last time.
    expected: usize,
    /// What no sync has reached yet.
    standing: Standing,
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

impl<E: Engine> Committer<E> {
    pub(crate) fn new(shared: Arc<Shared<E>>, engine: E, contents: Contents, most: usize) -> Self {
        Self {
            shared,
            engine,
            most: most.max(1),
            ledger: Ledger::new(contents),
            expected: 1,
            standing: SYNCED,
            serving: Vec::new(),
            doubt: Vec::new(),
        }
    }

    /// Serves until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_all()));
        let end = match served {
            Ok(()) => Slot::Down(unavailable(Cause::says("the store is closed"))),
            Err(_) => Slot::Poisoned(Cause::says(format!("{} panicked while it wrote", E::NAME))),
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
        let mut patience = if self.standing.unsynced > 0 { Duration::ZERO } else { PATIENCE };
        let (queue, expected, most) = (&self.shared.queue, self.expected, self.most);
        let more = |serving: &mut Vec<Job>| queue.take_more(serving, expected, most, &mut patience);
        let written = match &*self.shared.slot() {
            Slot::Open(base) => E::write(base, &mut self.ledger, &mut self.serving, more, self.standing),
            closed => unreachable!("`ready` opened it, and nobody else closes it: {}", closed.trouble()),
        };
        self.expected = self.serving.len();
        match written {
            Ok((outcomes, given)) => {
                if let Some(level) = given {
                    let unsynced = if level < Durability::Disk { self.standing.unsynced + 1 } else { 0 };
                    self.standing = Standing { level, unsynced };
                }
                self.answer(outcomes, self.standing.level.min(E::BEST));
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

    /// A reader met an I/O error, and the database refuses everything since; or the file could not be opened after one.
    fn look_after_reader(&mut self) {
        let is_open = matches!(&*self.shared.slot(), Slot::Open(_));
        // What came of it is in the slot; nobody waits for an answer here.
        let _ = match self.shared.watch.fault() {
            Some(fault) if is_open => self.recover(&fault.refusal()).map(|_| ()),
            _ => self.ready(),
        };
    }

    fn mend(&mut self, Failed { error, tried }: Failed<E::Error>) {
        let fault = self.shared.watch.fault();
        if fault.is_none() && tried.is_none() {
            return self.mend_damage(&error);
        }
        let refusal = fault.map_or_else(|| E::refusal(&error), |fault| fault.refusal());
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
    fn mend_damage(&mut self, error: &E::Error) {
        if self.serving.len() <= 1 {
            return self.refuse(&E::refusal(error));
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
                answer: Committed { revision: *revision, appended: appended.clone(), durability: E::BEST },
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
                    Ok(Committed { revision, appended: Vec::new(), durability: E::BEST })
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
        if self.standing.level == Durability::Memory {
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
        let opened = self.engine.open(Integrity::AsNeeded).map_err(of_open).and_then(|(base, contents)| {
            let found = self.find(&contents);
            if matches!(found, Found::Landed) {
                E::sync(&base).map_err(|error| E::refusal(&error))?;
            }
            Ok((base, contents, found))
        });
        match opened {
            Ok((base, contents, found)) => {
                *slot = Slot::Open(base);
                self.standing = SYNCED;
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

    fn close(&self, end: Slot<E::Base>) {
        let last = mem::replace(&mut *self.shared.slot_mut(), end);
        let Slot::Open(base) = last else { return };
        // Where a database has panicked once it may panic again.
        match catch_unwind(AssertUnwindSafe(|| E::close(base))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store was not closed in order; it is mended when it is opened again");
            }
            Err(_) => tracing::warn!("{} panicked while it closed the store", E::NAME),
        }
    }
}

fn unavailable(cause: Cause) -> StateError {
    StateError::Unavailable { retry_after: None, cause }
}

fn of_open(error: OpenError) -> StateError {
    match error {
        OpenError::NoSpace { .. } => StateError::NoSpace,
        OpenError::Damaged { cause, .. } => StateError::Damaged { what: cause.to_string() },
        other => unavailable(Cause::of(&other)),
    }
}
