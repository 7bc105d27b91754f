//! The order of a session: its runs are worked one after the other, in the order of acceptance.

use std::collections::VecDeque;

use runtime_traits::content::Payload;
use runtime_traits::id::RunId;

use super::batches::Conversation;

/// A session in memory.
#[derive(Debug, Default)]
pub struct Session {
    at_work: Option<RunId>,
    /// Its begin rides in the batch that ends the run at work.
    promised: Option<RunId>,
    queue: VecDeque<Queued>,
    /// Where its conversation ends and what its last run left, once that was read.
    pub known: Option<Known>,
}

/// What is kept of a session between its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where the conversation ends.
    pub conversation: Conversation,
    /// What the last run left.
    pub state: Option<Payload>,
}

#[derive(Debug)]
struct Queued {
    run: RunId,
    /// Its acceptance is committed.
    accepted: bool,
    /// It was begun before, and was let out of quarantine since.
    begun: bool,
}

impl Session {
    /// Takes a run in. `true`: it is the session's turn and may begin.
    pub fn admit(&mut self, run: RunId, may_begin: bool) -> bool {
        let begins = may_begin && self.is_idle();
        if begins {
            self.at_work = Some(run);
        } else {
            self.queue.push_back(Queued { run, accepted: false, begun: false });
        }
        begins
    }

    /// The acceptance of a queued run is committed, or what let it out of quarantine.
    pub fn accepted(&mut self, run: &RunId) {
        if let Some(queued) = self.queue.iter_mut().find(|queued| queued.run == *run) {
            queued.accepted = true;
        }
    }

    /// Puts an accepted run to work: one that had begun before this process did.
    pub fn resume(&mut self, run: RunId) {
        self.at_work = Some(run);
    }

    /// Takes a run in again without which it went on. `true`: it is its turn; otherwise it is the next one's, once
    /// [`Session::accepted`] says that what lets it out is committed.
    pub fn take_back(&mut self, run: RunId) -> bool {
        let is_its_turn = self.at_work.is_none() && self.promised.is_none();
        if is_its_turn {
            self.at_work = Some(run);
        } else {
            self.queue.push_front(Queued { run, accepted: false, begun: true });
        }
        is_its_turn
    }

    /// Lets a run wait for its turn that was let out of quarantine, behind those that are there.
    pub fn wait_again(&mut self, run: RunId) {
        self.queue.push_back(Queued { run, accepted: true, begun: true });
    }

    /// Promises the turn after the run at work to the next one, if its acceptance is committed and is all that its log has. From
    /// here on it counts as begun.
    pub fn promise_next(&mut self) -> Option<RunId> {
        let is_fresh = |queued: &mut Queued| queued.accepted && !queued.begun;
        if self.promised.is_none() {
            self.promised = self.queue.pop_front_if(is_fresh).map(|queued| queued.run);
        }
        self.promised
    }

    /// Lets a run that goes on from the one at work have the next turn. `begun`: its begin is on its way.
    pub fn succeed(&mut self, run: RunId, begun: bool) {
        if begun && self.promised.is_none() {
            self.promised = Some(run);
        } else {
            self.queue.push_front(Queued { run, accepted: true, begun: false });
        }
    }

    /// Puts the next run to work, if none is and its acceptance is committed.
    pub fn begin_next(&mut self) -> Option<RunId> {
        if self.at_work.is_some() {
            return None;
        }
        let next = self.queue.pop_front_if(|queued| self.promised.is_none() && queued.accepted);
        self.at_work = self.promised.take().or(next.map(|queued| queued.run));
        self.at_work
    }

    /// Whether the next run counts as begun.
    pub fn has_promised(&self) -> bool {
        self.promised.is_some()
    }

    /// A run is over, or was never accepted.
    pub fn leave(&mut self, run: &RunId) {
        if self.at_work == Some(*run) {
            self.at_work = None;
        }
        self.queue.retain(|queued| queued.run != *run);
    }

    /// An accepted run leaves the queue. `false`: it is not in it, or no longer, for its turn has come.
    pub fn leave_queue(&mut self, run: &RunId) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| queued.run != *run || !queued.accepted);
        self.queue.len() < before
    }

    /// The run that the session works on, or that is the next to be worked on.
    pub fn busy_with(&self) -> Option<RunId> {
        self.at_work.or(self.promised).or_else(|| self.queue.front().map(|queued| queued.run))
    }

    /// The run at work.
    pub fn at_work(&self) -> Option<RunId> {
        self.at_work
    }

    /// How many runs wait for their turn.
    pub fn queued(&self) -> usize {
        self.queue.len() + usize::from(self.promised.is_some())
    }

    /// How many runs are at work: one or none.
    pub fn working(&self) -> usize {
        usize::from(self.at_work.is_some())
    }

    /// Whether nothing of it needs memory.
    pub fn is_idle(&self) -> bool {
        self.busy_with().is_none()
    }
}
