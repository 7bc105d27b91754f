//! Stores: a Redis server that is stopped, and a store that takes its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use agent_runtime::health::checks::{LagBounds, StoreLatency};
use agent_runtime::health::{HealthCheck, Verdict, Watched};
use agent_runtime::prelude::*;
use agent_runtime::store::{Batch, Cell, Committed, Key, Log, LogExtent, Seq, StoreProfile, Tail};
use agent_runtime::{Clock, MemoryStore, Partition, StateError, StateStore};
use runtime_testkit::fakes::ManualClock;
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};

/// A store whose reads take as long as its clock is told.
#[derive(Debug)]
struct Slow {
    inner: MemoryStore,
    clock: Arc<ManualClock>,
    is_slow: AtomicBool,
    commits: AtomicUsize,
}

#[async_trait]
impl StateStore for Slow {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        tokio::task::yield_now().await;
        let takes = if self.is_slow.load(SeqCst) { 3_000 } else { 2 };
        self.clock.advance(Duration::from_millis(takes));
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.inner.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.inner.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.commits.fetch_add(1, SeqCst);
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

struct SlowStore;

#[async_trait]
impl HealthFixture for SlowStore {
    async fn open(&self) -> Opened {
        let clock = Arc::new(ManualClock::default());
        let slow = Arc::new(Slow {
            inner: MemoryStore::new(),
            clock: Arc::clone(&clock),
            is_slow: AtomicBool::new(false),
            commits: AtomicUsize::new(0),
        });
        let check = StoreLatency::of(Arc::clone(&slow) as _, clock, StoreLatency::BOUNDS);
        Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(Reads(slow)) }
    }
}

#[derive(Debug)]
struct Reads(Arc<Slow>);

#[async_trait]
impl Thing for Reads {
    async fn breaks(&self) {
        self.0.is_slow.store(true, SeqCst);
    }

    async fn mends(&self) {
        self.0.is_slow.store(false, SeqCst);
    }

    async fn state(&self) -> String {
        format!("{} {:?}", self.0.commits.load(SeqCst), self.0.inner.partitions().await)
    }
}

mod of_a_slow_store {
    runtime_testkit::health_conformance!(super::SlowStore);
}

#[tokio::test]
async fn how_slow_a_store_is_says_how_bad_that_is() {
    let opened = SlowStore.open().await;
    let look = || opened.check.check(&opened.of);
    assert_eq!(look().await.verdict, Verdict::Healthy);
    opened.thing.breaks().await;
    let slow = look().await;
    assert_eq!(slow.to_string(), "unhealthy: a read took 3s; more than 2s is too long");
}

#[cfg(feature = "redis")]
mod of_a_stopped_redis {
    use agent_runtime::SystemClock;
    use runtime_testkit::peers::RedisServer;

    use super::*;

    struct Redis;

    #[derive(Debug)]
    struct Server(RedisServer, Arc<dyn StateStore>);

    #[async_trait]
    impl HealthFixture for Redis {
        async fn open(&self) -> Opened {
            let server = RedisServer::start();
            let store = agent_runtime::open_store(&server.uri(0)).await.expect("it is there");
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
            let second = Duration::from_secs(1);
            let bounds = LagBounds { degraded: 2 * second, unhealthy: 5 * second };
            let check = Patient(StoreLatency::of(Arc::clone(&store), clock, bounds));
            Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(Server(server, store)) }
        }
    }

    /// A look as a monitor looks: what does not answer in time is unhealthy.
    struct Patient(StoreLatency);

    #[async_trait]
    impl HealthCheck for Patient {
        async fn check(&self, of: &Watched) -> agent_runtime::Health {
            let looking = self.0.check(of);
            tokio::time::timeout(Duration::from_secs(10), looking)
                .await
                .unwrap_or_else(|_| agent_runtime::Health::new(Verdict::Unhealthy, "no answer within 10 s"))
        }
    }

    #[async_trait]
    impl Thing for Server {
        async fn breaks(&self) {
            self.0.kill();
        }

        async fn mends(&self) {
            self.0.revive();
            let key =
                Key::new(Partition { pool: agent_runtime::Pool::MAIN, index: 0 }, "x").expect("it is short");
            let answers = async { while self.1.get(std::slice::from_ref(&key)).await.is_err() {} };
            tokio::time::timeout(Duration::from_secs(60), answers).await.expect("it is back");
        }

        async fn state(&self) -> String {
            self.1.partitions().await.map_or_else(|_| "away".to_owned(), |all| format!("{all:?}"))
        }
    }

    runtime_testkit::health_conformance!(Redis);
}
