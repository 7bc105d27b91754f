//! Group commit of 4 KiB values: through the store, and as somebody would write it with redb alone.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::{Database, TableDefinition};
use runtime_core::SystemEntropy;
use runtime_state::RedbStore;
use runtime_traits::clock::Entropy;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Key, StateStore, Then};

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::load::{Caller, per_second};
use super::plan::Plan;
use super::watch::Stopwatch;

/// Writers of ours, and values in a transaction of the other's.
const WRITERS: usize = 64;
/// Values that each writer writes in turn; together 4 MiB are live.
const VALUES: usize = 16;
pub(super) const SIZE: usize = 4 * 1024;
/// What the store takes by default.
const CACHE: usize = 64 * 1024 * 1024;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");

/// Writes its values, one after the other, each in a batch of its own.
#[derive(Debug)]
pub(super) struct Writer {
    store: Arc<RedbStore>,
    partition: Partition,
    values: Arc<Vec<Bytes>>,
    number: usize,
    batches: u128,
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let store = Arc::new(RedbStore::open(folder.path().join("ours.redb"))?);
    let database = Arc::new(open(&folder.path().join("direct.redb"))?);
    let values = Arc::new(values());
    let mut turns = 0;
    let ours = async || {
        turns += 1;
        per_second((0..WRITERS).map(|number| writer(&store, &values, number, turns)), plan.turn).await
    };
    let direct = async || {
        let (database, values, turn) = (Arc::clone(&database), Arc::clone(&values), plan.turn);
        let writing = tokio::task::spawn_blocking(move || write_directly(&database, &values, turn));
        writing.await.map_err(|error| FiguresError::Unexpected(error.to_string()))?
    };
    let (value, baseline) = take_turns(plan.rounds, ours, direct).await?;
    Ok(vec![Figure {
        name: "group-commit",
        value,
        unit: "commits/s",
        baseline: Some(baseline),
        against: "redb 4.6 alone: one thread, 64 values in a transaction, quick repair, the same cache",
        bar: Bar::RatioAtLeast(0.85),
        n: plan.rounds,
    }])
}

pub(super) fn writer(store: &Arc<RedbStore>, values: &Arc<Vec<Bytes>>, number: usize, turn: u128) -> Writer {
    // Every fourth partition, so that they are all over the file.
    let partition = Partition { pool: Pool::MAIN, index: (number * 4) as u16 };
    let (store, values) = (Arc::clone(store), Arc::clone(values));
    Writer { store, partition, values, number, batches: turn << 64 }
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), FiguresError> {
        self.batches += 1;
        let nth = self.batches as usize % VALUES;
        let key = Key::new(self.partition, path(self.number, nth))?;
        let value = self.values[(self.number + nth) % self.values.len()].clone();
        let batch = Batch {
            id: BatchId(self.batches),
            partition: self.partition,
            fence: None,
            when: Vec::new(),
            then: vec![Then::Put(key, value)],
            durability: Durability::Disk,
        };
        self.store.commit(batch).await?;
        Ok(())
    }
}

fn path(writer: usize, nth: usize) -> Vec<u8> {
    format!("t/default/value/{writer:04}/{nth:04}").into_bytes()
}

/// Values that no compression makes smaller.
pub(super) fn values() -> Vec<Bytes> {
    let entropy = SystemEntropy::default();
    let value = |_| {
        let mut value = vec![0; SIZE];
        entropy.fill(&mut value);
        Bytes::from(value)
    };
    (0..VALUES).map(value).collect()
}

fn open(path: &FilePath) -> Result<Database, FiguresError> {
    let database = Database::builder().set_cache_size(CACHE).create(path).map_err(FiguresError::redb)?;
    let txn = database.begin_write().map_err(FiguresError::redb)?;
    txn.open_table(TABLE).map_err(FiguresError::redb)?;
    txn.commit().map_err(FiguresError::redb)?;
    Ok(database)
}

/// What somebody does who has all values at hand and shares them with nobody.
fn write_directly(database: &Database, values: &[Bytes], turn: Duration) -> Result<f64, FiguresError> {
    let watch = Stopwatch::start();
    let mut written: u64 = 0;
    let mut nth = 0;
    while watch.elapsed() < turn {
        let mut txn = database.begin_write().map_err(FiguresError::redb)?;
        txn.set_quick_repair(true);
        let mut table = txn.open_table(TABLE).map_err(FiguresError::redb)?;
        for writer in 0..WRITERS {
            let value = &values[(writer + nth) % values.len()];
            table.insert(path(writer, nth).as_slice(), value.as_ref()).map_err(FiguresError::redb)?;
        }
        drop(table);
        txn.commit().map_err(FiguresError::redb)?;
        written += WRITERS as u64;
        nth = (nth + 1) % VALUES;
    }
    Ok(watch.per_second(written))
}
