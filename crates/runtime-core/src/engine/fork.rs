//! What of a run's log goes into a copy of the run.

use std::collections::{HashMap, HashSet};

use runtime_traits::log::{
    Accepted, AttemptEnded, AttemptEnding, Entry, EntryKind, StepKey, StepSettled, UnknownCause, Verdict,
    WaitClosed, WaitId, WaitOpened,
};
use runtime_traits::store::Seq;

/// The last entry up to `upto` at which no step is open and nothing is waited for: the copy goes on from there. Nothing is
/// copied from the wish to end the run on: what was given up for it has no result that an agent could be told.
pub fn cut(log: &[Entry], upto: Seq) -> Seq {
    let mut open: HashSet<&StepKey> = HashSet::new();
    let mut waits: HashSet<WaitId> = HashSet::new();
    let mut cut = Seq::FIRST;
    for entry in log.iter().take_while(|entry| entry.seq <= upto) {
        match &entry.kind {
            EntryKind::StepOpened(opened) => {
                open.insert(&opened.key);
            }
            EntryKind::StepSettled(settled) => {
                open.remove(&settled.key);
            }
            EntryKind::StepUnknown(unknown)
                if matches!(unknown.cause, UnknownCause::Dropped | UnknownCause::TimedOut) =>
            {
                open.remove(&unknown.key);
            }
            EntryKind::StepDecided(decided) if decided.verdict != Verdict::Repeat => {
                open.remove(&decided.key);
            }
            EntryKind::WaitOpened(opened) => {
                waits.insert(opened.wait);
            }
            EntryKind::WaitClosed(closed) => {
                waits.remove(&closed.wait);
            }
            EntryKind::CancelRequested(_) | EntryKind::Ended(_) => break,
            _ => {}
        }
        if open.is_empty() && waits.is_empty() {
            cut = entry.seq;
        }
    }
    cut
}

/// The log of a copy: `begin`, then what `kept` says of steps, waits and state, then the end of an attempt, so that the next
/// one goes on. The numbers of messages are moved by `shift`, those of waits follow their entries.
pub fn copied(kept: &[Entry], begin: Accepted, shift: i64) -> Vec<EntryKind> {
    let mut entries = vec![EntryKind::Accepted(Box::new(begin))];
    let mut waits: HashMap<WaitId, WaitId> = HashMap::new();
    let moved = |seq: Seq| Seq(seq.0.saturating_add_signed(shift));
    for entry in kept.iter().skip(1) {
        let kind = match entry.kind.clone() {
            EntryKind::CancelRequested(_) | EntryKind::Ended(_) => continue,
            EntryKind::StepSettled(settled) => {
                let messages = settled.messages.map(|(first, end)| (moved(first), moved(end)));
                EntryKind::StepSettled(StepSettled { messages, ..settled })
            }
            EntryKind::WaitOpened(opened) => {
                let wait = WaitId(entries.len() as u64 + 1);
                waits.insert(opened.wait, wait);
                EntryKind::WaitOpened(WaitOpened { wait, ..opened })
            }
            EntryKind::WaitClosed(closed) => {
                let wait = waits.get(&closed.wait).copied().unwrap_or(closed.wait);
                EntryKind::WaitClosed(WaitClosed { wait, ..closed })
            }
            other => other,
        };
        entries.push(kind);
    }
    if entries.len() > 1 {
        entries.push(EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Drained, counted: false }));
    }
    entries
}
