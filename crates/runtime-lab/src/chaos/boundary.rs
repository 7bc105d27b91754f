//! The sorts of commits in the life of a run: at each of them a process can die.

use std::fmt;
use std::str::FromStr;

use runtime_codec::decode_entry;
use runtime_traits::content::Payload;
use runtime_traits::log::{AttemptEnding, EntryKind, WaitOn};
use runtime_traits::store::{Batch, Seq, Then};
use thiserror::Error;

/// A sort of commit, by what is in its batch. A batch may be of several sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Boundary {
    /// A process takes a partition.
    Own,
    /// An agent is declared.
    Declared,
    /// An agent gets its name.
    Named,
    /// An agent is started.
    Wanted,
    /// Content that is too large for the log is written.
    Blob,
    /// A run is accepted.
    Accepted,
    /// An attempt begins.
    Started,
    /// A step is dispatched for the first time.
    Opened,
    /// A step is dispatched again.
    Dispatched,
    /// A step has its result.
    Settled,
    /// It is recorded that nobody knows how a step ended.
    Unknown,
    /// A step waits for a verdict.
    Asked,
    /// A step has its verdict.
    Decided,
    /// Somebody wants the run to end.
    Cancelled,
    /// A run is taken over from a process that died.
    Lost,
    /// A run that waits gives its memory back.
    Parked,
    /// A run is over.
    Ended,
    /// A run is over, and the session's next begins in the same batch.
    Handed,
    /// A snapshot is written.
    Saved,
    /// A step waits for consent, for an answer, or for another run.
    Waits,
    /// Somebody has consented to a step, or not, or has answered it.
    Answered,
    /// The run that a step waits for is over.
    Over,
    /// Something leaves for another partition.
    Posted,
    /// Something comes from another partition.
    Received,
    /// What left a partition is let go, or what came into it.
    Moved,
    /// A model or a tool says something.
    Said,
    /// An event is appended to its topic.
    Told,
    /// It is recorded that events are in their topics.
    Delivered,
}

/// A word that names no boundary.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no boundary `{0}`")]
pub(super) struct UnknownBoundary(String);

impl Boundary {
    /// All of them, in the order in which they first come.
    pub(super) const ALL: [Self; 28] = [
        Self::Own,
        Self::Declared,
        Self::Named,
        Self::Wanted,
        Self::Blob,
        Self::Accepted,
        Self::Started,
        Self::Opened,
        Self::Dispatched,
        Self::Settled,
        Self::Unknown,
        Self::Asked,
        Self::Decided,
        Self::Cancelled,
        Self::Lost,
        Self::Parked,
        Self::Ended,
        Self::Handed,
        Self::Saved,
        Self::Waits,
        Self::Answered,
        Self::Over,
        Self::Posted,
        Self::Received,
        Self::Moved,
        Self::Said,
        Self::Told,
        Self::Delivered,
    ];

    /// Whether it comes only while the agents of a fresh store are registered.
    pub(super) fn is_of_registration(self) -> bool {
        matches!(self, Self::Declared | Self::Named | Self::Wanted)
    }

    /// What a batch is.
    pub(super) fn of(batch: &Batch) -> Vec<Self> {
        let mut found = Vec::new();
        for then in &batch.then {
            match then {
                Then::Put(key, _) => found.extend(of_cell(key.path.as_bytes())),
                Then::Append(log, entries) if log.path.as_bytes().starts_with(b"run/") => {
                    for entry in entries {
                        found.extend(decode_entry(Seq::FIRST, entry).ok().and_then(|e| of_entry(&e.kind)));
                    }
                }
                Then::Append(log, _) => found.extend(of_log(log.path.as_bytes())),
                Then::Add(..) | Then::Delete(_) | Then::Trim(..) | Then::Drop(_) => {}
            }
        }
        // In a takeover an attempt begins in the log that the last one has left; in a hand-over in another one.
        // Every end writes messages; what is said before it is another matter.
        if found.contains(&Self::Ended) {
            found.retain(|sort| *sort != Self::Said);
        }
        if found.contains(&Self::Ended) && found.contains(&Self::Started) {
            found.push(Self::Handed);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn of_cell(path: &[u8]) -> Option<Boundary> {
    let path = std::str::from_utf8(path).ok()?;
    match path {
        "own" => return Some(Boundary::Own),
        "c/outbox" | "c/inbox" => return Some(Boundary::Moved),
        "c/announced" => return Some(Boundary::Delivered),
        _ => {}
    }
    // `t/<tenant>/<sort>/…`
    match path.split('/').nth(2)? {
        "name" => Some(Boundary::Named),
        "blob" => Some(Boundary::Blob),
        "snap" => Some(Boundary::Saved),
        "a" if path.ends_with("/spec") => Some(Boundary::Declared),
        "a" if path.ends_with("/want") => Some(Boundary::Wanted),
        _ => None,
    }
}

fn of_log(path: &[u8]) -> Option<Boundary> {
    match path {
        b"outbox" => Some(Boundary::Posted),
        b"inbox" => Some(Boundary::Received),
        // `t/<tenant>/<sort>/…`
        _ => match path.split(|byte| *byte == b'/').nth(2) {
            Some(b"msg") => Some(Boundary::Said),
            Some(b"topic") => Some(Boundary::Told),
            _ => None,
        },
    }
}

fn of_entry(kind: &EntryKind) -> Option<Boundary> {
    Some(match kind {
        EntryKind::Accepted(_) => Boundary::Accepted,
        EntryKind::Started(_) => Boundary::Started,
        EntryKind::StepOpened(_) => Boundary::Opened,
        EntryKind::StepDispatched(_) => Boundary::Dispatched,
        EntryKind::StepSettled(_) => Boundary::Settled,
        EntryKind::StepUnknown(_) => Boundary::Unknown,
        EntryKind::StepDecided(_) => Boundary::Decided,
        EntryKind::CancelRequested(_) => Boundary::Cancelled,
        EntryKind::WaitOpened(opened) if matches!(opened.on, WaitOn::Decision(_)) => Boundary::Asked,
        EntryKind::WaitOpened(opened) => match opened.on {
            WaitOn::Approval(_) | WaitOn::Answer(_) | WaitOn::Child { .. } => Boundary::Waits,
            _ => return None,
        },
        EntryKind::WaitClosed(closed) => match closed.answer {
            Payload::Inline(ref answer) => of_answer(&answer.bytes)?,
            Payload::Blob { .. } => return None,
        },
        EntryKind::AttemptEnded(ended) if ended.how == AttemptEnding::Lost => Boundary::Lost,
        EntryKind::AttemptEnded(_) => Boundary::Parked,
        EntryKind::Ended(_) => Boundary::Ended,
        EntryKind::StateSet(_) | EntryKind::Cleared | EntryKind::Unrecognised { .. } => return None,
    })
}

fn of_answer(answer: &[u8]) -> Option<Boundary> {
    match answer {
        b"approved" | b"denied" | b"answered" => Some(Boundary::Answered),
        b"over" => Some(Boundary::Over),
        _ => None,
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl FromStr for Boundary {
    type Err = UnknownBoundary;

    fn from_str(s: &str) -> Result<Self, UnknownBoundary> {
        let found = Self::ALL.into_iter().find(|boundary| boundary.to_string() == s);
        found.ok_or_else(|| UnknownBoundary(s.to_owned()))
    }
}
