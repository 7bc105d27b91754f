//! Which of the runs in flight killed their process: all that is known of it stands in their logs.

use std::collections::HashSet;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{
    AttemptEnding, DecidedBy, Entry, EntryKind, WaitClosed, WaitId, WaitOn, WaitOpened,
};

use super::claim::{Claim, Next, deadline};
use super::machine::shortened;

/// Deaths that count against a run, without a newly settled step since, with which it goes into quarantine.
pub const MOST_COUNTED: u32 = 3;

/// What the log of a run says of it as a suspect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its last attempt has no end.
    pub in_flight: bool,
    /// Its process died in its last attempt, and it has not been started since.
    pub lost: bool,
    /// How many suspects were started together with its last attempt, it among them; 0: it was none.
    pub tried_with: u32,
    /// Its last attempt showed that it was not the one: a step settled, a wait, or long enough a life.
    pub cleared: bool,
    /// Deaths that count against it: since its last newly settled step, or since a person let it out of quarantine.
    pub counted: u32,
    /// When its last attempt began.
    pub started_at: UnixMillis,
}

/// A run to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The run.
    pub run: RunId,
    /// How many started together when it was last tried in a process that then died, it among them; 0: it was not tried, or it was
    /// cleared before the process died.
    pub tried_with: u32,
}

/// What the death of a process says of the runs that were open in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The run against which the death counts.
    pub counted: Option<RunId>,
    /// The runs that go into quarantine.
    pub convicted: Vec<RunId>,
    /// The runs that lived long enough and could not write that down, because they blocked their threads.
    pub cleared: Vec<RunId>,
    /// The others that were in flight, or have been suspects since an earlier death.
    pub suspects: Vec<Suspect>,
}

impl Trace {
    /// Folds a log.
    pub fn of(log: &[Entry]) -> Self {
        let mut trace = Self::default();
        let mut quarantines: Vec<WaitId> = Vec::new();
        for entry in log {
            match &entry.kind {
                EntryKind::Started(started) => {
                    let (tried_with, counted) = (started.suspects, trace.counted);
                    trace = Self {
                        in_flight: true,
                        tried_with,
                        counted,
                        started_at: entry.at,
                        ..Self::default()
                    };
                }
                EntryKind::StepSettled(_) => {
                    trace.counted = 0;
                    trace.cleared |= trace.in_flight;
                }
                EntryKind::Cleared => trace.cleared |= trace.in_flight,
                EntryKind::AttemptEnded(ended) => {
                    trace.in_flight = false;
                    trace.lost = ended.how == AttemptEnding::Lost;
                    // A start that failed without killing the process says nothing of deaths.
                    trace.counted = trace.counted.saturating_add(u32::from(trace.lost && ended.counted));
                }
                EntryKind::WaitOpened(opened) => {
                    trace.cleared |= trace.in_flight;
                    if matches!(opened.on, WaitOn::Operator { .. }) {
                        trace.lost = false;
                        quarantines.push(opened.wait);
                    }
                }
                EntryKind::WaitClosed(closed) if quarantines.contains(&closed.wait) => {
                    trace = Self::default();
                }
                EntryKind::Ended(_) => trace = Self::default(),
                _ => {}
            }
        }
        trace
    }

    /// Whether it was at work as a suspect.
    fn is_tried(&self) -> bool {
        self.in_flight && self.tried_with > 0
    }

    /// What it was tried with when the process died, where `together` were tried then.
    fn tried(&self, together: u32) -> u32 {
        match (self.cleared, self.in_flight) {
            (true, _) => 0,
            (false, true) if self.tried_with > 0 => together,
            (false, _) => self.tried_with,
        }
    }
}

/// Whether an entry shows of a suspect that it was not the one: whatever it did so far, the process lived. A step that is only begun
/// shows nothing, for it may be the very thing that kills.
pub fn clears(kind: &EntryKind) -> bool {
    matches!(
        kind,
        EntryKind::StepSettled(_)
            | EntryKind::WaitOpened(_)
            | EntryKind::Cleared
            | EntryKind::AttemptEnded(_)
            | EntryKind::Ended(_)
    )
}

/// Takes in that a process died. `open` are the runs that were in flight, and those that have been suspects since an earlier death.
///
/// The death counts against a run that was started alone, if nothing else can have been the cause: no other suspect was in flight, cleared
/// or not, and no run began beside it, or within `clear_after` before it. When the one is found, all others are as good as untried: what
/// they were tried with is explained.
pub fn judge(open: &[(RunId, Trace)], most: u32, clear_after: Duration) -> Judged {
    let before = open;
    let open = outlived(before, clear_after);
    let cleared = before.iter().zip(&open).filter(|((_, then), (_, now))| now.cleared && !then.cleared);
    let cleared = cleared.map(|((run, _), _)| *run).collect();
    let on_trial = || open.iter().filter(|(_, trace)| trace.is_tried() && !trace.cleared);
    let together = u32::try_from(on_trial().count()).unwrap_or(u32::MAX);
    let alone = on_trial().next().filter(|(_, trace)| together == 1 && trace.tried_with == 1);
    let beside = |began: UnixMillis| {
        open.iter().any(|(_, other)| {
            // Who was cleared lives on, and may kill later. The other then comes out of this as tried alone, and is tried next.
            other.is_tried() && other.cleared
                || other.in_flight && other.tried_with == 0 && other.started_at.after(clear_after) > began
        })
    };
    let counted = alone.filter(|(_, trace)| !beside(trace.started_at)).map(|(run, _)| *run);
    let count = |run: &RunId, trace: &Trace| trace.counted.saturating_add(u32::from(counted == Some(*run)));
    let (convicted, others): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|(run, trace)| count(run, trace) >= most);
    let explained = !convicted.is_empty();
    let suspects = others
        .into_iter()
        .map(|(run, trace)| Suspect { run, tried_with: if explained { 0 } else { trace.tried(together) } });
    Judged {
        counted,
        cleared,
        convicted: convicted.iter().map(|(run, _)| *run).collect(),
        suspects: suspects.collect(),
    }
}

