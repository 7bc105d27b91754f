//! What leaves a run for other partitions: pure reads of its log.

use runtime_codec::{Child, Mail};
use runtime_traits::content::Payload;
use runtime_traits::id::RunId;
use runtime_traits::log::{
    Accepted, Entry, EntryKind, FailureKind, Outcome, StepFailure, StepFailureKind, StepKey, StepSort, Usage,
    WaitOn,
};

use super::batches::Place;
use super::machine::outside::Calling;

/// The runs that were asked for on behalf of steps which no longer want them: those whose waits `entries` close without an
/// end of theirs, and at the end of a run all that are open.
pub fn dropped_children(log: &[Entry], entries: &[Entry]) -> Vec<RunId> {
    let opened_by =
        |wait: u64| match log.get(usize::try_from(wait).ok()?.checked_sub(1)?).map(|entry| &entry.kind) {
            Some(EntryKind::WaitOpened(opened)) => child_of(&opened.on),
            _ => None,
        };
    let mut dropped: Vec<RunId> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match &entry.kind {
            EntryKind::WaitClosed(closed) => {
                let settles =
                    matches!(entries.get(at + 1).map(|next| &next.kind), Some(EntryKind::StepSettled(_)));
                dropped.extend(opened_by(closed.wait.0).filter(|_| !settles));
            }
            EntryKind::Ended(_) => dropped.extend(open_children(log)),
            _ => {}
        }
    }
    dropped
}

fn child_of(on: &WaitOn) -> Option<RunId> {
    if let WaitOn::Child { run, .. } = on { Some(*run) } else { None }
}

fn open_children(log: &[Entry]) -> Vec<RunId> {
    let mut open = Vec::new();
    for entry in log {
        match &entry.kind {
            EntryKind::WaitOpened(opened) => open.extend(child_of(&opened.on).map(|run| (opened.wait, run))),
            EntryKind::WaitClosed(closed) => open.retain(|(wait, _)| *wait != closed.wait),
            _ => {}
        }
    }
    open.into_iter().map(|(_, run)| run).collect()
}

/// What asks another partition for a run.
pub fn start(
    place: &Place,
    accepted: &Accepted,
    calling: &Calling,
    at: runtime_traits::clock::UnixMillis,
) -> Mail {
    let Calling { step, agent, run, request } = calling;
    let own = || {
        // A conversation that nobody else uses.
        runtime_traits::name::SessionName::new(format!("call-{}", run.unique().simple()))
            .expect("an id in hexadecimal digits is a good name")
    };
    let deadline = request.within.map(|within| at.after(within));
    Mail::Start(Box::new(Child {
        tenant: place.tenant.clone(),
        agent: *agent,
        run: *run,
        session: request.session.clone().unwrap_or_else(own),
        input: Payload::of(&request.input),
        parent: place.run,
        step: step.clone(),
        deadline: deadline.into_iter().chain(accepted.deadline).min(),
        principal: accepted.principal.clone(),
        trace: accepted.trace.clone(),
    }))
}

/// What a run that was asked for says to the step that waits for it, when it is over. `None`: nobody waits, or a successor
/// will say it.
pub fn over(run: RunId, accepted: &Accepted, outcome: &Outcome, usage: Usage) -> Option<(RunId, Mail)> {
    let (parent, step) = accepted.parent.clone()?;
    let failed =
        |message: &str| Err(StepFailure { kind: StepFailureKind::Work, message: message.to_owned() });
    let result = match outcome {
        Outcome::Continued(_) => return None,
        Outcome::Completed(output) => Ok(output.clone()),
        Outcome::Failed(failure) if failure.kind == FailureKind::Deadline => {
            Err(StepFailure { kind: StepFailureKind::TimedOut, message: failure.message.clone() })
        }
        Outcome::Failed(failure) => failed(&failure.message),
        Outcome::Cancelled(_) => failed("the run was cancelled"),
        Outcome::RolledBack => failed("the run was rolled back"),
    };
    Some((parent, Mail::Over { parent, step, run, result, usage }))
}

/// What a run used by itself, without the runs that it asked for.
pub fn own_usage(log: &[Entry], whole: Usage) -> Usage {
    let mut calls: Vec<&StepKey> = Vec::new();
    let mut called = Usage::default();
    for entry in log {
        match &entry.kind {
            EntryKind::StepOpened(opened) if opened.sort == StepSort::Call => calls.push(&opened.key),
            EntryKind::StepSettled(settled) if calls.contains(&&settled.key) => {
                called = called.plus(settled.usage)
            }
            _ => {}
        }
    }
    whole.minus(called)
}
