//! The durable topics of a bus, for whoever has the right.

use std::sync::Arc;

use runtime_traits::bus::{BusError, Deliveries, Durable, Event, Page, Pattern, Position, Who};
use runtime_traits::clock::UnixMillis;

use super::Desk;
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
        self.desk.appended(Place::of(event), position);
        Ok((position, reached))
    }

    pub(crate) async fn open(&self, who: &Who, durable: &Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.may_read(who, &Place::new(&durable.tenant, &durable.topic))?;
        Ok(Box::new(self.desk.open(durable).await?))
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
