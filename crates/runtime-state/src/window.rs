//! The last batches of a partition by id, with the answers that they got.

use std::collections::VecDeque;

use hashbrown::HashTable;
use runtime_traits::store::{BatchId, Committed, Durability, Revision, Seq};

/// How many batches a window remembers: the contract's number.
const SIZE: usize = 4_096;

/// The answers to the last 4,096 batches that wrote to a partition.
///
/// There may be hundreds of windows, so they are small: they grow with use, a record takes 24 bytes and its place in
/// the table 3, and an answer's revision is not stored. Every batch that writes takes the next revision, so it
/// follows from the record's age.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Slots of `ring` by id.
    slots: HashTable<u16>,
    ring: Vec<Record>,
    /// The slot of the oldest record; the next one overwrites it once the ring is full.
    oldest: usize,
    /// The revision of the newest record.
    newest: u64,
    /// The numbers of all records' appends, oldest first.
    appended: VecDeque<u64>,
    /// How many numbers have ever left `appended` at its front, wrapping.
    left: u32,
}

#[derive(Debug)]
struct Record {
    /// Bytes, because a `u128` would pad the record to 32.
    id: [u8; 16],
    /// Where its numbers begin, counted as `left` counts.
    begin: u32,
    count: u16,
    durability: Durability,
}

impl Window {
    /// The answer that `id` got, if it is remembered.
    pub(crate) fn find(&self, id: BatchId) -> Option<Committed> {
        let bytes = id.0.to_ne_bytes();
        let slot = *self.slots.find(spread(id.0), |slot| self.ring[usize::from(*slot)].id == bytes)?;
        let slot = usize::from(slot);
        let record = &self.ring[slot];
        let from = record.begin.wrapping_sub(self.left) as usize;
        let numbers = self.appended.range(from..from + usize::from(record.count));
        // With a ring that is not full `oldest` is 0, and slots are in order of age.
        let newest_slot = (self.oldest + self.ring.len() - 1) % self.ring.len();
        let age = (newest_slot + self.ring.len() - slot) % self.ring.len();
        Some(Committed {
            revision: Revision(self.newest - age as u64),
            appended: numbers.copied().map(Seq).collect(),
            durability: record.durability,
        })
    }

    /// Remembers the answer to `id`, whose revision follows the one remembered last.
    pub(crate) fn push(&mut self, id: BatchId, answer: &Committed) {
        debug_assert!(self.ring.is_empty() || answer.revision.0 == self.newest + 1);
        let record = Record {
            id: id.0.to_ne_bytes(),
            begin: self.left.wrapping_add(self.appended.len() as u32),
            count: answer.appended.len() as u16,
            durability: answer.durability,
        };
        self.appended.extend(answer.appended.iter().map(|seq| seq.0));
        self.newest = answer.revision.0;
        let slot = if self.ring.len() < SIZE {
            self.ring.push(record);
            self.ring.len() - 1
        } else {
            self.replace_oldest(record)
        };
        let ring = &self.ring;
        let _ = self.slots.insert_unique(spread(id.0), slot as u16, |slot| {
            spread(u128::from_ne_bytes(ring[usize::from(*slot)].id))
        });
    }

    fn replace_oldest(&mut self, record: Record) -> usize {
        let slot = self.oldest;
        self.oldest = (slot + 1) % SIZE;
        let old = std::mem::replace(&mut self.ring[slot], record);
        let hash = spread(u128::from_ne_bytes(old.id));
        if let Ok(entry) = self.slots.find_entry(hash, |found| usize::from(*found) == slot) {
            entry.remove();
        }
        self.appended.drain(..usize::from(old.count));
        self.left = self.left.wrapping_add(u32::from(old.count));
        slot
    }
}

/// Ids are random already. One multiplication is for callers that number theirs.
fn spread(id: u128) -> u64 {
    ((id as u64) ^ ((id >> 64) as u64)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(revision: u64) -> Committed {
        let appended = (0..revision % 4).map(|n| Seq(revision * 10 + n)).collect();
        Committed { revision: Revision(revision), appended, durability: Durability::Memory }
    }

    #[test]
    fn the_last_4096_answers_are_remembered_and_no_older_one() {
        let mut window = Window::default();
        let first = 1_000;
        for revision in first..first + 3 * SIZE as u64 {
            window.push(BatchId(u128::from(revision) << 60), &answer(revision));
            if revision % 501 == 0 {
                for asked in first..=revision {
                    let found = window.find(BatchId(u128::from(asked) << 60));
                    let expected = (revision - asked < SIZE as u64).then(|| answer(asked));
                    assert_eq!(found, expected, "batch {asked} after {revision}");
                }
            }
        }
        assert_eq!(window.ring.len(), SIZE);
        assert_eq!(window.slots.len(), SIZE);
        assert!(window.appended.capacity() <= 4 * SIZE);
    }

    #[test]
    fn an_empty_window_remembers_nothing() {
        assert_eq!(Window::default().find(BatchId(0)), None);
    }

    #[test]
    fn a_record_takes_24_bytes() {
        assert_eq!(size_of::<Record>(), 24);
    }
}
