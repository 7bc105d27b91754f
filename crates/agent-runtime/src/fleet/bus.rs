//! What a fleet file says of the bus: where it is, what is kept of it, and who may do what.

use std::sync::Arc;

use runtime_events::EventBusBuilder;
use runtime_traits::Pool;
use runtime_traits::bus::{Bus, Rights, TopicRule};
use runtime_traits::store::{Durability, StateStore};
use thiserror::Error;

use super::store_uri::RedisUri;

/// What a fleet file says of the bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetBus {
    /// Where it is.
    pub place: BusPlace,
    /// What is kept, and for whom publishers wait; of several rules about a topic the first one holds.
    pub topics: Vec<TopicRule>,
    /// Who may do what.
    pub rights: Rights,
}

/// Where a bus is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BusPlace {
    /// In the process that has the store; what is kept is in the store.
    #[default]
    Store,
    /// In a Redis server.
    Redis(RedisUri),
}

/// Why a bus cannot be opened.
#[derive(Debug, Error)]
pub enum BusOpenError {
    /// The Redis server cannot be used.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] runtime_events::ConnectError),
    /// This build has no Redis.
    #[cfg(not(feature = "redis"))]
    #[error("this program was built without the feature `redis`: build it with, or write bus = \"store\"")]
    NoRedis,
}

impl FleetBus {
    /// Opens the bus. One within the process keeps its events in `store`, at this durability.
    ///
    /// # Errors
    /// [`BusOpenError`], with the address, without its password, and the remedy.
    pub async fn open(
        &self,
        store: Arc<dyn StateStore>,
        durability: Durability,
    ) -> Result<Arc<dyn Bus>, BusOpenError> {
        match &self.place {
            BusPlace::Store => Ok(Arc::new(self.builder().in_process_over(store, Pool::MAIN, durability))),
            BusPlace::Redis(uri) => self.connect(uri).await,
        }
    }

    /// The bus in the Redis server; `None` when it is in the store.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_elsewhere(&self) -> Result<Option<Arc<dyn Bus>>, BusOpenError> {
        match &self.place {
            BusPlace::Store => Ok(None),
            BusPlace::Redis(uri) => self.connect(uri).await.map(Some),
        }
    }

    #[cfg(feature = "redis")]
    async fn connect(&self, uri: &RedisUri) -> Result<Arc<dyn Bus>, BusOpenError> {
        Ok(Arc::new(self.builder().redis(uri.address()).await?))
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_async, reason = "with Redis it connects")]
    async fn connect(&self, _: &RedisUri) -> Result<Arc<dyn Bus>, BusOpenError> {
        Err(BusOpenError::NoRedis)
    }

    /// A bus that is set so.
    pub fn builder(&self) -> EventBusBuilder {
        let builder = EventBusBuilder::default().rights(self.rights.clone());
        self.topics.iter().cloned().fold(builder, EventBusBuilder::rule)
    }
}

impl std::fmt::Display for BusPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store => f.write_str("store"),
            Self::Redis(uri) => uri.fmt(f),
        }
    }
}
