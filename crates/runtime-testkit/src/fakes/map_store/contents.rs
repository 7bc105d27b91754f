//! Memory and disk of a [`MapStore`](super::MapStore), and the queue between them.

use std::collections::VecDeque;
use std::mem;

use runtime_traits::error::Cause;
use runtime_traits::store::{Batch, Committed, Durability, StateError, Then};
use tokio::sync::oneshot;

use crate::fakes::model::Model;
use crate::wrong::Flaw;

type Answer = Result<Committed, StateError>;

#[derive(Default)]
pub(super) struct Contents {
    /// What reads see.
    pub(super) live: Model,
    /// What survives.
    disk: Model,
    /// Batches in `live` that are not on `disk` yet, in their order.
    unsynced: Vec<Batch>,
    queue: VecDeque<Waiting>,
    tickets: u64,
    trouble: Option<StateError>,
    pub(super) fail_syncs: bool,
    pub(super) fail_reads: bool,
    /// Whether it follows another store, and may be behind.
    pub(super) is_copy: bool,
    pub(super) applied: u64,
    flaw: Option<Flaw>,
    /// The rest of the last batch on disk; for a store that tears it.
    torn: Option<Batch>,
    /// What refused batches left behind; for a store that leaks.
    leaked: Vec<Batch>,
}

struct Waiting {
    ticket: u64,
    batch: Batch,
    answer: oneshot::Sender<Answer>,
    /// What was decided before its turn; for stores that do so by mistake.
    early: Option<Answer>,
}

/// What callers of a store are told that has crashed.
pub(super) fn dead() -> StateError {
    StateError::Unavailable { retry_after: None, cause: Cause::says("the store has crashed") }
}

/// What callers are told of a store that follows another.
fn a_copy() -> StateError {
    StateError::Unavailable { retry_after: None, cause: Cause::says("the store is a copy of another") }
}

impl Contents {
    pub(super) fn new(flaw: Option<Flaw>, disk: Model) -> Self {
        Self { live: disk.clone(), disk, flaw, ..Self::default() }
    }

