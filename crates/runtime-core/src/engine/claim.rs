//! What a new owner appends to a log that it finds (replay rule 1), and what then becomes of the run.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, DecidedBy, Ended, Entry, EntryKind, Outcome, Phase, Price, Receipt, RunView,
    StepKey, StepPhase, StepUnknown, StepView, Stopped, UnknownCause, Usage, Verdict, WaitClosed, WaitId,
    WaitOn, WaitOpened,
};

/// What becomes of a run that was found open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What to append before anything else.
    pub entries: Vec<EntryKind>,
    /// What then.
    pub next: Next,
}

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has not begun: its session decides when.
    Queue,
    /// It gets its next attempt, if [`start`] says that it may.
    Start,
    /// It waits; at the moment, if there is one, it gets its next attempt.
    Wait {
        /// When its first timer runs out or its deadline passes.
        until: Option<UnixMillis>,
    },
    /// It has its outcome.
    Over,
}

/// What comes before a run's next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What to append first.
    pub entries: Vec<EntryKind>,
    /// The version of its kind that the run waits for. `None`: it starts.
    pub waits_for: Option<u32>,
}

/// Decides what a new owner appends to `log`, and what then becomes of the run.
pub fn claim(view: &RunView, log: &[Entry]) -> Claim {
    match view.phase {
        Phase::Ended => Claim { entries: Vec::new(), next: Next::Over },
        Phase::Queued | Phase::Parked if view.cancel.is_some() => {
            Claim { entries: vec![cancelled(view, view.usage, Stopped::Complete)], next: Next::Over }
        }
        Phase::Queued => Claim { entries: Vec::new(), next: Next::Queue },
        Phase::Parked => Claim { entries: Vec::new(), next: after_park(view, log) },
        Phase::Running | Phase::Waiting => lost(view),
    }
}

fn lost(view: &RunView) -> Claim {
    let under_way = || view.steps.iter().filter(|step| step.phase == StepPhase::Dispatched);
    let cause = if view.cancel.is_some() { UnknownCause::Cancelled } else { UnknownCause::Crash };
    let unknown = |step: &StepView| {
        let (key, try_no) = (step.key.clone(), step.tries);
        let usage = step.usage.plus(step.reserved);
        EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price: None })
    };
    let mut entries: Vec<EntryKind> = under_way().map(unknown).collect();
    // Last, so that an owner who finds only the first of these comes here once more.
    entries.push(EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Lost, counted: false }));
    let next = if view.cancel.is_some() {
        let booked = under_way().fold(view.usage, |sum, step| sum.plus(step.reserved));
        entries.push(cancelled(view, booked, Stopped::Dropped));
        Next::Over
    } else {
        Next::Start
    };
    Claim { entries, next }
}

/// Decides whether a run starts on the version of its kind that is `here`: one that has begun goes on with the version
/// that it began with, for only that code is known to ask for what the log holds.
pub fn start(log: &[Entry], here: u32) -> Start {
    let begun_with = log.iter().rev().find_map(|entry| match &entry.kind {
        EntryKind::Started(started) => Some(started.kind_version),
        _ => None,
    });
    let waits_for = begun_with.filter(|needed| *needed != here);
    let open = open_waits(log, |on| matches!(on, WaitOn::CodeVersion(_)));
    let entries = match waits_for {
        None => {
            let pauses = open_waits(log, WaitOn::is_restart).into_iter().map(|wait| ended(wait, "elapsed"));
            open.into_iter().map(|wait| ended(wait, "hosted")).chain(pauses).collect()
        }
        Some(_) if !open.is_empty() => Vec::new(),
        Some(needed) => vec![EntryKind::WaitOpened(WaitOpened {
            wait: WaitId(log.len() as u64 + 1),
            on: WaitOn::CodeVersion(needed),
            digest: Digest::of(&needed.to_le_bytes()),
            wake_at: None,
            holds_session: true,
        })],
    };
    Start { entries, waits_for }
}

