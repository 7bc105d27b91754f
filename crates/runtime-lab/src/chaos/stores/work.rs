//! What the writers of an experiment commit: fixed by the seed, so that everybody knows it without being told.

use bytes::Bytes;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Durability, Key, Log, Seq, Then, When};

use crate::chaos::dice::Dice;

/// Cells that a writer sets and deletes.
const CELLS: u64 = 8;
/// Entries that are left of a writer's logs when they are trimmed.
const LEFT: u64 = 40;
/// Batches from one trim to the next.
const TRIMMED_EVERY: u64 = 32;
/// Batches in the life of a log that is dropped, and at which of them it is.
const LIFE: u64 = 16;
const DROPPED_AT: u64 = 12;

/// The work of several writers, each of which commits batches number 1, 2, 3, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) seed: u64,
    pub(super) writers: u32,
}

/// One batch of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) when: Vec<When>,
    pub(super) then: Vec<Then>,
    /// What is asked for; a store that gives less is asked for what it gives.
    pub(super) durability: Durability,
}

impl Work {
    /// Where the writers work: in three partitions of two pools.
    pub(super) fn partitions() -> [Partition; 3] {
        let lab = Pool::new("lab").expect("a good name");
        [
            Partition { pool: Pool::MAIN, index: 7 },
            Partition { pool: Pool::MAIN, index: 200 },
            Partition { pool: lab, index: 0 },
        ]
    }

    /// The cell that holds the token of a partition's owner.
    pub(super) fn owner(partition: Partition) -> Key {
        Key::new(partition, "own").expect("a short path")
    }

    /// Where a writer works.
    pub(super) fn home(writer: u32) -> Partition {
        Self::partitions()[writer as usize % 3]
    }

    /// The prefix of all that a writer writes.
    pub(super) fn under(writer: u32) -> String {
        format!("w/{writer:03}/")
    }

    /// The log to which every batch of a writer appends one entry: how far the writer has come.
    pub(super) fn journal(writer: u32) -> Log {
        log(writer, "journal")
    }

    /// The cell that every batch of a writer sets to its number.
    pub(super) fn count(writer: u32) -> Key {
        cell(writer, "count")
    }

    /// A cell that only a batch writes that has to be refused.
    pub(super) fn probe(writer: u32) -> Key {
        cell(writer, "probe")
    }

    /// Batch `n` of a writer.
    pub(super) fn piece(self, writer: u32, n: u64) -> Piece {
        let mut dice = Dice::of(self.seed, ("piece", writer, n));
        let mut then = vec![
            Then::Append(Self::journal(writer), vec![value(&mut dice, writer, n)]),
            Then::Put(Self::count(writer), n.to_string().into()),
            Then::Add(cell(writer, "sum"), dice.between(0, 2_000) as i64 - 1_000),
        ];
        for _ in 0..dice.between(0, 2) {
            let at = cell(writer, &format!("cell/{}", dice.between(0, CELLS - 1)));
            then.push(if dice.one_in(5) {
                Then::Delete(at)
            } else {
                Then::Put(at, value(&mut dice, writer, n))
            });
        }
        let several = (0..n % 3).map(|_| value(&mut dice, writer, n)).collect::<Vec<_>>();
        if !several.is_empty() {
            then.push(Then::Append(log(writer, "several"), several));
        }
        let passing = log(writer, &format!("passing/{:08}", n / LIFE));
        match n % LIFE {
            at if at < DROPPED_AT => then.push(Then::Append(passing, vec![value(&mut dice, writer, n)])),
            DROPPED_AT => then.push(Then::Drop(passing)),
            _ => {}
        }
        if n.is_multiple_of(TRIMMED_EVERY) {
            let until = |written: u64| Seq(written.saturating_sub(LEFT) + 1);
            then.push(Then::Trim(Self::journal(writer), until(n)));
            then.push(Then::Trim(log(writer, "several"), until(n / 3 * 3 + [0, 1, 3][n as usize % 3])));
        }
        let durability = *dice.pick(&[
            Durability::Memory,
            Durability::Process,
            Durability::Process,
            Durability::Disk,
            Durability::Disk,
            Durability::Disk,
        ]);
        Piece { when: vec![When::Next(Self::journal(writer), Seq(n))], then, durability }
    }

    /// Whether a log is one of those that are dropped.
    pub(super) fn is_passing(path: &[u8]) -> bool {
        path.windows(9).any(|part| part == b"/passing/")
    }
}

fn cell(writer: u32, name: &str) -> Key {
    Key::new(Work::home(writer), Work::under(writer) + name).expect("a short path")
}

fn log(writer: u32, name: &str) -> Log {
    Log::new(Work::home(writer), Work::under(writer) + name).expect("a short path")
}

/// Mostly small, now and then larger than a page, seldom larger than what a page tree keeps in one piece.
fn value(dice: &mut Dice, writer: u32, n: u64) -> Bytes {
    let more = match dice.between(0, 39) {
        0 => dice.between(20_000, 60_000),
        1..=5 => dice.between(1_000, 6_000),
        _ => dice.between(0, 500),
    };
    let mut value = format!("{writer} {n} ").into_bytes();
    while (value.len() as u64) < more {
        value.extend_from_slice(&dice.roll().to_le_bytes());
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use super::Work;

    #[test]
    fn a_piece_is_the_same_for_whoever_asks_and_another_for_every_seed_writer_and_number() {
        let work = Work { seed: 3, writers: 4 };

        assert_eq!(work.piece(1, 9), work.piece(1, 9));
        for other in [work.piece(1, 10), work.piece(2, 9), Work { seed: 4, ..work }.piece(1, 9)] {
            assert_ne!(work.piece(1, 9), other);
        }
    }
}
