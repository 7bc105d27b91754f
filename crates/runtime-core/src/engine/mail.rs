//! What leaves a run for other partitions: pure reads of its log.

use std::collections::HashSet;

use runtime_codec::{Child, Mail};
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{
    Accepted, DecidedBy, Entry, EntryKind, FailureKind, Outcome, StepFailure, StepFailureKind, StepKey,
    Usage, WaitClosed, WaitId, WaitOn, WaitOpened,
};

use super::batches::Place;
use super::machine::asks::DROPPED;
use super::machine::outside::{Calling, OVER};

/// The runs that were asked for on behalf of steps which no longer want them: those whose waits `entries` close before the
/// runs are over.
pub fn dropped_children(log: &[Entry], entries: &[Entry]) -> Vec<RunId> {
    let opened_by = |wait: WaitId| {
        let at = usize::try_from(wait.0).ok()?.checked_sub(1)?;
        match log.get(at).map(|entry| &entry.kind) {
            Some(EntryKind::WaitOpened(opened)) => child_of(&opened.on),
            _ => None,
        }
    };
    let dropped = entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::WaitClosed(closed) if !is_over(&closed.answer) => opened_by(closed.wait),
        _ => None,
    });
    dropped.collect()
}

/// What ends the waits for other runs that a log leaves open. Comes before the end of the run, so that a run that asked for
/// many ends in as many batches as it takes to tell them.
pub fn drop_children(log: &[Entry]) -> Vec<EntryKind> {
    let dropped = |(wait, _)| {
        let answer = Payload::Inline(Content::text(DROPPED));
        EntryKind::WaitClosed(WaitClosed { wait, by: DecidedBy::Policy, answer })
    };
    open_children(log).into_iter().map(dropped).collect()
}

fn is_over(answer: &Payload) -> bool {
    matches!(answer, Payload::Inline(content) if content.bytes == OVER.as_bytes())
}

fn child_of(on: &WaitOn) -> Option<RunId> {
    if let WaitOn::Child { run, .. } = on { Some(*run) } else { None }
}

fn open_children(log: &[Entry]) -> Vec<(WaitId, RunId)> {
    let mut open = Vec::new();
    for entry in log {
        match &entry.kind {
            EntryKind::WaitOpened(opened) => open.extend(child_of(&opened.on).map(|run| (opened.wait, run))),
            EntryKind::WaitClosed(closed) => open.retain(|(wait, _)| *wait != closed.wait),
            _ => {}
        }
    }
    open
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
    let mut calls: HashSet<&StepKey> = HashSet::new();
    let mut called = Usage::default();
    for entry in log {
        match &entry.kind {
            EntryKind::WaitOpened(WaitOpened { on: WaitOn::Child { step, .. }, .. }) => {
                calls.insert(step);
            }
            EntryKind::StepSettled(settled) if calls.contains(&settled.key) => {
                called = called.plus(settled.usage)
            }
            _ => {}
        }
    }
    whole.minus(called)
}
