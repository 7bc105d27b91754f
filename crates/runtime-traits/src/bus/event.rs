//! What is published.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::{BusError, Headers, Topic};
use crate::agent::StepCall;
use crate::clock::{Clock, Entropy, UnixMillis};
use crate::id::{RunId, mint_uuid};
use crate::name::{NameError, Tenant};

/// A message on the bus.
///
/// # Examples
/// ```
/// use runtime_traits::bus::Event;
/// use serde_json::json;
///
/// let event = Event::new("search_request", &json!({ "query": "latest AI research" }))?;
/// assert_eq!(event.json::<serde_json::Value>()?["query"], "latest AI research");
/// # Ok::<(), runtime_traits::bus::BusError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Tells it from all others. [`EventId::UNSET`] until the bus or the publisher sets it.
    pub id: EventId,
    /// What it is about. CloudEvents call it the type.
    pub topic: Topic,
    /// Whose it is: it reaches this tenant's readers only.
    pub tenant: Tenant,
    /// Who publishes it: 1 to 256 visible ASCII characters. Order is kept among the events of one source.
    pub source: Arc<str>,
    /// The run that it comes from.
    pub run: Option<RunId>,
    /// The event that made somebody publish it.
    pub causation: Option<EventId>,
    /// The first event of the chain that it belongs to.
    pub correlation: Option<EventId>,
    /// When it happened. Zero until the bus or the publisher sets it.
    pub time: UnixMillis,
    /// How many events stand between it and one that nobody caused.
    pub hops: u8,
    /// Where an answer is expected.
    pub reply_to: Option<Topic>,
    /// What `data` is, as a media type.
    pub content_type: Arc<str>,
    /// What is said beside the data.
    pub headers: Headers,
    /// What it says.
    pub data: Bytes,
}

/// The id of an event. Whoever publishes one event twice gives it one id, so that it is kept once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl Event {
    /// The media type of JSON.
    pub const JSON: &str = "application/json";

    /// An event about `topic` that says `data` in JSON. Tenant and source are `default` until they are set.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad topic, [`BusError::Malformed`] when `data` has no JSON.
    pub fn new<D: Serialize + ?Sized>(
        topic: impl TryInto<Topic, Error: Into<BusError>>,
        data: &D,
    ) -> Result<Self, BusError> {
        let json = serde_json::to_vec(data);
        let data = json.map_err(|error| BusError::malformed(format!("its data has no JSON: {error}")))?;
        Self::of_bytes(topic, Self::JSON, data)
    }

    /// An event about `topic` that says `data`, which the bus does not look into.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad topic.
    pub fn of_bytes(
        topic: impl TryInto<Topic, Error: Into<BusError>>,
        content_type: &str,
        data: impl Into<Bytes>,
    ) -> Result<Self, BusError> {
        Ok(Self {
            id: EventId::UNSET,
            topic: topic.try_into().map_err(Into::into)?,
            tenant: Tenant::default(),
            source: "default".into(),
            run: None,
            causation: None,
            correlation: None,
            time: UnixMillis(0),
            hops: 0,
            reply_to: None,
            content_type: content_type.into(),
            headers: Headers::default(),
            data: data.into(),
        })
    }

    /// Reads the data as JSON.
    ///
    /// # Errors
    /// [`BusError::Malformed`] when it is no JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BusError> {
        let read = serde_json::from_slice(&self.data);
        read.map_err(|error| {
            BusError::malformed(format!("the data of event {} cannot be read: {error}", self.id))
        })
    }

    /// Says that `cause` made somebody publish it: it joins that one's chain, one hop further, in its tenant.
    #[must_use]
    pub fn caused_by(mut self, cause: &Self) -> Self {
        self.causation = Some(cause.id);
        self.correlation = cause.correlation.or(Some(cause.id));
        self.hops = cause.hops.saturating_add(1);
        self.run = self.run.or(cause.run);
        self.tenant = cause.tenant.clone();
        if let Some(trace) = cause.headers.get("traceparent")
            && self.headers.get("traceparent").is_none()
        {
            // The cause's was checked; where there is no room for it the trace ends.
            let _ = self.headers.set("traceparent", trace);
        }
        self
    }

    /// Gives it the id of the `nth` event of a step. A step that is done once more after a crash then publishes it under the same
    /// id, and a durable topic keeps it once.
    #[must_use]
    pub fn once_in(mut self, call: &StepCall, nth: u32) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(call.idempotency_key().as_bytes()).update(&nth.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        self.id = EventId::from_bytes(id);
        self
    }

    /// Sets who publishes it.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        self.source = source.into();
        self
    }

    /// How many bytes it is: its data, its headers, and its names.
    pub fn size(&self) -> usize {
        self.data.len()
            + self.headers.size()
            + self.topic.as_str().len()
            + self.source.len()
            + self.content_type.len()
            + self.reply_to.as_ref().map_or(0, |topic| topic.as_str().len())
    }

    /// Whether its data is JSON, by its content type.
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim();
        essence == Self::JSON || essence.ends_with("+json")
    }
}

impl EventId {
    /// The id of an event that has none yet.
    pub const UNSET: Self = Self(Uuid::nil());

    /// Draws a new id; ids that are drawn later are greater, to the millisecond.
    pub fn mint(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        Self(mint_uuid(clock, entropy))
    }

    /// An id that the caller makes sure is given once, say a hash of where the event comes from.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id as bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = NameError;

    fn from_str(given: &str) -> Result<Self, NameError> {
        Uuid::try_parse(given)
            .map(Self)
            .map_err(|_| NameError::new("event", given, "a UUID, as 32 hexadecimal digits"))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
