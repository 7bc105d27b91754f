//! Which topics of a pattern have grown.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use runtime_traits::Tenant;
use runtime_traits::bus::{Pattern, Topic};
use tokio::sync::Notify;

use crate::journal::Place;

/// Which topics of a pattern have grown since somebody looked.
#[derive(Debug)]
pub(crate) struct Watch {
    tenant: Tenant,
    pattern: Pattern,
    grown: Mutex<BTreeSet<Topic>>,
    told: Notify,
}

/// All watches of a journal.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<Vec<Weak<Watch>>>);

impl Watch {
    /// Those that have grown since the last call.
    pub(crate) fn take(&self) -> BTreeSet<Topic> {
        std::mem::take(&mut *lock(&self.grown))
    }

    /// Waits until a topic has grown. May return early.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    fn wants(&self, place: &Place) -> bool {
        self.tenant == place.tenant && self.pattern.matches(&place.topic)
    }
}

impl Watches {
    /// Watches until the answer is dropped.
    pub(crate) fn watch(&self, tenant: &Tenant, pattern: &Pattern) -> Arc<Watch> {
        let (tenant, pattern) = (tenant.clone(), pattern.clone());
        let watch = Watch { tenant, pattern, grown: Mutex::default(), told: Notify::new() };
        let watch = Arc::new(watch);
        let mut all = lock(&self.0);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&watch));
        watch
    }

    /// Whether somebody wants to know when a topic grows.
    #[cfg(feature = "redis")]
    pub(crate) fn want(&self, place: &Place) -> bool {
        lock(&self.0).iter().filter_map(Weak::upgrade).any(|watch| watch.wants(place))
    }

    /// Says that a topic has grown.
    pub(crate) fn tell(&self, place: &Place) {
        for watch in lock(&self.0).iter().filter_map(Weak::upgrade).filter(|watch| watch.wants(place)) {
            lock(&watch.grown).insert(place.topic.clone());
            watch.told.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
