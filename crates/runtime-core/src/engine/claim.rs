//! What a new owner appends to a log that it finds (replay rule 1), and what then becomes of the run.

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, Ended, Entry, EntryKind, Outcome, Phase, Price, Receipt, RunView, StepKey,
    StepPhase, StepUnknown, StepView, Stopped, UnknownCause, Verdict, WaitOn,
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
    /// It gets its next attempt.
    Start,
    /// It waits; at the moment, if there is one, it gets its next attempt.
    Wait {
        /// When its first timer runs out or its deadline passes.
        until: Option<UnixMillis>,
    },
    /// It has its outcome.
    Over,
}

/// Decides what a new owner appends to `log`, and what then becomes of the run.
pub fn claim(view: &RunView, log: &[Entry]) -> Claim {
    match view.phase {
        Phase::Ended => Claim { entries: Vec::new(), next: Next::Over },
        Phase::Queued | Phase::Parked if view.cancel.is_some() => {
            Claim { entries: vec![cancelled(view, Stopped::Complete)], next: Next::Over }
        }
        Phase::Queued => Claim { entries: Vec::new(), next: Next::Queue },
        Phase::Parked => Claim { entries: Vec::new(), next: after_park(view, log) },
        Phase::Running | Phase::Waiting => lost(view),
    }
}

fn lost(view: &RunView) -> Claim {
    let under_way = view.steps.iter().filter(|step| step.phase == StepPhase::Dispatched);
    let cause = if view.cancel.is_some() { UnknownCause::Cancelled } else { UnknownCause::Crash };
    let unknown = |step: &StepView| {
        let (key, try_no) = (step.key.clone(), step.tries);
        EntryKind::StepUnknown(StepUnknown { key, try_no, cause })
    };
    let mut entries: Vec<EntryKind> = under_way.map(unknown).collect();
    // Last, so that an owner who finds only the first of these comes here once more.
    entries.push(EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Lost, counted: false }));
    let next = if view.cancel.is_some() {
        entries.push(cancelled(view, Stopped::Dropped));
        Next::Over
    } else {
        Next::Start
    };
    Claim { entries, next }
}

/// A run that somebody wanted to end gets no further attempt.
fn cancelled(view: &RunView, stopped: Stopped) -> EntryKind {
    let unknown = unknown_steps(view);
    EntryKind::Ended(Ended {
        outcome: Outcome::Cancelled(Receipt { stopped, unknown }),
        usage: view.usage,
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
/// drained goes on now.
pub fn after_park(view: &RunView, log: &[Entry]) -> Next {
    let needs_person = view.waits.iter().any(|wait| is_for_a_person(&wait.on));
    if !needs_person && (view.waits.is_empty() || goes_on(log)) {
        return Next::Start;
    }
    let deadline = match log.first().map(|entry| &entry.kind) {
        Some(EntryKind::Accepted(accepted)) => accepted.deadline,
        _ => None,
    };
    let timers = view.waits.iter().filter_map(|wait| wait.wake_at);
    let timer = timers.min().filter(|_| !needs_person);
    Next::Wait { until: timer.into_iter().chain(deadline).min() }
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
    matches!(on, WaitOn::Diverged { .. } | WaitOn::Operator | WaitOn::Kind(_) | WaitOn::CodeVersion(_))
}
