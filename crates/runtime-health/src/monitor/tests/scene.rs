//! A thing that breaks and mends when a test says so, and a monitor whose clock is the executor's.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::future::BoxFuture;
use runtime_testkit::fakes::SeededEntropy;
use runtime_traits::health::Watched;
use runtime_traits::{AgentId, Clock, Name, Partition, Pool, UnixMillis};
use uuid::Uuid;

use crate::monitor::{HealthMonitor, HealthMonitorBuilder};

/// The executor's time, which stands still until everybody waits.
#[derive(Debug)]
struct ExecutorsClock(tokio::time::Instant);

impl Clock for ExecutorsClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000).after(self.0.elapsed())
    }
}

/// A thing that breaks and mends.
#[derive(Clone, Default)]
pub(super) struct Thing {
    is_broken: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    tries: Arc<AtomicUsize>,
    /// No recovery helps.
    pub(super) is_beyond_help: Arc<AtomicBool>,
}

impl Thing {
    pub(super) fn breaks(&self) {
        self.is_broken.store(true, SeqCst);
    }

    pub(super) fn mends(&self) {
        self.is_broken.store(false, SeqCst);
    }

    pub(super) fn is_well(&self) -> bool {
        !self.is_broken.load(SeqCst)
    }

    /// Looks at it once.
    pub(super) fn look(&self) -> bool {
        self.looks.fetch_add(1, SeqCst);
        self.is_well()
    }

    pub(super) fn looks(&self) -> usize {
        self.looks.load(SeqCst)
    }

    /// How many hold it.
    pub(super) fn held(&self) -> usize {
        Arc::strong_count(&self.looks)
    }

    pub(super) fn tries(&self) -> usize {
        self.tries.load(SeqCst)
    }

    pub(super) fn check(&self) -> impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static {
        let thing = self.clone();
        move || {
            let thing = thing.clone();
            Box::pin(async move { thing.look() })
        }
    }

    pub(super) fn recovery(
        &self,
    ) -> impl Fn() -> BoxFuture<'static, Result<(), std::io::Error>> + Send + Sync + 'static {
        let thing = self.clone();
        move || {
            let thing = thing.clone();
            Box::pin(async move {
                thing.tries.fetch_add(1, SeqCst);
                if thing.is_beyond_help.load(SeqCst) {
                    return Err(std::io::Error::other("nothing helps"));
                }
                thing.mends();
                Ok(())
            })
        }
    }
}

/// A monitor in the executor's time.
#[expect(clippy::disallowed_methods, reason = "this clock is the executor's")]
pub(super) fn builder() -> HealthMonitorBuilder {
    let clock = ExecutorsClock(tokio::time::Instant::now());
    HealthMonitor::builder().clock(Arc::new(clock)).entropy(Arc::new(SeededEntropy::new(7)))
}

pub(super) fn monitor() -> HealthMonitor {
    builder().build()
}

pub(super) fn other(name: &str) -> Watched {
    Watched::Other(Name::new(name).expect("tests give good names"))
}

pub(super) fn agent(nth: u128) -> Watched {
    let partition = Partition { pool: Pool::MAIN, index: 0 };
    Watched::Agent(AgentId::from_parts(partition, Uuid::from_u128(nth + 1)))
}
