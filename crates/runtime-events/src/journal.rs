//! Where the events of durable topics are kept, and how far durable subscriptions have come.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Event, Page, Pattern, Position, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::store::Revision;
use runtime_traits::{Name, Tenant};

use crate::watch::Watch;

/// A durable topic of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) topic: Topic,
}

/// A durable subscription to one topic; or to a pattern, of which it is known that it is there, and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CursorName {
    pub(crate) tenant: Tenant,
    pub(crate) topics: Pattern,
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

    /// Another number each time when what was read before may not be there any more: what keeps it began anew.
    fn life(&self) -> u64 {
        0
    }

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

    /// How groups are shared between processes, if they are.
    fn sharing(&self) -> Option<&dyn Sharing> {
        None
    }

    /// Waits until the topic may have more than `page` showed, or its keeper is not in this [life](Self::life) any more. May
    /// return early.
    async fn grown(&self, place: &Place, page: &Page, life: u64);

    /// The last place that all active durable subscriptions of other processes have done; `None`: there are none.
    async fn slowest_elsewhere(&self, place: &Place) -> Result<Option<Position>, BusError>;

    /// The topics of a tenant that match and were ever written to.
    async fn topics(&self, tenant: &Tenant, pattern: &Pattern) -> Result<Vec<Topic>, BusError>;

    /// Tells of the growth of topics that match and are new, or that [`behind`](Self::behind) was asked about since.
    fn watch(&self, tenant: &Tenant, pattern: &Pattern) -> Arc<Watch>;

    /// Those topics that have more than the durable subscription `name` has done, or less.
    async fn behind(&self, tenant: &Tenant, name: &Name, topics: &[Topic]) -> Result<Vec<Topic>, BusError>;
}

/// Groups that are shared between processes. The sources of a topic are dealt into slots by their hash, and the slots to
/// the processes that have members. Each slot has a record of its own.
#[async_trait]
pub(crate) trait Sharing: Send + Sync {
    /// Into how many slots sources are dealt: always as many, at most 256.
    fn slots(&self) -> u16;

    /// The group's own record: how it is set, and where slots begin that were never worked.
    async fn kept(&self, name: &CursorName) -> Result<Option<CursorRecord>, BusError>;

    /// Makes that record, unless somebody was quicker. The one that holds.
    async fn found(&self, name: &CursorName, record: &CursorRecord) -> Result<CursorRecord, BusError>;

    /// Whom a process calls itself.
    fn new_token(&self) -> String;

    /// Saves what is held, gives back what is to be given back, takes up to what is this process's part, and renews all
    /// of it.
    async fn deal(&self, name: &CursorName, token: &str, round: &Round) -> Result<Dealt, BusError>;
}

/// What a process says of the slots that it holds.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Whether it wants its part.
    pub(crate) stays: bool,
    pub(crate) held: Vec<Holding>,
}

/// What a process says of one slot.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) slot: u8,
    /// What is to be saved.
    pub(crate) record: Option<CursorRecord>,
    /// Whether it is given back, once that is saved.
    pub(crate) given_back: bool,
}

/// What a process is told of slots.
#[derive(Clone, Debug)]
pub(crate) struct Dealt {
    /// How many are its part now.
    pub(crate) part: usize,
    /// Those that it has, with the records of those that it did not name.
    pub(crate) mine: Vec<(u8, Option<CursorRecord>)>,
}

impl Place {
    pub(crate) fn of(event: &Event) -> Self {
        Self { tenant: event.tenant.clone(), topic: event.topic.clone() }
    }

    pub(crate) fn new(tenant: &Tenant, topic: &Topic) -> Self {
        Self { tenant: tenant.clone(), topic: topic.clone() }
    }
}

impl CursorName {
    /// The topic, if it is about one.
    pub(crate) fn place(&self) -> Option<Place> {
        Some(Place { tenant: self.tenant.clone(), topic: self.topics.as_topic()? })
    }

    /// That somebody else has it now.
    pub(crate) fn taken(&self) -> BusError {
        BusError::Taken { name: self.name.to_string(), topic: self.topics.clone() }
    }

    /// That it has its reader.
    pub(crate) fn busy(&self) -> BusError {
        BusError::Busy { name: self.name.to_string(), topic: self.topics.clone() }
    }

    /// That its record is none.
    pub(crate) fn damaged(&self, error: &dyn std::error::Error) -> BusError {
        let Self { tenant, topics, name } = self;
        BusError::Damaged {
            what: format!("subscription `{name}` to `{topics}` of tenant `{tenant}`: {error}"),
        }
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