/// Clears those that lived long enough and could not say so, because they blocked their threads: another one was tried that much later.
fn outlived(open: &[(RunId, Trace)], clear_after: Duration) -> Vec<(RunId, Trace)> {
    let last = open.iter().filter(|(_, trace)| trace.is_tried()).map(|(_, trace)| trace.started_at).max();
    let clear = |(run, trace): &(RunId, Trace)| {
        let is_over = trace.is_tried() && last >= Some(trace.started_at.after(clear_after));
        (*run, Trace { cleared: trace.cleared || is_over, ..*trace })
    };
    open.iter().map(clear).collect()
}

/// The runs that start now, apart from all others; empty when no suspect is left. Their number is what their `Started` entries hold.
///
/// Suspects whom no trial has narrowed down start together. When such a group killed the process it is halved, the smaller half
/// first: if that lives, it was the other one, which is halved without being tried as a whole. Nothing else starts before those of
/// a trial have been cleared or have killed the process; whoever is cleared is left out of the next call.
pub fn next_trial(suspects: &[Suspect]) -> Vec<RunId> {
    let tried = suspects.iter().map(|suspect| suspect.tried_with).filter(|with| *with > 0);
    // The smallest group is the one that was narrowed down most.
    let Some(narrowest) = tried.min() else { return suspects.iter().map(|suspect| suspect.run).collect() };
    let of_it = suspects.iter().filter(|suspect| suspect.tried_with == narrowest);
    let group: Vec<RunId> = of_it.map(|suspect| suspect.run).collect();
    let half = (group.len() / 2).max(1);
    group[..half].to_vec()
}

/// Takes the runs of a trial out of those to be tried.
pub fn without(suspects: &mut Vec<Suspect>, trial: &[RunId]) {
    // A look-up for each suspect: a trial may have as many runs as the process had.
    let trial: HashSet<&RunId> = trial.iter().collect();
    suspects.retain(|suspect| !trial.contains(&suspect.run));
}

impl Judged {
    /// Takes into what a new owner appends to a run's log what the death of the process says of the run.
    pub fn tell(&self, run: &RunId, log: &[Entry], claim: &mut Claim) {
        let is_end = |kind: &EntryKind| matches!(kind, EntryKind::AttemptEnded(_));
        if self.cleared.contains(run)
            && let Some(end) = claim.entries.iter().position(is_end)
        {
            claim.entries.insert(end, EntryKind::Cleared);
        }
        for kind in &mut claim.entries {
            if let EntryKind::AttemptEnded(ended) = kind {
                ended.counted = self.counted == Some(*run);
            }
        }
        if claim.next == Next::Start && self.convicted.contains(run) {
            let why = format!(
                "it was started {MOST_COUNTED} times without settling a step, and the process died of it"
            );
            claim.entries.push(set_aside(log.len() + claim.entries.len(), &why));
            claim.next = Next::Wait { until: deadline(log) };
        }
    }
}

/// Puts a run without an attempt into quarantine, whose log has so many entries: it waits for an operator, and its session goes on
/// without it.
pub fn set_aside(entries: usize, why: &str) -> EntryKind {
    let why = shortened(why.to_owned());
    EntryKind::WaitOpened(WaitOpened {
        wait: WaitId(entries as u64 + 1),
        digest: Digest::of(why.as_bytes()),
        on: WaitOn::Operator { why },
        wake_at: None,
        holds_session: false,
    })
}

/// Lets a run out of quarantine.
pub fn let_out(wait: WaitId, by: DecidedBy) -> EntryKind {
    let answer = Payload::Inline(Content::text(WaitClosed::REQUEUED));
    EntryKind::WaitClosed(WaitClosed { wait, by, answer })
}

/// Whether a run that has begun keeps its session from its next run: not once it went into quarantine, until it is started again.
pub fn holds_session(log: &[Entry]) -> bool {
    let of_session = |entry: &Entry| match &entry.kind {
        EntryKind::Started(_) => Some(true),
        EntryKind::WaitOpened(opened) if !opened.holds_session => Some(false),
        _ => None,
    };
    log.iter().rev().find_map(of_session).unwrap_or(true)
}