fn open_waits(log: &[Entry], so: impl Fn(&WaitOn) -> bool) -> Vec<WaitId> {
    let mut open = Vec::new();
    for entry in log {
        match &entry.kind {
            EntryKind::WaitOpened(WaitOpened { wait, on, .. }) if so(on) => open.push(*wait),
            EntryKind::WaitClosed(closed) => open.retain(|wait| *wait != closed.wait),
            _ => {}
        }
    }
    open
}

fn ended(wait: WaitId, how: &str) -> EntryKind {
    let answer = Payload::Inline(Content::text(how));
    EntryKind::WaitClosed(WaitClosed { wait, by: DecidedBy::Policy, answer })
}

/// A run that somebody wanted to end gets no further attempt.
fn cancelled(view: &RunView, usage: Usage, stopped: Stopped) -> EntryKind {
    let unknown = unknown_steps(view);
    EntryKind::Ended(Ended {
        outcome: Outcome::Cancelled(Receipt { stopped, unknown }),
        usage,
        price: Price::default(),
    })
}

/// The steps that have begun and whose end nobody knows.
pub fn unknown_steps(view: &RunView) -> Vec<StepKey> {
    let unknown = view.steps.iter().filter(|step| {
        matches!(
            step.phase,
            StepPhase::Dispatched | StepPhase::Unknown(_) | StepPhase::Decided(Verdict::Repeat)
        )
    });
    unknown.map(|step| step.key.clone()).collect()
}

/// A parked run goes on when its first timer runs out, its deadline passes or somebody ends its wait; one that was
/// drained goes on now, and one that waits for a version of its kind when that is here.
pub fn after_park(view: &RunView, log: &[Entry]) -> Next {
    let needs_person = view.waits.iter().any(|wait| is_for_a_person(&wait.on));
    let pause = pause_of(view).filter(|_| !needs_person);
    let was_to_start = view.waits.is_empty() || version_wait(view).is_some() || goes_on(log);
    if !needs_person && pause.is_none() && was_to_start {
        return Next::Start;
    }
    let timers = view.waits.iter().filter_map(|wait| wait.wake_at);
    let timer = pause.or(timers.min()).filter(|_| !needs_person);
    Next::Wait { until: timer.into_iter().chain(deadline(log)).min() }
}

/// When the run has to be over.
pub fn deadline(log: &[Entry]) -> Option<UnixMillis> {
    match log.first().map(|entry| &entry.kind) {
        Some(EntryKind::Accepted(accepted)) => accepted.deadline,
        _ => None,
    }
}

/// Until when a run has no further attempt, whatever else it waited for has come: its last one failed.
pub fn pause_of(view: &RunView) -> Option<UnixMillis> {
    view.waits.iter().find(|wait| wait.on.is_restart()).and_then(|wait| wait.wake_at)
}

/// Whether the last attempt did not end to wait, or something that it waited for has come since.
fn goes_on(log: &[Entry]) -> bool {
    let mut since = log.iter().rev().map(|entry| &entry.kind);
    let last = since.find(|kind| {
        matches!(kind, EntryKind::AttemptEnded(_) | EntryKind::StepDecided(_) | EntryKind::WaitClosed(_))
    });
    !matches!(last, Some(EntryKind::AttemptEnded(ended)) if ended.how == AttemptEnding::Parked)
}

/// Whether the whole run waits for a person, whatever its branches could do.
pub fn is_for_a_person(on: &WaitOn) -> bool {
    matches!(on, WaitOn::Diverged { .. } | WaitOn::Operator { .. } | WaitOn::Kind(_))
}

/// The wait of a run that goes on when another version of its kind is here.
pub fn version_wait(view: &RunView) -> Option<WaitId> {
    let wait = view.waits.iter().find(|wait| matches!(wait.on, WaitOn::CodeVersion(_)));
    wait.map(|wait| wait.wait)
}
