//! What of a run's log goes into a copy of the run.

use std::collections::{HashMap, HashSet};

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{
    Accepted, AttemptEnded, AttemptEnding, Entry, EntryKind, Price, Started, StepDispatched, StepFailureKind,
    StepKey, StepSettled, StepUnknown, UnknownCause, Usage, Verdict, WaitClosed, WaitId, WaitOpened,
};
use runtime_traits::store::Seq;

/// The attempt that all copied entries are stamped with, the acceptance as well: that of any other run has 0.
const COPIED: u32 = 1;

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
/// one goes on. Each entry keeps its time, for requests may have been made from it. The numbers of messages are moved by
/// `shift`, those of waits follow their entries. What the steps used is the original's, and not counted again.
pub fn copied(kept: &[Entry], begin: Accepted, shift: i64, now: UnixMillis, epoch: u64) -> Vec<Entry> {
    let goes_on = kept.len() > 1;
    let begun = kept.first().filter(|_| goes_on).map_or(now, |entry| entry.at);
    let mut entries: Vec<Entry> = Vec::with_capacity(kept.len() + 1);
    let mut append = |at: UnixMillis, kind: EntryKind| {
        let seq = Seq(entries.len() as u64 + 1);
        entries.push(Entry { seq, at, attempt: if goes_on { COPIED } else { 0 }, epoch, kind });
    };
    append(begun, EntryKind::Accepted(Box::new(begin)));
    let mut waits: HashMap<WaitId, WaitId> = HashMap::new();
    let moved = |seq: Seq| Seq(seq.0.saturating_add_signed(shift));
    for (entry, seq) in kept.iter().skip(1).zip(2..) {
        let kind = match entry.kind.clone() {
            EntryKind::StepSettled(settled) => {
                let messages = settled.messages.map(|(first, end)| (moved(first), moved(end)));
                let (usage, price) = (Usage::default(), Price::default());
                EntryKind::StepSettled(StepSettled { messages, usage, price, ..settled })
            }
            EntryKind::StepDispatched(again) => {
                let (broke_off, broke_off_price) = (Usage::default(), Price::default());
                EntryKind::StepDispatched(StepDispatched { broke_off, broke_off_price, ..again })
            }
            EntryKind::StepUnknown(unknown) => {
                EntryKind::StepUnknown(StepUnknown { usage: Usage::default(), price: None, ..unknown })
            }
            EntryKind::WaitOpened(opened) => {
                let wait = WaitId(seq);
                waits.insert(opened.wait, wait);
                EntryKind::WaitOpened(WaitOpened { wait, ..opened })
            }
            EntryKind::WaitClosed(closed) => {
                let wait = waits.get(&closed.wait).copied().unwrap_or(closed.wait);
                EntryKind::WaitClosed(WaitClosed { wait, ..closed })
            }
            // What counted against the original does not count against its copy.
            EntryKind::Started(started) => EntryKind::Started(Started { suspects: 0, ..started }),
            EntryKind::AttemptEnded(ended) => {
                EntryKind::AttemptEnded(AttemptEnded { counted: false, ..ended })
            }
            other => other,
        };
        append(entry.at, kind);
    }
    if goes_on {
        append(now, EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Drained, counted: false }));
    }
    entries
}

/// From when on a run may take its time: its acceptance, that of the first of those from which it goes on, or the moment of
/// the copy.
pub fn began(log: &[Entry]) -> Option<UnixMillis> {
    let first = log.first()?;
    let EntryKind::Accepted(accepted) = &first.kind else { return None };
    Some(accepted.chain.map_or_else(|| copied_part(log).last().unwrap_or(first).at, |chain| chain.began))
}

/// The entries of a log that are copied: what they tell happened to the run that it is a copy of.
pub fn copied_part(log: &[Entry]) -> &[Entry] {
    let is_copy = log.first().is_some_and(|first| first.attempt == COPIED);
    let end = log.iter().position(|entry| entry.attempt != COPIED).unwrap_or(log.len());
    if is_copy { &log[..end] } else { &[] }
}

/// How many steps of a log are copied: the run that it is a copy of had them.
pub fn copied_steps(log: &[Entry]) -> usize {
    let keys = copied_part(log).iter().filter_map(|entry| match &entry.kind {
        EntryKind::StepOpened(opened) => Some(&opened.key),
        EntryKind::StepSettled(settled) => Some(&settled.key),
        _ => None,
    });
    keys.collect::<HashSet<_>>().len()
}

/// How many steps of a log count for no limit, besides those that are copied: a breaker held their calls off, and nobody was asked.
pub fn held_off_steps(log: &[Entry]) -> usize {
    let own = log.iter().skip_while(|entry| entry.attempt == COPIED && log[0].attempt == COPIED);
    let held_off = |entry: &&Entry| {
        let EntryKind::StepSettled(StepSettled { result: Err(failure), usage, .. }) = &entry.kind else {
            return false;
        };
        matches!(failure.kind, StepFailureKind::Away { held_off: Some(_) }) && *usage == Usage::default()
    };
    own.filter(held_off).count()
}

/// The run whose id fixes what a run draws by chance: its own. A copy that goes on from copied entries draws what the
/// original drew, for requests among them may have been made from it: `copied_from` of such a copy names the first
/// original, also when it is a copy of a copy, so that no log but its own is needed. A copy that begins anew draws for
/// itself.
pub fn drawn_by(run: RunId, log: &[Entry]) -> RunId {
    match log.first() {
        Some(Entry { attempt: COPIED, kind: EntryKind::Accepted(accepted), .. }) => {
            accepted.copied_from.unwrap_or(run)
        }
        _ => run,
    }
}
