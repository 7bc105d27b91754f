//! Where the events of durable topics are kept, and how far durable subscriptions have come.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Event, Page, Position, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::store::Revision;
use runtime_traits::{Name, Tenant};

/// A durable topic of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) topic: Topic,
}

/// A durable subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CursorName {
    pub(crate) place: Place,
    pub(crate) name: Name,
}

/// The right to work a durable subscription, until somebody else takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Whoever wrote the cursor last has it: as whom, and with which commit, if it was written at all.
    Written([u8; 16], Option<Revision>),
    /// Whoever knows this has it.
    #[cfg(feature = "redis")]
    Token(String),
}

/// Keeps events in logs, one for each topic, and cursors.
///
/// What fails for a moment is tried again inside, for as long as a caller should wait.
#[async_trait]
pub(crate) trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Appends an event and hands it to the live readers. One that was appended before is not appended again.
    async fn append(&self, event: &Arc<Event>) -> Result<(Position, usize), BusError>;

    /// At most `limit` events, those at `from` and later.
    async fn read(&self, place: &Place, from: Position, limit: u32) -> Result<Page, BusError>;

    /// Removes what is before `below`.
    async fn trim(&self, place: &Place, below: Position) -> Result<(), BusError>;

    /// Takes a durable subscription, and says what is known of it.
    async fn claim(&self, name: &CursorName) -> Result<(Claim, Option<CursorRecord>), BusError>;

    /// Writes how far a durable subscription has come, as the one who has it.
    async fn save(&self, name: &CursorName, claim: &mut Claim, record: &CursorRecord)
    -> Result<(), BusError>;

    /// Gives a durable subscription back.
    async fn release(&self, name: &CursorName, claim: Claim);

    /// After how long without a save somebody else may take a durable subscription.
    fn lease(&self) -> Option<Duration>;

    /// Waits until the topic may have more than `page` showed. May return early.
    async fn grown(&self, place: &Place, page: &Page);

    /// The last place that all active durable subscriptions of other processes have done; `None`: there are none.
    async fn slowest_elsewhere(&self, place: &Place) -> Result<Option<Position>, BusError>;
}

impl Place {
    pub(crate) fn of(event: &Event) -> Self {
        Self { tenant: event.tenant.clone(), topic: event.topic.clone() }
    }

    pub(crate) fn new(tenant: &Tenant, topic: &Topic) -> Self {
        Self { tenant: tenant.clone(), topic: topic.clone() }
    }
}

/// The place of the first event that was appended at `time` or later: by halves, because later places have later times.
pub(crate) async fn find(
    journal: &dyn Journal,
    place: &Place,
    time: UnixMillis,
) -> Result<Position, BusError> {
    let page = journal.read(place, Position::FIRST, 1).await?;
    let (mut low, mut high) = (page.first.0, page.next.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = journal.read(place, Position(middle), 1).await?;
        match page.events.first() {
            Some(kept) if kept.position.0 == middle && kept.at >= time => high = middle,
            Some(kept) if kept.position.0 == middle => low = middle + 1,
            // It was trimmed meanwhile.
            _ => low = page.first.0.max(middle + 1),
        }
    }
    Ok(Position(low))
}
