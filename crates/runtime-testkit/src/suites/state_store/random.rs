//! A long random run, compared with a model.

use bytes::Bytes;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, Committed, Durability, Fence, Key, Log, Path, Revision, Seq, StateError, Then, Token, When,
};

use super::StoreFixture;
use super::probe::{Probe, batch};
use crate::fakes::Chance;
use crate::fakes::model::Model;

/// Paths that are easy to mix up.
const PATHS: [&[u8]; 9] = [b"a", b"a\0", b"a/1", b"a/\xff", b"ab", b"\0", b"\xff", b"own", b"\xff\xff"];

/// Runs `rounds` groups of random batches and compares every answer, and every read, with a model.
///
/// Not a clause of its own: it looks for what the cases did not think of. A failure names its seed.
pub async fn answers_as_the_model(fixture: &dyn StoreFixture, seed: u64, rounds: u32) {
    let mut run = Run {
        chance: Chance::new(seed),
        model: Model::default(),
        probe: Probe::new(fixture.open().await),
        level: fixture.survivor().unwrap_or(Durability::Memory),
        sent: Vec::new(),
        dropped: Vec::new(),
        seed,
    };
    for round in 0..rounds {
        run.group(round).await;
        if run.chance.once_in(8) {
            run.compare(round).await;
        }
        if fixture.survivor().is_some() && run.chance.once_in(60) {
            run.probe = Probe::new(fixture.crash(run.probe.store).await);
            // An embedded store has forgotten the ids; copies of older batches could land now.
            run.model.forget_answers();
            run.sent.clear();
            run.compare(round).await;
        }
    }
    run.compare(rounds).await;
}

struct Run {
    chance: Chance,
    model: Model,
    probe: Probe,
    level: Durability,
    /// Batches that landed, to be sent again.
    sent: Vec<Batch>,
    /// Logs that were dropped: their paths are not used again.
    dropped: Vec<Log>,
    seed: u64,
}

impl Run {
    async fn group(&mut self, round: u32) {
        let count = self.chance.below(4) + 1;
        let mut group = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..count {
            let batch = self.batch();
            let answer = self.model.commit(&batch, self.level).map_err(plain);
            if answer.is_ok() && !batch.then.is_empty() {
                self.sent.push(batch.clone());
            }
            expected.push(answer);
            group.push(batch);
        }
        let answers = self.probe.at_once(group.clone()).await;
        for ((answer, expected), batch) in answers.into_iter().zip(expected).zip(&group) {
            let answer = answer.map(|given| Committed { durability: self.level, ..given }).map_err(plain);
            assert_eq!(answer, expected, "seed {}, round {round}, {batch:?}", self.seed);
        }
    }

    async fn compare(&mut self, round: u32) {
        let Self { chance, model, probe, seed, .. } = self;
        let at = format!("seed {seed}, round {round}");
        assert_eq!(probe.store.partitions().await, Ok(model.partitions()), "{at}");
        for partition in places() {
            let (cells, logs) = (Key::all(partition), Log::all(partition));
            assert_eq!(probe.store.scan(&cells, None, 999).await, Ok(model.scan(&cells, None, 999)), "{at}");
            let found = model.logs(&logs, None, 999);
            assert_eq!(probe.store.logs(&logs, None, 999).await, Ok(found.clone()), "{at}");
            for extent in found {
                let from = Seq(chance.below(extent.next.0 + 2));
                let limit = chance.below(20) as u32;
                let expected = model.read(&extent.log, from, limit);
                assert_eq!(probe.store.read(&extent.log, from, limit).await, Ok(expected), "{at}, {from:?}");
            }
            let under = Key { partition, path: path(chance) };
            let after = Key { partition, path: path(chance) };
            let after = chance.once_in(2).then_some(&after);
            let limit = chance.below(5) as u32;
            let expected = model.scan(&under, after, limit);
            assert_eq!(probe.store.scan(&under, after, limit).await, Ok(expected), "{at}, {under} {after:?}");
            let keys: Vec<_> =
                PATHS.iter().map(|path| Key::new(partition, *path).expect("a good path")).collect();
            let expected = keys.iter().map(|key| model.cell(key)).collect();
            assert_eq!(probe.store.get(&keys).await, Ok(expected), "{at}");
        }
    }

