//! Entries of run logs.

use bytes::Bytes;
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{Entry, EntryKind};
use runtime_traits::store::Seq;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CodecError;
use crate::old::{
    AcceptedV2, EndedV1, StepDispatchedV1, StepOpenedV1, StepSettledV1, StepUnknownV1, StepUnknownV2,
    WaitOpenedV1,
};
use crate::record::{HEAD, MUST_UNDERSTAND, decode_body, encode_as, head};

const WHAT: &str = "run log entry";

/// The version in which entries with this tag are written.
const fn version(tag: u16) -> u16 {
    match tag {
        SETTLED => 4,
        ACCEPTED | UNKNOWN | ENDED => 3,
        OPENED | DISPATCHED | WAITS => 2,
        _ => 1,
    }
}

/// Version 2: more policies for a busy session. Version 3: the runs before it.
const ACCEPTED: u16 = 1;
/// Version 2: a reservation in tokens.
const OPENED: u16 = 3;
/// Version 2: what a try of unknown end is booked with. Version 3: what the tries cost.
const UNKNOWN: u16 = 6;
/// Version 2: a reservation of its own, and what the call before used that broke off.
const DISPATCHED: u16 = 4;
/// Version 2: why a run is in quarantine.
const WAITS: u16 = 9;
/// Version 2: tokens may be estimated. Version 3: a limit may be why a step or a run failed. Version 4: it may be why a step failed
/// that whoever had to do it is away.
const SETTLED: u16 = 5;
const ENDED: u16 = 13;

/// Writes an entry; its number is its place in the log.
pub fn encode_entry(entry: &Entry) -> Bytes {
    fn with<T: Serialize>(tag: u16, entry: &Entry, body: &T) -> Bytes {
        encode_as(tag, version(tag), MUST_UNDERSTAND, &(entry.at, entry.attempt, entry.epoch, body))
    }
    match &entry.kind {
        EntryKind::Accepted(body) => with(ACCEPTED, entry, body.as_ref()),
        EntryKind::Started(body) => with(2, entry, body),
        EntryKind::StepOpened(body) => with(OPENED, entry, body),
        EntryKind::StepDispatched(body) => with(DISPATCHED, entry, body),
        EntryKind::StepSettled(body) => with(SETTLED, entry, body),
        EntryKind::StepUnknown(body) => with(UNKNOWN, entry, body),
        EntryKind::StepDecided(body) => with(7, entry, body),
        EntryKind::StateSet(body) => with(8, entry, body),
        EntryKind::WaitOpened(body) => with(WAITS, entry, body),
        EntryKind::WaitClosed(body) => with(10, entry, body),
        EntryKind::AttemptEnded(body) => with(11, entry, body),
        EntryKind::CancelRequested(body) => with(12, entry, body),
        EntryKind::Ended(body) => with(ENDED, entry, body),
        EntryKind::Cleared => with(14, entry, &()),
        EntryKind::Unrecognised { tag } => {
            encode_as(*tag, version(*tag), 0, &(entry.at, entry.attempt, entry.epoch))
        }
    }
}

/// Reads the entry at `seq`.
///
/// # Errors
/// [`CodecError`], which says what is wrong with the bytes. An entry of an unknown kind is an error only if its writer
/// said that it must be understood.
pub fn decode_entry(seq: Seq, bytes: &[u8]) -> Result<Entry, CodecError> {
    fn with<T: DeserializeOwned>(
        seq: Seq,
        body: &[u8],
        kind: fn(T) -> EntryKind,
    ) -> Result<Entry, CodecError> {
        let (at, attempt, epoch, value): (UnixMillis, u32, u64, T) = decode_body(WHAT, body)?;
        Ok(Entry { seq, at, attempt, epoch, kind: kind(value) })
    }
    let head = head(WHAT, bytes)?;
    let body = &bytes[HEAD..];
    let known = (1..=14).contains(&head.tag) && head.is_known(version(head.tag));
    if !known {
        if head.flags & MUST_UNDERSTAND != 0 {
            return Err(CodecError::Newer { what: WHAT, version: head.version });
        }
        let kind = EntryKind::Unrecognised { tag: head.tag };
        return Ok(Entry { seq, at: UnixMillis::default(), attempt: 0, epoch: 0, kind });
    }
    match (head.tag, head.version) {
        (OPENED, 1) => with(seq, body, |old: StepOpenedV1| EntryKind::StepOpened(old.into())),
        (DISPATCHED, 1) => with(seq, body, |old: StepDispatchedV1| EntryKind::StepDispatched(old.into())),
        (UNKNOWN, 1) => with(seq, body, |old: StepUnknownV1| EntryKind::StepUnknown(old.into())),
        (UNKNOWN, 2) => with(seq, body, |old: StepUnknownV2| EntryKind::StepUnknown(old.into())),
        (SETTLED, 1) => with(seq, body, |old: StepSettledV1| EntryKind::StepSettled(old.into())),
        (ENDED, 1) => with(seq, body, |old: EndedV1| EntryKind::Ended(old.into())),
        (WAITS, 1) => with(seq, body, |old: WaitOpenedV1| EntryKind::WaitOpened(old.into())),
        (ACCEPTED, 1 | 2) => with(seq, body, |old: AcceptedV2| EntryKind::Accepted(Box::new(old.into()))),
        (ACCEPTED, _) => with(seq, body, |body| EntryKind::Accepted(Box::new(body))),
        (2, _) => with(seq, body, EntryKind::Started),
        (OPENED, _) => with(seq, body, EntryKind::StepOpened),
        (DISPATCHED, _) => with(seq, body, EntryKind::StepDispatched),
        (SETTLED, _) => with(seq, body, EntryKind::StepSettled),
        (UNKNOWN, _) => with(seq, body, EntryKind::StepUnknown),
        (7, _) => with(seq, body, EntryKind::StepDecided),
        (8, _) => with(seq, body, EntryKind::StateSet),
        (WAITS, _) => with(seq, body, EntryKind::WaitOpened),
        (10, _) => with(seq, body, EntryKind::WaitClosed),
        (11, _) => with(seq, body, EntryKind::AttemptEnded),
        (12, _) => with(seq, body, EntryKind::CancelRequested),
        (14, _) => with(seq, body, |()| EntryKind::Cleared),
        _ => with(seq, body, EntryKind::Ended),
    }
}
