//! What a writer's places hold after so many of its batches: the contract's words, applied to maps.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use runtime_traits::store::{Path, Then};

use super::work::Work;

/// What a writer's places hold after its batches 1 to `n`.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    work: Work,
    pub(super) writer: u32,
    pub(super) n: u64,
    /// By path: the value, and the number of the batch that wrote it.
    pub(super) cells: BTreeMap<Path, (Bytes, u64)>,
    /// By path; dropped ones are not in it.
    pub(super) logs: BTreeMap<Path, Kept>,
}

/// What is left of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// How many entries were trimmed.
    pub(super) trimmed: u64,
    pub(super) entries: VecDeque<Bytes>,
}

impl Expected {
    /// Before the first batch.
    pub(super) fn nothing(work: Work, writer: u32) -> Self {
        Self { work, writer, n: 0, cells: BTreeMap::new(), logs: BTreeMap::new() }
    }

    /// After batch `n`; going back begins anew.
    pub(super) fn at(mut self, n: u64) -> Self {
        if n < self.n {
            self = Self::nothing(self.work, self.writer);
        }
        while self.n < n {
            self.n += 1;
            for then in self.work.piece(self.writer, self.n).then {
                self.apply(then);
            }
        }
        self
    }

    fn apply(&mut self, then: Then) {
        match then {
            Then::Put(key, value) => {
                self.cells.insert(key.path, (value, self.n));
            }
            Then::Add(key, by) => {
                let sum = self.cells.get(&key.path).map_or(0, |(sum, _)| number(sum)) + by;
                self.cells.insert(key.path, (sum.to_string().into(), self.n));
            }
            Then::Delete(key) => {
                self.cells.remove(&key.path);
            }
            Then::Append(log, entries) => self.logs.entry(log.path).or_default().entries.extend(entries),
            Then::Trim(log, until) => {
                if let Some(kept) = self.logs.get_mut(&log.path) {
                    let gone = (until.0 - 1).saturating_sub(kept.trimmed).min(kept.entries.len() as u64);
                    kept.entries.drain(..gone as usize);
                    kept.trimmed += gone;
                }
            }
            Then::Drop(log) => {
                self.logs.remove(&log.path);
            }
        }
    }
}

impl Kept {
    /// The number of the first entry that is left.
    pub(super) fn first(&self) -> u64 {
        self.trimmed + 1
    }

    /// The number of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.first() + self.entries.len() as u64
    }
}

fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Expected, Work};

    #[test]
    fn the_journal_tells_how_far_a_writer_is_and_trims_keep_it_short() {
        let at = |n| Expected::nothing(Work { seed: 1, writers: 1 }, 0).at(n);

        let later = at(100).at(500);

        assert_eq!(later.logs[&Work::journal(0).path].next(), 501);
        assert!(later.logs.values().all(|kept| kept.entries.len() < 120), "{:?}", later.logs.keys());
        assert_eq!(later.cells[&Work::count(0).path].0, "500");
        assert_eq!(later.cells.keys().collect::<Vec<_>>(), at(500).cells.keys().collect::<Vec<_>>());
        assert_eq!(later.at(7).logs, at(7).logs);
    }
}
