//! What single entries and whole logs say, for the machine and for whoever reads without one.

use std::collections::HashSet;

use runtime_traits::content::{Digest, Payload};
use runtime_traits::log::{
    DecidedBy, Ended, Entry, EntryKind, FailureKind, Outcome, RunFailure, StepDecided, StepUnknown,
    UnknownCause, Verdict, WaitClosed, WaitOn, WaitOpened,
};

/// The most bytes of a failure or a reason in words.
const MAX_MESSAGE: usize = 4 * 1024;

/// What somebody said, cut to a length that the log takes.
pub fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

pub(super) fn payload_digest(payload: &Payload) -> Digest {
    match payload {
        Payload::Inline(content) => content.digest(),
        Payload::Blob { hash, .. } => *hash,
    }
}

/// Whether an entry has to be committed before anything goes on. The others cause nothing outside.
pub(super) fn is_urgent(kind: &EntryKind) -> bool {
    !matches!(
        kind,
        EntryKind::StateSet(_)
            | EntryKind::WaitClosed(WaitClosed { by: DecidedBy::Policy, .. })
            | EntryKind::WaitOpened(WaitOpened { on: WaitOn::Time(_), .. })
            | EntryKind::StepUnknown(StepUnknown { cause: UnknownCause::Dropped, .. })
    )
}

/// The outcome of a run whose deadline has passed: its own, or otherwise that of its agent's limits.
pub fn too_late(own: bool) -> Outcome {
    let message = if own {
        "the run was not over by its deadline"
    } else {
        "the run took longer than `max_run_seconds` lets it; raise that with `agent-runtime agents limit`, or let the agent do with less time"
    };
    Outcome::Failed(RunFailure { kind: FailureKind::Deadline, message: message.to_owned() })
}

/// The session's state as a log leaves it, if it sets it.
pub fn state_left(log: &[Entry]) -> Option<Payload> {
    log.iter().rev().find_map(|entry| match &entry.kind {
        EntryKind::StateSet(set) => Some(set.value.clone()),
        _ => None,
    })
}

/// The hashes of the contents that a log's payloads refer to and that are kept beside it.
pub fn blobs_of(log: &[Entry]) -> HashSet<Digest> {
    log.iter().filter_map(|entry| payload_of(&entry.kind)).filter_map(blob_of).collect()
}

/// The payload of an entry that a reader wants: input, result, state, output, answer.
pub fn payload_of(kind: &EntryKind) -> Option<&Payload> {
    match kind {
        EntryKind::Accepted(accepted) => Some(&accepted.input),
        EntryKind::StepSettled(settled) => settled.result.as_ref().ok(),
        EntryKind::StepDecided(StepDecided { verdict: Verdict::Assume(value), .. }) => Some(value),
        EntryKind::StateSet(set) => Some(&set.value),
        EntryKind::Ended(Ended { outcome: Outcome::Completed(output), .. }) => Some(output),
        _ => None,
    }
}

/// The contents beside the log that an entry names. `None`: a newer version wrote it, and nobody here can tell.
pub fn names_of(kind: &EntryKind) -> Option<Option<Digest>> {
    let payload = match kind {
        EntryKind::Accepted(accepted) => Some(&accepted.input),
        EntryKind::StepOpened(opened) => Some(&opened.request),
        EntryKind::StepSettled(settled) => settled.result.as_ref().ok(),
        EntryKind::StepDecided(StepDecided { verdict: Verdict::Assume(value), .. }) => Some(value),
        EntryKind::StateSet(set) => Some(&set.value),
        EntryKind::WaitClosed(closed) => Some(&closed.answer),
        EntryKind::Ended(Ended { outcome: Outcome::Completed(output), .. }) => Some(output),
        EntryKind::Unrecognised { .. } => return None,
        EntryKind::Started(_)
        | EntryKind::StepDispatched(_)
        | EntryKind::StepUnknown(_)
        | EntryKind::StepDecided(_)
        | EntryKind::WaitOpened(_)
        | EntryKind::AttemptEnded(_)
        | EntryKind::CancelRequested(_)
        | EntryKind::Cleared
        | EntryKind::Ended(_) => None,
    };
    Some(payload.and_then(blob_of))
}

/// The content beside that a payload names.
pub fn blob_of(payload: &Payload) -> Option<Digest> {
    if let Payload::Blob { hash, .. } = payload { Some(*hash) } else { None }
}
