//! Buses as the suite sees them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runtime_events::{Bus, EventBusBuilder};
use runtime_testkit::fakes::MapStore;
use runtime_testkit::peers::{CutProxy, RedisServer};
use runtime_testkit::suites::bus::{BusFixture, BusSettings};
use runtime_traits::Pool;
use runtime_traits::store::Durability;

/// Buses within this process, over the kit's own store.
#[derive(Default)]
pub(crate) struct OverMaps(Mutex<Arc<MapStore>>);

/// What dies in a crash.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dies {
    /// This process: its connections are cut, and nothing of it gets through any more.
    We,
    /// The server, and this process.
    Redis,
}

/// Buses in a Redis server, each in a database of its own.
pub(crate) struct InRedis {
    dies: Dies,
    pub(crate) server: RedisServer,
    databases: AtomicU32,
    /// The present bus's way to the server.
    pub(crate) way: Mutex<Option<CutProxy>>,
    /// That of the bus beside it.
    beside: Mutex<Option<CutProxy>>,
}

fn builder(settings: BusSettings) -> EventBusBuilder {
    let builder =
        EventBusBuilder::default().limits(settings.limits).rights(settings.rights).clock(settings.clock);
    settings.rules.into_iter().fold(builder, EventBusBuilder::rule)
}

impl OverMaps {
    fn over(&self, store: MapStore, settings: BusSettings) -> Arc<dyn Bus> {
        let store = Arc::new(store);
        *self.0.lock().unwrap() = Arc::clone(&store);
        Arc::new(builder(settings).in_process_over(store, Pool::MAIN, Durability::Disk))
    }
}

#[async_trait]
impl BusFixture for OverMaps {
    async fn open(&self, settings: BusSettings) -> Arc<dyn Bus> {
        self.over(MapStore::new(), settings)
    }

    async fn crash(&self, bus: Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus> {
        let left = self.0.lock().unwrap().crash();
        drop(bus);
        self.over(left, settings)
    }
}

impl InRedis {
    pub(crate) fn when(dies: Dies) -> Self {
        let server = RedisServer::start();
        Self { dies, server, databases: AtomicU32::new(0), way: Mutex::default(), beside: Mutex::default() }
    }

    async fn connect(&self, settings: BusSettings, kept: &Mutex<Option<CutProxy>>) -> Arc<dyn Bus> {
        let way = CutProxy::before(&self.server.socket());
        let database = self.databases.load(Ordering::Relaxed);
        let uri = format!("redis+unix://{}?db={database}", way.socket().display());
        *kept.lock().unwrap() = Some(way);
        let bus = builder(settings).lease(Duration::from_millis(300)).redis(&uri).await;
        Arc::new(bus.unwrap())
    }
}

#[async_trait]
impl BusFixture for InRedis {
    async fn open(&self, settings: BusSettings) -> Arc<dyn Bus> {
        self.databases.fetch_add(1, Ordering::Relaxed);
        self.connect(settings, &self.way).await
    }

    async fn crash(&self, bus: Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus> {
        if self.dies == Dies::Redis {
            self.server.kill();
        }
        *self.way.lock().unwrap() = None;
        drop(bus);
        self.server.revive();
        self.connect(settings, &self.way).await
    }

    async fn beside(&self, _: &Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus> {
        self.connect(settings, &self.beside).await
    }

    async fn kill_beside(&self, bus: Arc<dyn Bus>) {
        *self.beside.lock().unwrap() = None;
        drop(bus);
    }
}