    fn batch(&mut self) -> Batch {
        if self.chance.once_in(10)
            && let Some(copy) = self.chance.pick(&self.sent)
        {
            return copy.clone();
        }
        let partition = *self.chance.pick(&places()).expect("there are some");
        // Mostly conditions that hold: a batch that is refused tells little.
        let when = (0..self.chance.below(3)).map(|_| self.condition(partition)).collect();
        let then = (0..self.chance.below(5)).map(|_| self.write(partition)).collect();
        let fence = self.chance.once_in(6).then(|| self.fence(partition));
        Batch { partition, fence, when, durability: self.level, ..batch(then) }
    }

    fn condition(&mut self, partition: Partition) -> When {
        let key = Key { partition, path: path(&mut self.chance) };
        let log = self.log(partition);
        let here = self.model.cell(&key);
        let tail = self.model.read(&log, Seq(1), u32::MAX);
        let lie = self.chance.once_in(8);
        match self.chance.below(3) {
            0 => match here {
                Some(cell) => When::Revision(key, Revision(cell.revision.0 + u64::from(lie))),
                None if lie => When::Revision(key, Revision(1)),
                None => When::Absent(key),
            },
            1 => When::Next(log, Seq(tail.next.0 + u64::from(lie))),
            _ => When::BacklogBelow(log, tail.entries.len() as u32 + u32::from(!lie)),
        }
    }

    fn fence(&mut self, partition: Partition) -> Fence {
        let owner = Key::new(partition, "own").expect("a good path");
        let held = self.model.cell(&owner).and_then(|cell| cell.value.first_chunk().copied());
        let token = held.filter(|_| !self.chance.once_in(5)).unwrap_or([0; 16]);
        Fence { owner, token: Token(token) }
    }

    fn write(&mut self, partition: Partition) -> Then {
        let key = Key { partition, path: path(&mut self.chance) };
        match self.chance.below(12) {
            0..=2 => Then::Put(key, self.value()),
            3 | 4 => Then::Add(key, self.chance.below(9) as i64 - 4),
            5 | 6 => Then::Delete(key),
            7..=9 => {
                let entries = (0..self.chance.below(4)).map(|_| self.value()).collect();
                Then::Append(self.log(partition), entries)
            }
            10 => {
                let log = self.log(partition);
                let next = self.model.read(&log, Seq(1), 0).next.0;
                Then::Trim(log, Seq(self.chance.below(next + 2)))
            }
            _ => {
                let log = self.log(partition);
                self.dropped.push(log.clone());
                Then::Drop(log)
            }
        }
    }

    /// Mostly numbers, so that `Add` finds some.
    fn value(&mut self) -> Bytes {
        match self.chance.below(5) {
            0 => {
                let mut bytes = vec![0; self.chance.below(6_000) as usize];
                self.chance.fill(&mut bytes);
                bytes.into()
            }
            1 => i64::pow(2, 53).to_string().into(),
            _ => self.chance.below(100).to_string().into(),
        }
    }

    fn log(&mut self, partition: Partition) -> Log {
        let mut log = Log { partition, path: path(&mut self.chance) };
        let mut fresh = 0;
        while self.dropped.contains(&log) {
            fresh += 1;
            log = Log::new(partition, format!("fresh/{fresh}")).expect("a good path");
        }
        log
    }
}

fn places() -> [Partition; 3] {
    let long = Pool::new("pool-of-15-byte").expect("a good name");
    [
        Partition { pool: Pool::MAIN, index: 255 },
        Partition { pool: Pool::MAIN, index: 256 },
        Partition { pool: long, index: 0 },
    ]
}

fn path(chance: &mut Chance) -> Path {
    let path = chance.pick(&PATHS).expect("there are some");
    Path::new(*path).expect("a good path")
}

/// The refusal without its words, which each store chooses.
fn plain(error: StateError) -> StateError {
    match error {
        StateError::Damaged { .. } => StateError::Damaged { what: String::new() },
        StateError::TooLarge { limit, .. } => StateError::TooLarge { what: String::new(), limit },
        other => other,
    }
}
