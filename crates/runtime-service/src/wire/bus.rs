//! The JSON of the routes of the bus.

use runtime_traits::bus::{BusError, CloudError, Event, EventId, Kept, Page, Position};
use runtime_traits::{Cause, Name, Tenant, UnixMillis};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The media type of a CloudEvent in JSON.
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";

/// The name of an event that carries an [`OpenEvent`].
pub(crate) const OPEN: &str = "open";
/// The name of an event that carries a CloudEvent.
pub(crate) const EVENT: &str = "event";
/// The name of an event that carries a [`Gap`](runtime_traits::bus::Gap).
pub(crate) const GAP: &str = "gap";

/// For whom something is done: of every route of the bus (query).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct For {
    pub(crate) tenant: Option<Tenant>,
    pub(crate) agent: Option<Name>,
}

/// What a tail is about (query).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TailQuery {
    pub(crate) topic: String,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) agent: Option<Name>,
    /// The place to begin at, or the moment, by RFC 3339.
    pub(crate) from: Option<u64>,
    pub(crate) since: Option<String>,
    /// The durable subscription that reads.
    pub(crate) durable: Option<Name>,
    /// How often it tries an event.
    pub(crate) attempts: Option<u32>,
    /// How many events are held for a live reader.
    pub(crate) ring: Option<usize>,
}

/// Which events of a topic (query).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeptQuery {
    pub(crate) topic: String,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) agent: Option<Name>,
    pub(crate) from: Option<u64>,
    pub(crate) since: Option<String>,
    pub(crate) limit: Option<u32>,
}

/// What became of an event that was published.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedAnswer {
    pub(crate) id: EventId,
    pub(crate) position: Option<Position>,
    pub(crate) reached: usize,
}

/// Some events of a topic that is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptPage {
    pub(crate) first: Position,
    pub(crate) next: Position,
    pub(crate) events: Vec<KeptEvent>,
}

/// An event of a topic that is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptEvent {
    pub(crate) position: Position,
    /// When it was appended, by RFC 3339.
    pub(crate) at: String,
    pub(crate) event: Box<RawValue>,
}

/// What became of an event that a durable subscription delivered (body).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettleBody {
    pub(crate) topic: String,
    pub(crate) durable: Name,
    pub(crate) position: Position,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// Whether an event that failed is a dead letter now.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettledAnswer {
    pub(crate) dead_letter: bool,
}

/// Which dead letters are to be sent again (body).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequeueBody {
    pub(crate) durable: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
}

/// What an `open` event says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenEvent {
    pub(crate) kept: bool,
    pub(crate) after: Option<Position>,
}

/// An event as a CloudEvent in one line.
pub(crate) fn cloud_line(event: &Event) -> String {
    // Line ends of JSON stand between its words, never within one.
    event.to_cloud_json().replace(['\r', '\n'], " ")
}

/// The event that a CloudEvent in JSON is.
pub(crate) fn event_of(json: &str) -> Result<Event, BusError> {
    Event::from_cloud_json(json).map_err(|error| match error {
        CloudError::Type(error) => BusError::Topic(error),
        CloudError::Header(error) => BusError::Header(error),
        other => BusError::malformed(Cause::of(&other).to_string()),
    })
}

impl From<Page> for KeptPage {
    fn from(page: Page) -> Self {
        let events = page.events.into_iter().map(KeptEvent::from).collect();
        Self { first: page.first, next: page.next, events }
    }
}

impl From<Kept> for KeptEvent {
    fn from(kept: Kept) -> Self {
        let event = RawValue::from_string(cloud_line(&kept.event)).expect("a CloudEvent is JSON");
        Self { position: kept.position, at: kept.at.to_rfc3339(), event }
    }
}

impl TryFrom<KeptEvent> for Kept {
    type Error = Cause;

    fn try_from(told: KeptEvent) -> Result<Self, Cause> {
        let event = event_of(told.event.get()).map_err(|error| Cause::of(&error))?;
        let at = UnixMillis::from_rfc3339(&told.at);
        let at = at.ok_or_else(|| Cause::says(format!("`{}` is no moment", told.at)))?;
        Ok(Self { position: told.position, at, event: event.into() })
    }
}