    /// Takes a batch in, at its first poll.
    pub(super) fn queue(&mut self, batch: Batch) -> Result<(u64, oneshot::Receiver<Answer>), StateError> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        if self.is_copy {
            return Err(a_copy());
        }
        let early = self.decide_early(&batch);
        let (answer, receiver) = oneshot::channel();
        self.tickets += 1;
        self.queue.push_back(Waiting { ticket: self.tickets, batch, answer, early });
        Ok((self.tickets, receiver))
    }

    /// Takes a batch back.
    pub(super) fn cancel(&mut self, ticket: u64) {
        self.queue.retain(|waiting| waiting.ticket != ticket);
    }

    pub(super) fn readable(&self) -> Result<(), StateError> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        if self.is_copy && self.flaw != Some(Flaw::ReadsCopies) {
            return Err(a_copy());
        }
        if self.fail_reads {
            let cause = Cause::says("the disk does not answer");
            return Err(StateError::Unavailable { retry_after: None, cause });
        }
        Ok(())
    }

    /// What is queued is written before a read, unless the store is one that shows it too early.
    pub(super) fn before_read(&mut self) {
        if !matches!(self.flaw, Some(Flaw::ShowsUnsynced | Flaw::ShowsHalf)) {
            self.write_group();
        }
    }

    /// Decides and applies what is queued, in its order, with one sync.
    pub(super) fn write_group(&mut self) {
        let mut group = mem::take(&mut self.queue);
        if self.flaw == Some(Flaw::Reorders) {
            group = group.into_iter().rev().collect();
        }
        let asked = group.iter().map(|waiting| waiting.batch.durability);
        let asked = match self.flaw {
            Some(Flaw::SyncsForFirst) => asked.take(1).max(),
            _ => asked.max(),
        };
        let mut answers = Vec::new();
        let mut refused = false;
        for Waiting { batch, answer, early, .. } in group {
            let neighbour = mem::take(&mut refused) && self.flaw == Some(Flaw::RefusesNeighbour);
            let decided = if neighbour { Err(dead()) } else { self.apply(batch, early) };
            refused = decided.is_err();
            answers.push((answer, decided));
        }
        let synced = if asked > Some(Durability::Memory) { self.sync() } else { Ok(()) };
        for (sender, decided) in answers {
            let answer = synced.clone().and(decided);
            // A caller that went away wants no answer.
            let _ = sender.send(answer);
        }
    }

    /// What is on the disk; this memory is gone.
    pub(super) fn crash(&mut self) -> Model {
        self.trouble = Some(dead());
        self.queue.clear();
        let mut disk = mem::take(&mut self.disk);
        disk.forget_answers();
        disk
    }

    fn decide_early(&mut self, batch: &Batch) -> Option<Answer> {
        if self.live.answered(batch.partition, batch.id).is_some() {
            return None;
        }
        match self.flaw? {
            Flaw::ChecksEarly => {
                let nothing = Batch { then: Vec::new(), ..batch.clone() };
                let seen = self.live.clone().write(&nothing, batch.durability);
                Some(self.live.decide(batch).map(|()| seen))
            }
            Flaw::ShowsUnsynced => {
                let answer = self.live.commit(batch, batch.durability);
                if answer.is_ok() {
                    self.unsynced.push(batch.clone());
                }
                Some(answer)
            }
            Flaw::ShowsHalf if self.queue.is_empty() => {
                // Only a pair of cells: it is written whole when its turn comes, and a `Put` may be written twice.
                if let [half @ Then::Put(..), Then::Put(..)] = &batch.then[..]
                    && self.live.decide(batch).is_ok()
                {
                    self.live.write_more(batch.partition, std::slice::from_ref(half));
                }
                None
            }
            _ => None,
        }
    }

    fn apply(&mut self, batch: Batch, early: Option<Answer>) -> Answer {
        let first = self.live.answered(batch.partition, batch.id);
        if self.flaw == Some(Flaw::ShowsUnsynced)
            && let Some(answer) = early
        {
            self.applied += u64::from(answer.is_ok());
            return answer;
        }
        if let Some(first) = first
            && self.flaw != Some(Flaw::ForgetsIds)
        {
            return Ok(first);
        }
        let decided = early.map_or_else(|| self.live.decide(&batch), |early| early.map(|_| ()));
        if let Err(refusal) = decided {
            if self.flaw == Some(Flaw::LeaksRefused) {
                self.leaked.push(batch);
            }
            return Err(refusal);
        }
        let given = match self.flaw {
            Some(Flaw::AnswersLess) => Durability::Memory,
            _ => batch.durability,
        };
        let answer = self.live.write(&batch, given);
        self.applied += 1;
        self.leak(&batch);
        if self.flaw == Some(Flaw::ReusesNumbers) {
            self.live.forget_empty_logs();
        }
        self.unsynced.push(batch);
        Ok(answer)
    }

    fn leak(&mut self, into: &Batch) {
        for leaked in mem::take(&mut self.leaked) {
            let appends = leaked.then.into_iter().filter(|write| matches!(write, Then::Append(..)));
            if leaked.partition == into.partition {
                self.live.write_more(into.partition, &appends.collect::<Vec<_>>());
            }
        }
    }

    fn sync(&mut self) -> Result<(), StateError> {
        if self.fail_syncs {
            let poisoned = StateError::Poisoned { cause: Cause::says("the disk does not sync") };
            if self.flaw != Some(Flaw::GoesOn) {
                self.trouble = Some(poisoned.clone());
            }
            return Err(poisoned);
        }
        if let Some(rest) = self.torn.take() {
            self.disk.write_more(rest.partition, &rest.then);
        }
        let mut batches = mem::take(&mut self.unsynced);
        if self.flaw == Some(Flaw::TearsAtCrash)
            && let Some(last) = batches.last_mut()
        {
            let rest = last.then.split_off(last.then.len().div_ceil(2));
            self.torn = Some(Batch { then: rest, ..last.clone() });
        }
        for batch in batches {
            self.disk.write(&batch, batch.durability);
        }
        if self.flaw == Some(Flaw::ReusesNumbers) {
            self.disk.forget_empty_logs();
        }
        Ok(())
    }
}
