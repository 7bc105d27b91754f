//! How a bus is set, and where it is.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::{BusError, EventLimits, Pattern, Retention, Rights, TopicRule, Who};
use runtime_traits::clock::{Clock, Entropy};
use runtime_traits::store::{Durability, StateStore};
use runtime_traits::{Pool, Tenant};

use super::EventBus;
use crate::InProcessBus;
use crate::core::{Core, Settings};
use crate::store_journal::StoreJournal;

/// How a bus is set, and where it is.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use runtime_events::{EventBus, Retention};
/// use runtime_testkit::fakes::MapStore;
///
/// let week = Retention { age: Some(Duration::from_secs(7 * 86_400)), ..Retention::default() };
/// let bus = EventBus::builder()
///     .keep("orders/**", week)?
///     .block("audit", Duration::from_secs(1))?
///     .build_over(Arc::new(MapStore::new()));
/// # Ok::<(), runtime_events::BusError>(())
/// ```
#[derive(Clone, Default)]
pub struct EventBusBuilder {
    pub(crate) settings: Settings,
}

impl EventBusBuilder {
    /// Keeps the events of these topics for durable subscriptions. Of several rules about a topic the first one holds.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad pattern.
    pub fn keep<P>(self, topics: P, retention: Retention) -> Result<Self, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        Ok(self.rule(TopicRule::keep(topics.try_into().map_err(Into::into)?, retention)))
    }

    /// Lets publishers of these topics wait, at most so long, for live readers whose rings are full.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad pattern.
    pub fn block<P>(self, topics: P, deadline: Duration) -> Result<Self, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        Ok(self.rule(TopicRule::block(topics.try_into().map_err(Into::into)?, deadline)))
    }

    /// Adds a rule behind those that are there.
    #[must_use]
    pub fn rule(mut self, rule: TopicRule) -> Self {
        self.settings.rules.push(rule);
        self
    }

    /// Sets what is taken.
    #[must_use]
    pub fn limits(mut self, limits: EventLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets who may do what.
    #[must_use]
    pub fn rights(mut self, rights: Rights) -> Self {
        self.settings.rights = rights;
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Sets the chance.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.settings.entropy = entropy;
        self
    }

    /// Sets after how long without a sign of life another process may take a durable subscription: 6 s unless told
    /// otherwise. A bus within one process has no use for it.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// A bus within this process, which keeps nothing.
    pub fn build(self) -> EventBus {
        let (clock, entropy) = (Arc::clone(&self.settings.clock), Arc::clone(&self.settings.entropy));
        EventBus::with(Arc::new(self.in_process()), Who::tenant(Tenant::default()), clock, entropy)
    }

    /// A bus within this process that keeps events in `store`, at the best durability that it has.
    pub fn build_over(self, store: Arc<dyn StateStore>) -> EventBus {
        let (clock, entropy) = (Arc::clone(&self.settings.clock), Arc::clone(&self.settings.entropy));
        let durability = store.profile().best;
        let bus = self.in_process_over(store, Pool::MAIN, durability);
        EventBus::with(Arc::new(bus), Who::tenant(Tenant::default()), clock, entropy)
    }

    /// A bus in the Redis server at `uri`: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`.
    ///
    /// # Errors
    /// [`ConnectError`](crate::ConnectError), with the address, without its password, and the remedy.
    #[cfg(feature = "redis")]
    pub async fn connect(self, uri: &str) -> Result<EventBus, crate::ConnectError> {
        let (clock, entropy) = (Arc::clone(&self.settings.clock), Arc::clone(&self.settings.entropy));
        let bus = self.redis(uri).await?;
        Ok(EventBus::with(Arc::new(bus), Who::tenant(Tenant::default()), clock, entropy))
    }

    /// As [`connect`](Self::connect), as the contract.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    #[cfg(feature = "redis")]
    pub async fn redis(self, uri: &str) -> Result<crate::RedisBus, crate::ConnectError> {
        crate::RedisBus::connect(uri, Core::new(self.settings)).await
    }

    /// As [`build`](Self::build), as the contract: whoever has it may act for anybody.
    pub fn in_process(self) -> InProcessBus {
        InProcessBus::new(Core::new(self.settings), None)
    }

    /// As [`build_over`](Self::build_over), as the contract. The topics lie in the partitions of `pool`.
    pub fn in_process_over(
        self,
        store: Arc<dyn StateStore>,
        pool: Pool,
        durability: Durability,
    ) -> InProcessBus {
        let core = Core::new(self.settings);
        let journal = StoreJournal::new(store, pool, durability, Arc::clone(&core));
        InProcessBus::new(core, Some(Arc::new(journal)))
    }
}

impl std::fmt::Debug for EventBusBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventBusBuilder").field("rules", &self.settings.rules).finish_non_exhaustive()
    }
}
