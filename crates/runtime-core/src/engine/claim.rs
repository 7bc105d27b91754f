//! What a new owner appends to a log that it finds (replay rule 1), and what then becomes of the run.

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, Ended, Entry, EntryKind, Outcome, Phase, Price, Receipt, RunView, StepPhase,
    StepUnknown, Stopped, UnknownCause, WaitOn,
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
        /// When its first timer runs out.
        until: Option<UnixMillis>,
    },
    /// It has its outcome.
    Over,
}

/// Decides what a new owner appends to `log`, and what then becomes of the run.
pub fn claim(view: &RunView, log: &[Entry]) -> Claim {
    match view.phase {
        Phase::Queued => Claim { entries: Vec::new(), next: Next::Queue },
        Phase::Ended => Claim { entries: Vec::new(), next: Next::Over },
        Phase::Parked => Claim { entries: Vec::new(), next: after_park(view, log) },
        Phase::Running | Phase::Waiting => lost(view),
    }
}

fn lost(view: &RunView) -> Claim {
    let mut entries =
        vec![EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Lost, counted: false })];
    let under_way = view.steps.iter().filter(|step| step.phase == StepPhase::Dispatched);
    let cause = if view.cancel.is_some() { UnknownCause::Cancelled } else { UnknownCause::Crash };
    let mut unknown = Vec::new();
    for step in under_way {
        let (key, try_no) = (step.key.clone(), step.tries);
        unknown.push(key.clone());
        entries.push(EntryKind::StepUnknown(StepUnknown { key, try_no, cause }));
    }
    if view.cancel.is_none() {
        return Claim { entries, next: Next::Start };
    }
    let outcome = Outcome::Cancelled(Receipt { stopped: Stopped::Dropped, unknown });
    entries.push(EntryKind::Ended(Ended { outcome, usage: view.usage, price: Price::default() }));
    Claim { entries, next: Next::Over }
}

/// A parked run goes on when its first timer runs out or somebody ends its wait; one that was drained goes on now.
pub fn after_park(view: &RunView, log: &[Entry]) -> Next {
    let ending = log.iter().rev().find_map(|entry| match &entry.kind {
        EntryKind::AttemptEnded(ended) => Some(&ended.how),
        _ => None,
    });
    let needs_person = view.waits.iter().any(|wait| is_for_a_person(&wait.on));
    if view.waits.is_empty() || (ending != Some(&AttemptEnding::Parked) && !needs_person) {
        return Next::Start;
    }
    if needs_person {
        return Next::Wait { until: None };
    }
    Next::Wait { until: view.waits.iter().filter_map(|wait| wait.wake_at).min() }
}

/// Whether the whole run waits for a person, whatever its branches could do.
pub fn is_for_a_person(on: &WaitOn) -> bool {
    matches!(on, WaitOn::Diverged { .. } | WaitOn::Operator | WaitOn::Kind(_) | WaitOn::CodeVersion(_))
}
