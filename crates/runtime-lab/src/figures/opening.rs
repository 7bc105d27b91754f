//! Opening a store of a gigabyte whose process was killed while it wrote.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use runtime_state::RedbStore;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Key, StateStore, Then};

use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::plan::Plan;
use super::spread::Spread;
use super::stage::{self, Stage};
use super::watch::Stopwatch;

/// What the store holds.
const LIVE: u64 = 1024 * 1024 * 1024;
/// Bytes of a value: runs and messages are small, contents are larger.
const SIZE: usize = 32 * 1024;
/// Values of one batch.
const BATCH: u64 = 16;
const HERE: Partition = Partition { pool: Pool::MAIN, index: 0 };

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let store = folder.path().join("dead.redb");
    let values = plan.sized(LIVE) / SIZE as u64;
    let mut times = Vec::new();
    for round in 0..plan.rounds {
        // Filled once; each life writes some more, and is killed while it does.
        let values = if round == 0 { values } else { BATCH };
        stage::kill_when_ready(&Stage::Fill { store: store.clone(), round: round.into(), values }).await?;
        let watch = Stopwatch::start();
        let opened = RedbStore::open(&store)?;
        let first = opened.get(&[key(0, 0)?]).await?;
        times.push(watch.elapsed().as_secs_f64() * 1_000.0);
        if first[0].is_none() {
            return Err(FiguresError::Unexpected("the first value is not there".to_owned()));
        }
    }
    let held = std::fs::metadata(&store).map_err(|error| FiguresError::io("the store", error))?.len();
    if held < plan.sized(LIVE) {
        return Err(FiguresError::Unexpected(format!("the store has {held} bytes")));
    }
    Ok(vec![Figure {
        name: "open-after-kill",
        value: Spread::of(times),
        unit: "ms",
        baseline: None,
        against: "opening a store of 1 GiB and reading a value of it, after `kill -9` of who was writing",
        bar: Bar::AtMost(2_000.0),
        n: plan.rounds,
    }])
}

fn key(round: u64, nth: u64) -> Result<Key, FiguresError> {
    Ok(Key::new(HERE, format!("t/default/value/{round:04}/{nth:08}"))?)
}

/// In a process that will be killed: writes so many values, says so, and goes on writing.
pub(crate) async fn fill(store: PathBuf, round: u64, values: u64) -> Result<(), FiguresError> {
    let store = Arc::new(RedbStore::open(store)?);
    let mut written = 0;
    let value = Bytes::from(vec![0xA5; SIZE]);
    loop {
        let mut then = Vec::new();
        for nth in written..written + BATCH {
            // Over and over again, once all are there.
            then.push(Then::Put(key(round, nth % values.max(BATCH))?, value.clone()));
        }
        let id = BatchId(u128::from(round) << 64 | u128::from(written));
        let (fence, when, durability) = (None, Vec::new(), Durability::Disk);
        store.commit(Batch { id, partition: HERE, fence, when, then, durability }).await?;
        written += BATCH;
        if (values..values + BATCH).contains(&written) {
            stage::say_ready();
        }
    }
}
