//! A store that is away for a moment while it is looked over: nothing is taken for damage, and nothing is left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runtime_state::{
    CopyError, ExportError, ExportLine, MemoryStore, Quarantined, RepairError, Repaired, Scrubber,
    check_live, export_store, read_store, repair_store, verify_store,
};
use runtime_testkit::block_on;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount};
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

use crate::harmed::{Harm, Harmed};
use crate::lived::{Lived, at};

/// Reads that are answered before one is not. Those after it are answered again.
#[derive(Debug)]
struct Away {
    inner: Arc<dyn StateStore>,
    before: u64,
    reads: AtomicU64,
}

impl Away {
    fn after(inner: &Arc<dyn StateStore>, before: u64) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), before, reads: AtomicU64::new(0) })
    }

    /// Whether it was away at all.
    fn was(&self) -> bool {
        self.reads.load(Ordering::Relaxed) > self.before
    }

    fn read(&self) -> Result<(), StateError> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.before { Err(away()) } else { Ok(()) }
    }
}

fn away() -> StateError {
    StateError::Unavailable { retry_after: None, cause: Cause::says("it is away") }
}

#[async_trait]
impl StateStore for Away {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.read()?;
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.read()?;
        self.inner.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        Away::read(self)?;
        self.inner.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        Away::read(self)?;
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        Away::read(self)?;
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

/// A store of which one entry is damaged, so that there is something to find and to repair.
async fn harmed() -> Arc<dyn StateStore> {
    let lived = Lived::in_memory().await;
    let mut harmed = Harmed::over(Arc::clone(&lived.store));
    harmed.entries.insert((lived.messages(), Seq(3)), Harm::Unreadable);
    Arc::new(harmed)
}

#[test]
fn whenever_a_store_is_away_it_is_not_verified_and_nothing_is_said_of_it() {
    block_on(async {
        let store = harmed().await;
        let whole = verify_store(&*store, |_| {}).await.unwrap();
        for before in 0.. {
            let once = Away::after(&store, before);
            let told = verify_store(&*once, |so_far| {
                assert!(so_far.damages.iter().all(|damage| whole.damages.contains(damage)), "{so_far:?}");
            })
            .await;
            if !once.was() {
                assert_eq!(told, Ok(whole));
                assert!(before > 20, "it is read in more than {before} steps");
                return;
            }
            assert_eq!(told, Err(away()), "away after {before} reads");
            let once = Away::after(&store, before);
            assert_eq!(read_store(&*once, |_| {}).await.is_err(), once.was(), "away after {before} reads");
            let once = Away::after(&store, before);
            assert_eq!(check_live(&*once, &[]).await.is_err(), once.was(), "away after {before} reads");
        }
    });
}

#[test]
fn whenever_a_store_is_away_it_is_not_exported_as_one_that_lacks_things() {
    block_on(async {
        let store = harmed().await;
        for before in 0.. {
            let once = Away::after(&store, before);
            let mut missing = 0;
            let mut line = |line: ExportLine| {
                missing += u32::from(matches!(line, ExportLine::Missing(_)));
                Ok(())
            };
            let told = export_store(&*once, &mut line).await;
            assert!(missing <= 1, "away after {before} reads: {missing} things are missing");
            if !once.was() {
                assert_eq!((missing, told.unwrap().missing), (1, 1));
                return;
            }
            assert!(matches!(told, Err(ExportError::Store(StateError::Unavailable { .. }))), "{told:?}");
        }
    });
}

async fn repaired(from: &dyn StateStore) -> (Result<Repaired, RepairError>, Vec<Quarantined>) {
    let mut aside = Vec::new();
    let mut keep = |value| {
        aside.push(value);
        Ok(())
    };
    let told = repair_store(from, &MemoryStore::new(), at(100), &mut keep, &mut |_, _| {}).await;
    (told, aside)
}

#[test]
fn whenever_a_store_is_away_it_is_not_repaired_and_nothing_is_left_out() {
    block_on(async {
        let store = harmed().await;
        let (done, damaged) = repaired(&*store).await;
        assert!(done.unwrap().changed > 0 && !damaged.is_empty());
        for before in 0.. {
            let once = Away::after(&store, before);
            let (told, aside) = repaired(&*once).await;
            let is_damaged = aside.iter().all(|value| damaged.contains(value));
            assert!(is_damaged, "away after {before} reads: {aside:?}");
            if !once.was() {
                assert!(told.is_ok() && before > 40, "{before} reads");
                return;
            }
            let is_away = matches!(
                told,
                Err(RepairError::Away(StateError::Unavailable { .. })
                    | RepairError::Copy(CopyError::From(StateError::Unavailable { .. })))
            );
            assert!(is_away, "away after {before} reads: {told:?}");
        }
    });
}

#[derive(Default)]
struct Ears(Mutex<Vec<Finding>>);

impl Heard for Ears {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap().push(finding);
    }

    fn read(&self, _so_far: ScrubCount) {}
}

struct NoPause;

#[async_trait]
impl Pace for NoPause {
    async fn read(&self, _values: u64) {}
}

async fn scrubbed(store: Arc<dyn StateStore>) -> (Result<ScrubCount, StateError>, Vec<Finding>) {
    let ears = Arc::new(Ears::default());
    let told = Scrubber::new(store).pass(Arc::new(NoPause), Arc::clone(&ears) as Arc<dyn Heard>).await;
    let found = std::mem::take(&mut *ears.0.lock().unwrap());
    (told, found)
}

#[test]
fn whenever_a_store_is_away_the_scrubber_tells_no_damage() {
    block_on(async {
        let store = harmed().await;
        let (count, damaged) = scrubbed(Arc::clone(&store)).await;
        assert!(count.unwrap().damaged > 0);
        for before in 0.. {
            let once = Away::after(&store, before);
            let (told, found) = scrubbed(Arc::clone(&once) as Arc<dyn StateStore>).await;
            let is_damaged = found.iter().all(|finding| damaged.contains(finding));
            assert!(is_damaged, "away after {before} reads: {found:?}");
            if !once.was() {
                assert!(told.is_ok());
                return;
            }
            assert_eq!(told, Err(away()), "away after {before} reads");
        }
    });
}
