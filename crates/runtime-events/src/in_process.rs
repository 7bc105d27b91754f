//! The bus within one process.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::Tenant;
use runtime_traits::bus::{
    Bus, BusError, Deliveries, Durable, DurablePattern, Event, Interest, Listener, Live, Page, Pattern,
    PatternDeliveries, Position, Published, Publishing, Topic, Who,
};
use runtime_traits::clock::UnixMillis;

use crate::core::{Core, wait_for_room};
use crate::durable::DurableTopics;
use crate::journal::{Journal, Place};

/// A [`Bus`] within one process. Its durable topics are in a state store, if it has one.
#[derive(Debug)]
pub struct InProcessBus {
    core: Arc<Core>,
    durable: Option<DurableTopics>,
}

impl InProcessBus {
    pub(crate) fn new(core: Arc<Core>, journal: Option<Arc<dyn Journal>>) -> Self {
        let durable = journal.map(|journal| DurableTopics::new(Arc::clone(&core), journal));
        Self { core, durable }
    }

    /// How many live readers there are.
    pub fn readers(&self) -> usize {
        self.core.readers()
    }

    /// How many live readers an event about `topic` would reach.
    pub fn readers_of(&self, tenant: &Tenant, topic: &Topic) -> usize {
        self.core.readers_of(tenant, topic)
    }

    fn durable(&self, topics: impl Into<Pattern>) -> Result<&DurableTopics, BusError> {
        self.durable.as_ref().ok_or_else(|| BusError::NotDurable { topic: topics.into() })
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        self.publishing(who, event).await
    }

    fn publishing<'a>(&'a self, who: &'a Who, event: Arc<Event>) -> Publishing<'a> {
        if let Err(error) = self.core.admit(who, &event) {
            return Publishing::known(Err(error));
        }
        let rule = self.core.rule(&event.topic);
        if let Some(durable) = &self.durable
            && rule.is_some_and(|rule| rule.keep.is_some())
        {
            return Publishing::when(async move {
                let (position, reached) = durable.append(&event).await?;
                Ok(Published { position: Some(position), reached })
            });
        }
        let block = rule.and_then(|rule| rule.block);
        match (self.core.offer(&event, block.is_some()), block) {
            ((reached, full), Some(deadline)) if !full.is_empty() => {
                Publishing::when(
                    async move { Ok(live(reached + wait_for_room(full, &event, deadline).await)) },
                )
            }
            ((reached, _), _) => Publishing::known(Ok(live(reached))),
        }
    }

    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError> {
        self.core.may_read(who, &live.tenant, &live.pattern)?;
        Ok(Box::new(self.core.listen(live)))
    }

    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.durable(durable.topic.clone())?.open(who, &durable).await
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        self.durable(durable.pattern.clone())?.open_pattern(who, &durable).await
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.durable(topic.clone())?.read(who, &Place::new(tenant, topic), from, limit).await
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.durable(topic.clone())?.find(who, &Place::new(tenant, topic), time).await
    }

    fn is_interested(&self, topics: &Pattern) -> bool {
        self.core.readers() > 0 || (self.durable.is_some() && self.core.may_keep(topics))
    }

    fn interest(&self, tenant: &Tenant, topic: &Topic) -> Interest {
        self.core.interest(tenant, topic, self.durable.is_some())
    }
}

/// What is said of an event that is not kept.
fn live(reached: usize) -> Published {
    Published { position: None, reached }
}
