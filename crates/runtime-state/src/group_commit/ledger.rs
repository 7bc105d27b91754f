//! What the committer knows of each partition without reading: its last revision and its last answers.

use std::collections::HashMap;
use std::iter;

use runtime_traits::guard::Guard;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{BatchId, Committed, Revision};

use super::{Job, Outcome};
use crate::window::Window;

/// The partitions of a pool, the one without an owner included.
pub(crate) const SLICES: usize = Partition::OWNERLESS as usize + 1;

/// What a committer has to know of the file.
#[derive(Debug)]
pub(crate) struct Contents {
    /// By pool and index.
    pub(crate) revisions: HashMap<Pool, Vec<u64>>,
    pub(crate) next_log: u64,
}

/// Revisions and answers of all partitions, and the number that the next new log gets.
///
/// The answers are in memory only. Whoever could send a batch a second time dies with this process.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pools: HashMap<Pool, Vec<Part>>,
    pub(crate) next_log: u64,
}

#[derive(Debug, Default)]
struct Part {
    revision: u64,
    window: Window,
}

impl Ledger {
    pub(crate) fn new(contents: Contents) -> Self {
        let mut ledger = Self::default();
        ledger.adopt(contents);
        ledger
    }

    /// Takes revisions as the file has them, and keeps the answers.
    pub(crate) fn adopt(&mut self, contents: Contents) {
        self.next_log = contents.next_log;
        for (pool, revisions) in contents.revisions {
            for (revision, index) in revisions.into_iter().zip(0..) {
                self.part(Partition { pool, index }).revision = revision;
            }
        }
    }

    /// The answer that the batch got before.
    pub(crate) fn find(&self, partition: Partition, id: BatchId) -> Option<Committed> {
        let part = &self.pools.get(&partition.pool)?[usize::from(partition.index)];
        part.window.find(id).filter(|_| Guard::BatchId.holds())
    }

    /// Remembers the answer of a batch that is in the file, in the order of revisions.
    pub(crate) fn remember(&mut self, partition: Partition, id: BatchId, answer: &Committed) {
        self.part(partition).window.push(id, answer);
    }

    pub(crate) fn revision(&self, partition: Partition) -> Revision {
        let pool = self.pools.get(&partition.pool);
        Revision(pool.map_or(0, |parts| parts[usize::from(partition.index)].revision))
    }

    /// The revisions of a pool's partitions, by index.
    #[cfg(feature = "redb")]
    pub(crate) fn revisions(&self, pool: Pool) -> impl Iterator<Item = u64> {
        self.pools.get(&pool).into_iter().flatten().map(|part| part.revision)
    }

    pub(crate) fn next_revision(&mut self, partition: Partition) -> Revision {
        let part = self.part(partition);
        part.revision += 1;
        Revision(part.revision)
    }

    pub(crate) fn take_back(&mut self, partition: Partition) {
        self.part(partition).revision -= 1;
    }

    /// Takes the revisions of a failed transaction back. Numbers of logs are not given a second time.
    pub(crate) fn take_back_all(&mut self, jobs: &[Job], outcomes: &[Outcome]) {
        for (job, outcome) in jobs.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Landed { .. }) {
                self.take_back(job.batch.partition);
            }
        }
    }

    pub(crate) fn new_log(&mut self) -> u64 {
        let id = self.next_log;
        self.next_log += 1;
        id
    }

    /// Whoever asks has checked the partition's index.
    fn part(&mut self, partition: Partition) -> &mut Part {
        let new = || iter::repeat_with(Part::default).take(SLICES).collect();
        &mut self.pools.entry(partition.pool).or_insert_with(new)[usize::from(partition.index)]
    }
}
