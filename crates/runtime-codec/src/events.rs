//! What the bus keeps: events in the logs of durable topics, and how far a durable subscription has come.

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime_traits::bus::{Event, EventId, Headers, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::name::Tenant;
use serde::{Deserialize, Serialize};

use crate::error::CodecError;
use crate::record::{Record, decode, encode};
use crate::records::record;

/// An entry of `t/<tenant>/topic/<topic>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When it was appended.
    pub at: UnixMillis,
    /// Its id.
    pub id: [u8; 16],
    /// What it is about.
    pub topic: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Who published it.
    pub source: String,
    /// The run that it comes from.
    pub run: Option<RunId>,
    /// What caused it.
    pub causation: Option<[u8; 16]>,
    /// The first of its chain.
    pub correlation: Option<[u8; 16]>,
    /// When it happened.
    pub time: UnixMillis,
    /// How far it is from the first of its chain.
    pub hops: u8,
    /// Where an answer is expected.
    pub reply_to: Option<String>,
    /// What its data is.
    pub content_type: String,
    /// What is said beside the data.
    pub headers: BTreeMap<String, String>,
    /// What it says.
    pub data: Bytes,
}
record!(EventRecord, 160, "event");

/// An entry of `announced`: what a batch's cause is told as, in its order. An event has no id yet: it follows from its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedRecord {
    /// The events.
    pub events: Vec<EventRecord>,
}
record!(AnnouncedRecord, 162, "announcement");

/// `t/<tenant>/sub/<name>/<topic>`: how far a durable subscription has come, and how it is set. In the place of a topic may
/// stand a pattern: then it says that there is a subscription to it, whose cursors are with its topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRecord {
    /// Who wrote it: drawn by each process that takes the subscription.
    pub writer: [u8; 16],
    /// Whether several may share the work.
    pub group: bool,
    /// How often an event is tried.
    pub attempts: u32,
    /// The first pause, in milliseconds.
    pub first_pause: u64,
    /// The longest pause, in milliseconds.
    pub longest_pause: u64,
    /// The last place up to which all is done.
    pub done: u64,
    /// What is done beyond it: first and last place of each range.
    pub ahead: Vec<(u64, u64)>,
    /// How often what is not done has failed.
    pub failed: Vec<(u64, u32)>,
}
record!(CursorRecord, 161, "durable subscription");

/// Writes an event that is appended `at`.
pub fn encode_event(at: UnixMillis, event: &Event) -> Bytes {
    encode(&written(at, event))
}

/// Writes events that are to be published once their batch is in the store.
pub fn encode_announced(at: UnixMillis, events: &[Event]) -> Bytes {
    encode(&AnnouncedRecord { events: events.iter().map(|event| written(at, event)).collect() })
}

/// Reads such events.
///
/// # Errors
/// [`CodecError`], which says what is wrong with the bytes.
pub fn decode_announced(bytes: &[u8]) -> Result<Vec<Event>, CodecError> {
    let AnnouncedRecord { events } = decode(bytes)?;
    events.into_iter().map(|record| read(record).map(|(_, event)| event)).collect()
}

fn written(at: UnixMillis, event: &Event) -> EventRecord {
    EventRecord {
        at,
        id: event.id.to_bytes(),
        topic: event.topic.to_string(),
        tenant: event.tenant.clone(),
        source: event.source.to_string(),
        run: event.run,
        causation: event.causation.map(EventId::to_bytes),
        correlation: event.correlation.map(EventId::to_bytes),
        time: event.time,
        hops: event.hops,
        reply_to: event.reply_to.as_ref().map(Topic::to_string),
        content_type: event.content_type.to_string(),
        headers: event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        data: event.data.clone(),
    }
}

/// Reads an event, and when it was appended.
///
/// # Errors
/// [`CodecError`], which says what is wrong with the bytes.
pub fn decode_event(bytes: &[u8]) -> Result<(UnixMillis, Event), CodecError> {
    read(decode(bytes)?)
}

fn read(record: EventRecord) -> Result<(UnixMillis, Event), CodecError> {
    fn body(error: impl ToString) -> CodecError {
        CodecError::Body { what: EventRecord::WHAT, cause: error.to_string() }
    }
    let event = Event {
        id: EventId::from_bytes(record.id),
        topic: record.topic.parse().map_err(body)?,
        tenant: record.tenant,
        source: record.source.into(),
        run: record.run,
        causation: record.causation.map(EventId::from_bytes),
        correlation: record.correlation.map(EventId::from_bytes),
        time: record.time,
        hops: record.hops,
        reply_to: record.reply_to.map(|topic| topic.parse()).transpose().map_err(body)?,
        content_type: record.content_type.into(),
        headers: Headers::try_from(record.headers).map_err(body)?,
        data: record.data,
    };
    Ok((record.at, event))
}
