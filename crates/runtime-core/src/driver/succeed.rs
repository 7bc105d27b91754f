//! Runs that go on in a successor with a fresh log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Accepted, Entry, EntryKind};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;

use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::{End, Place, Writes};
use crate::engine::spent::chain;

/// A run whose acceptance rides with the end of the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Successor {
    run: RunId,
    entries: u64,
    deadline: Option<UnixMillis>,
    parent: Option<RunId>,
}

impl Inner {
    /// Adds the acceptance of a run that goes on from another one, and its begin if it may: its first entries.
    pub(super) fn succeed(
        &self,
        writes: &mut Writes,
        place: &Place,
        ended: &End<'_>,
        run: RunId,
        input: &Content,
    ) -> (Successor, Vec<Entry>) {
        let epoch = self.home(place.run.partition()).owner.get().map_or(0, |owner| owner.epoch);
        let accepted = Accepted {
            policy: SessionPolicy::Enqueue,
            input: Payload::of(input),
            digest: input.digest(),
            // The key is the first run's, which says where it goes on.
            idempotency_key: None,
            chain: chain(place.run, ended.log),
            ..ended.accepted.clone()
        };
        let next = Place { run, ..place.clone() };
        let kind = EntryKind::Accepted(Box::new(accepted.clone()));
        let mut log = vec![Entry { seq: Seq::FIRST, at: ended.at, attempt: 0, epoch, kind }];
        if let Some(version) = self.begins_with(place) {
            log.push(self.started(Seq(2), 1, epoch, version));
        }
        writes.join(Writes::accept(&next, &accepted, &log));
        let successor = Successor {
            run,
            entries: log.len() as u64,
            deadline: self.deadline_of(&next, &log),
            parent: accepted.parent.map(|(parent, _)| parent),
        };
        (successor, log)
    }

    /// Gives such a run its turn, once it is committed.
    pub(super) fn seat_successor(&self, place: &Place, successor: Successor) {
        let Successor { run, entries, deadline, parent } = successor;
        let slot = RunSlot::called_by(parent, Place { run, ..place.clone() }, Stage::Queued);
        slot.committed(entries);
        lock(&self.home(run.partition()).state).runs.insert(run, Arc::clone(&slot));
        self.open_runs.fetch_add(1, Ordering::Relaxed);
        self.in_session(place, |session| session.succeed(run, entries > 1));
        if let Some(deadline) = deadline {
            self.timers.add(deadline, run);
        }
    }
}
