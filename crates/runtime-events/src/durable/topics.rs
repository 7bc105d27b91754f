//! The durable topics of a bus, for whoever has the right.

use std::sync::Arc;

use runtime_traits::bus::{
    BusError, Deliveries, Durable, DurablePattern, Event, Page, Pattern, PatternDeliveries, Position, Who,
};
use runtime_traits::clock::UnixMillis;

use super::Desk;
use super::one_topic::OneTopic;
use super::pattern::PatternMember;
use super::wanted::Wanted;
use crate::core::Core;
use crate::journal::{Journal, Place, find};

/// The durable topics of a bus.
#[derive(Debug)]
pub(crate) struct DurableTopics {
    core: Arc<Core>,
    journal: Arc<dyn Journal>,
    desk: Arc<Desk>,
}

impl DurableTopics {
    pub(crate) fn new(core: Arc<Core>, journal: Arc<dyn Journal>) -> Self {
        let desk = Desk::new(Arc::clone(&core), Arc::clone(&journal));
        Self { core, journal, desk }
    }

    /// Appends an event: its place, and how many live readers it was handed to.
    pub(crate) async fn append(&self, event: &Arc<Event>) -> Result<(Position, usize), BusError> {
        let (position, reached) = self.journal.append(event).await?;
        self.desk.appended(Place::of(event), position, event.size());
        Ok((position, reached))
    }

    pub(crate) async fn open(&self, who: &Who, durable: &Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.may_read(who, &Place::new(&durable.tenant, &durable.topic))?;
        Ok(Box::new(self.desk.open(&Wanted::from(durable), None).await?))
    }

    pub(crate) async fn open_pattern(
        &self,
        who: &Who,
        durable: &DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        if let Some(topic) = durable.pattern.as_topic() {
            let deliveries = self.open(who, &durable.over(topic.clone())).await?;
            return Ok(Box::new(OneTopic::new(topic, deliveries)));
        }
        self.core.may_read(who, &durable.tenant, &durable.pattern)?;
        let rules = &self.core.settings.rules;
        if !rules.iter().any(|rule| rule.keep.is_some() && rule.pattern.overlaps(&durable.pattern)) {
            return Err(BusError::NotDurable { topic: durable.pattern.clone() });
        }
        Ok(Box::new(PatternMember::open(&self.desk, Wanted::from(durable)).await?))
    }

    pub(crate) async fn read(
        &self,
        who: &Who,
        place: &Place,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.may_read(who, place)?;
        self.desk.page(place, from, limit).await
    }

    pub(crate) async fn find(
        &self,
        who: &Who,
        place: &Place,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.may_read(who, place)?;
        find(&*self.journal, place, time).await
    }

    fn may_read(&self, who: &Who, place: &Place) -> Result<(), BusError> {
        self.core.may_read(who, &place.tenant, &Pattern::from(place.topic.clone()))?;
        self.core.retention(&place.topic).map(drop)
    }
}
