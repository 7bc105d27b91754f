//! The wrappers against the contract: over the store in memory, and over redb on a disk that loses power.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_state::{EncryptedStore, KeyRing, TracedStore};
use runtime_testkit::suites::state_store::{Faults, StoreFixture};
use runtime_traits::store::{Durability, StateStore};

type Store = Arc<dyn StateStore>;

/// The stores of another fixture, wrapped.
pub(crate) struct Wrapped<F> {
    inner: F,
    wrap: fn(Store) -> BoxFuture<'static, Store>,
    /// The present store below.
    below: Mutex<Option<Store>>,
}

impl<F> Wrapped<F> {
    fn new(inner: F, wrap: fn(Store) -> BoxFuture<'static, Store>) -> Self {
        Self { inner, wrap, below: Mutex::default() }
    }

    async fn start(&self, below: Store) -> Store {
        *self.below.lock().unwrap() = Some(Arc::clone(&below));
        (self.wrap)(below).await
    }
}

#[async_trait]
impl<F: StoreFixture> StoreFixture for Wrapped<F> {
    async fn open(&self) -> Store {
        self.start(self.inner.open().await).await
    }

    async fn crash(&self, store: Store) -> Store {
        let below = self.below.lock().unwrap().take().unwrap();
        let left = self.inner.crash(below).await;
        drop(store);
        self.start(left).await
    }

    fn survivor(&self) -> Option<Durability> {
        self.inner.survivor()
    }

    fn faults(&self) -> Option<&dyn Faults> {
        self.inner.faults()
    }
}

/// Two keys, of which the second one writes.
pub(crate) fn ring() -> KeyRing {
    KeyRing::parse(&format!("2 {}\n1 {}\n", "22".repeat(32), "11".repeat(32))).unwrap()
}

fn encrypted<F>(inner: F) -> Wrapped<F> {
    Wrapped::new(inner, |below| {
        Box::pin(async { Arc::new(EncryptedStore::open(below, ring()).await.unwrap()) as Store })
    })
}

fn traced<F>(inner: F) -> Wrapped<F> {
    Wrapped::new(inner, |below| Box::pin(async { Arc::new(TracedStore::new(below)) as Store }))
}

mod encrypted_in_memory {
    use crate::fixtures::Memory;

    runtime_testkit::state_store_conformance!(super::encrypted(Memory));
}

mod encrypted_on_a_disk_that_loses_power {
    use crate::fixtures::OnDisk;

    runtime_testkit::state_store_conformance!(super::encrypted(OnDisk::new()));
}

mod traced_in_memory {
    use crate::fixtures::Memory;

    runtime_testkit::state_store_conformance!(super::traced(Memory));
}

mod traced_on_a_disk_that_loses_power {
    use crate::fixtures::OnDisk;

    runtime_testkit::state_store_conformance!(super::traced(OnDisk::new()));
}
