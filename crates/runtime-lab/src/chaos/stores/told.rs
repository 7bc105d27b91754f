//! What writers were told, and whether a store keeps it.

use std::collections::BTreeMap;

use runtime_traits::store::Durability;

use super::seen::{Reached, Seen};
use super::word::Acknowledged;
use crate::chaos::violation::{Law, Violation};

/// What every writer was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// What a commit has to have been given to be there afterwards.
    survives: Durability,
    writers: Vec<OfWriter>,
    /// How many batches were acknowledged, at whatever level.
    pub(super) acknowledged: u64,
}

#[derive(Clone, Debug, Default)]
struct OfWriter {
    /// The last batch that has to be there.
    must: u64,
    /// Batches and their revisions, from `must` on.
    revisions: BTreeMap<u64, u64>,
}

impl Told {
    /// Nothing yet. What was given at least `survives` has to be there.
    pub(super) fn new(writers: u32, survives: Durability) -> Self {
        Self { survives, writers: vec![OfWriter::default(); writers as usize], acknowledged: 0 }
    }

    pub(super) fn hear(&mut self, told: Acknowledged) {
        self.acknowledged += 1;
        let writer = &mut self.writers[told.writer as usize];
        writer.revisions.insert(told.n, told.revision);
        if told.durability >= self.survives && told.n > writer.must {
            writer.must = told.n;
            writer.revisions.retain(|n, _| *n >= told.n);
        }
    }

    /// What a store that is whole keeps of it. `at` says where and when it was looked at.
    pub(super) fn check(&self, seen: &Seen, at: &str) -> Vec<Violation> {
        let mut found = seen.violations(at);
        if seen.refused.is_some() || seen.panicked.is_some() {
            return found;
        }
        for ((writer, reached), nth) in self.writers.iter().zip(&seen.writers).zip(0..) {
            let Some(reached) = reached else { continue };
            if reached.n < writer.must {
                let what =
                    format!("{at}: writer {nth}: {} was acknowledged, {} is there", writer.must, reached.n);
                found.push(Violation::new(Law::Lost, what));
            }
            let revision = writer.revisions.get(&reached.n);
            if let Some(revision) = revision.filter(|revision| **revision != reached.revision) {
                let what = format!(
                    "{at}: writer {nth}: batch {} was told revision {revision}, and has {}",
                    reached.n, reached.revision
                );
                found.push(Violation::new(Law::Revision, what));
            }
        }
        found
    }

    /// How many acknowledged batches are not there, whether they have to be or not.
    pub(super) fn gone(&self, seen: &Seen) -> u64 {
        let of = |(writer, reached): (&OfWriter, &Option<Reached>)| {
            let last = writer.revisions.last_key_value().map_or(writer.must, |(n, _)| *n);
            reached.map_or(0, |reached| last.saturating_sub(reached.n))
        };
        self.writers.iter().zip(&seen.writers).map(of).sum()
    }

    /// The next process goes on from what is there: what is gone is written anew.
    pub(super) fn settle(&mut self, seen: &Seen) {
        for (writer, reached) in self.writers.iter_mut().zip(&seen.writers) {
            if let Some(reached) = reached {
                writer.must = writer.must.min(reached.n);
                writer.revisions.retain(|n, _| *n <= reached.n);
            }
        }
    }

    /// The next process goes on from what is there, which nobody has looked at: what need not be there may be written anew.
    pub(super) fn go_on(&mut self) {
        for writer in &mut self.writers {
            writer.revisions.retain(|n, _| *n <= writer.must);
        }
    }

    /// How many batches there have to be.
    pub(super) fn must(&self) -> u64 {
        self.writers.iter().map(|writer| writer.must).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Acknowledged, Durability, Law, Seen, Told};
    use crate::chaos::stores::seen::Reached;

    fn laws(told: &Told, n: u64, revision: u64) -> Vec<Law> {
        let seen = Seen { writers: vec![Some(Reached { n, revision })], ..Seen::default() };
        told.check(&seen, "here").into_iter().map(|violation| violation.law).collect()
    }

    #[test]
    fn what_was_given_less_may_be_lost_and_what_is_there_has_its_revision() {
        let mut told = Told::new(1, Durability::Process);
        for (n, durability) in [(1, Durability::Disk), (2, Durability::Process), (3, Durability::Memory)] {
            told.hear(Acknowledged { writer: 0, n, revision: 10 * n, durability });
        }

        assert_eq!(laws(&told, 3, 30), []);
        assert_eq!(laws(&told, 2, 20), []);
        assert_eq!(laws(&told, 4, 99), []);
        assert_eq!(laws(&told, 1, 10), [Law::Lost]);
        assert_eq!(laws(&told, 3, 31), [Law::Revision]);
        told.settle(&Seen { writers: vec![Some(Reached { n: 2, revision: 20 })], ..Seen::default() });
        assert_eq!(laws(&told, 3, 31), []);
    }
}
