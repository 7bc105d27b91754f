//! `StateManager` keeps the contract of snapshots, over every store, and what more it promises.

mod files;
mod harmed;
mod kill;
mod law;
mod old;
mod sharing;

use std::sync::Arc;

use runtime_state::{MemoryStore, StateManager};
use runtime_testkit::suites::snapshots::{Bench, SnapshotsFixture};
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::StateStore;

struct Managers;

impl SnapshotsFixture for Managers {
    fn over(&self, store: Arc<dyn StateStore>) -> Arc<dyn Snapshots> {
        Arc::new(StateManager::new(store))
    }
}

runtime_testkit::snapshots_conformance!(Managers);

/// A bench over a store.
fn over(store: Arc<dyn StateStore>) -> Bench {
    let snapshots = Managers.over(Arc::clone(&store));
    Bench::over(store, snapshots)
}

/// A bench in memory.
fn bench() -> Bench {
    over(Arc::new(MemoryStore::new()))
}
