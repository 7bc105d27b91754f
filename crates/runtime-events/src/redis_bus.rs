//! The bus over Redis Streams, which any number of processes share.

mod address;
mod connect_error;
mod hub;
mod journal;
mod keys;
mod link;
mod scripts;
mod server;
mod sharing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::Tenant;
use runtime_traits::bus::{
    Bus, BusError, Deliveries, Durable, DurablePattern, Event, Interest, Listener, Live, Page, Pattern,
    PatternDeliveries, Position, Published, Topic, Who,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::error::Cause;
use runtime_traits::store::Durability;
use tokio::task::JoinSet;

use crate::core::Core;
use crate::durable::DurableTopics;
use crate::journal::Place;
use hub::Hub;
use journal::RedisJournal;
use link::Link;

pub use connect_error::ConnectError;

/// A [`Bus`] over Redis Streams, 7.0 or later, which any number of processes share.
///
/// Every topic is a stream. An event has the id `0-PLACE`, which the server counts. One connection sends commands; one
/// more waits for what is new in the topics that somebody of this process reads. Both connect again by themselves.
///
/// A topic whose owner lets publishers wait for readers (`block`) does not do so here: a publisher does not know who
/// reads elsewhere.
pub struct RedisBus {
    core: Arc<Core>,
    link: Arc<Link>,
    hub: Arc<Hub>,
    durable: DurableTopics,
    durability: Durability,
    /// Waits for what is new; ends with the bus.
    _waiting: JoinSet<()>,
}

impl RedisBus {
    /// Connects to `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`.
    pub(crate) async fn connect(uri: &str, core: Arc<Core>) -> Result<Self, ConnectError> {
        let (link, durability) = Link::make(uri).await?;
        let link = Arc::new(link);
        let hub = Arc::new(Hub::new(Arc::clone(&link), Arc::clone(&core)));
        let journal = RedisJournal::new(Arc::clone(&link), Arc::clone(&hub), Arc::clone(&core));
        let durable = DurableTopics::new(Arc::clone(&core), Arc::new(journal));
        let announced = hub.last_announcement().await;
        let announced = announced.map_err(|error| ConnectError::Unreachable {
            uri: link.shown().to_owned(),
            cause: Cause::of(&error),
        })?;
        let mut waiting = JoinSet::new();
        waiting.spawn(Arc::clone(&hub).work(announced));
        Ok(Self { core, link, hub, durable, durability, _waiting: waiting })
    }

    /// What an event survives once its publishing was answered: `Disk` only if the server syncs before it answers.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// How often the connection for commands was made.
    pub fn connections(&self) -> u64 {
        self.link.connections()
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        self.core.admit(who, &event)?;
        let (position, reached) = self.durable.append(&event).await?;
        let kept = self.core.rule(&event.topic).is_some_and(|rule| rule.keep.is_some());
        Ok(Published { position: kept.then_some(position), reached })
    }

    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError> {
        self.core.may_read(who, &live.tenant, &live.pattern)?;
        Ok(Box::new(self.hub.listen(live).await?))
    }

    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.durable.open(who, &durable).await
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        self.durable.open_pattern(who, &durable).await
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.durable.read(who, &Place::new(tenant, topic), from, limit).await
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.durable.find(who, &Place::new(tenant, topic), time).await
    }

    fn is_interested(&self, topics: &Pattern) -> bool {
        self.core.readers() > 0 || self.core.may_keep(topics)
    }

    fn interest(&self, tenant: &Tenant, topic: &Topic) -> Interest {
        self.core.interest(tenant, topic, true)
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("link", &self.link).finish_non_exhaustive()
    }
}
