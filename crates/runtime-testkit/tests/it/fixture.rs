//! The kit's own store as a fixture.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runtime_testkit::fakes::MapStore;
use runtime_testkit::suites::state_store::{Copies, Faults, StoreFixture};
use runtime_testkit::wrong::{self, Flaw};
use runtime_traits::store::{Durability, StateStore};

/// Stores with a flaw, or without.
pub(crate) struct Maps {
    flaw: Option<Flaw>,
    store: Mutex<Arc<MapStore>>,
}

impl Maps {
    pub(crate) fn right() -> Self {
        Self { flaw: None, store: Mutex::default() }
    }

    pub(crate) fn wrong(flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), store: Mutex::default() }
    }

    fn store(&self) -> Arc<MapStore> {
        Arc::clone(&self.store.lock().unwrap())
    }

    fn take(&self, store: MapStore) -> Arc<dyn StateStore> {
        let store = Arc::new(store);
        *self.store.lock().unwrap() = Arc::clone(&store);
        store
    }
}

#[async_trait]
impl StoreFixture for Maps {
    async fn open(&self) -> Arc<dyn StateStore> {
        self.take(self.flaw.map_or_else(MapStore::new, wrong::store))
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        self.take(self.store().crash())
    }

    fn survivor(&self) -> Option<Durability> {
        Some(Durability::Process)
    }

    fn faults(&self) -> Option<&dyn Faults> {
        Some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

#[async_trait]
impl Copies for Maps {
    async fn open_copy(&self) -> Result<Arc<dyn StateStore>, String> {
        let copy = self.flaw.map_or_else(MapStore::new, wrong::store);
        copy.make_copy(true);
        copy.partitions().await.map_err(|error| error.to_string())?;
        Ok(Arc::new(copy))
    }

    async fn demote(&self) {
        self.store().make_copy(true);
    }

    async fn promote(&self) {
        self.store().make_copy(false);
    }
}

impl Faults for Maps {
    fn fail_syncs(&self, fail: bool) {
        self.store().fail_syncs(fail);
    }

    fn fail_reads(&self, fail: bool) {
        self.store().fail_reads(fail);
    }
}
