//! An entry of a run log, as one line.

use std::time::Duration;

use agent_runtime::log::{
    AttemptEnding, DecidedBy, Effect, RunView, StepPhase, UnknownCause, Verdict, WaitOn,
};
use agent_runtime::{Content, Entry, EntryKind, Outcome, Payload, UnixMillis};

use super::answer::visible;
use super::before::Before;
use super::style::Paint;
use super::time::duration;
use super::words::{cut, waits_for};

/// How many characters the name of what happened has.
const NAME: usize = 15;
/// How many characters stand before the details.
const BEFORE: usize = 4 + 2 + 8 + 2 + NAME + 2;

/// How the entries of one run are written, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// When the run was accepted.
    pub(crate) begin: UnixMillis,
    /// How many characters a line has at most.
    pub(crate) width: u16,
    /// Colours.
    pub(crate) paint: Paint,
    /// What the entries before said.
    pub(crate) before: Before,
}

impl Lines {
    /// An entry as one line: its number, when it was made, what happened.
    pub(crate) fn line(&mut self, entry: &Entry, content: Option<&Content>) -> String {
        let after = format!("+{}", duration(entry.at.since(self.begin)));
        let number = self.paint.dim(format!("{:>4}  {after:>8}", entry.seq.0));
        let (what, more) =
            self.before.told(&entry.kind, content).unwrap_or_else(|| what_of(&entry.kind, content));
        let name = paint_for(&entry.kind, self.paint, &what);
        // What fits is padded before it is painted: escape codes have no width.
        let pad = " ".repeat(NAME.saturating_sub(what.chars().count()));
        let more = visible(&more).replace(['\n', '\t'], " ");
        let more = cut(&more, usize::from(self.width).saturating_sub(BEFORE));
        format!("{number}  {name}{pad}  {more}").trim_end().to_owned()
    }
}

/// The names of the steps that are under way.
pub(crate) fn steps_under_way(view: &RunView) -> Vec<String> {
    let busy = view.steps.iter().filter(|step| step.phase == StepPhase::Dispatched);
    busy.map(|step| step.key.to_string()).collect()
}

fn paint_for(kind: &EntryKind, paint: Paint, name: &str) -> String {
    match kind {
        EntryKind::Ended(ended) => match ended.outcome {
            Outcome::Completed(_) | Outcome::Continued(_) => paint.good(name),
            Outcome::Failed(_) => paint.bad(name),
            Outcome::Cancelled(_) | Outcome::RolledBack => paint.warn(name),
        },
        EntryKind::StepSettled(settled) if settled.result.is_err() => paint.bad(name),
        EntryKind::StepUnknown(_) | EntryKind::WaitOpened(_) | EntryKind::CancelRequested(_) => {
            paint.warn(name)
        }
        _ => paint.bold(name),
    }
}

fn what_of(kind: &EntryKind, content: Option<&Content>) -> (String, String) {
    let (what, more) = match kind {
        EntryKind::Accepted(accepted) => {
            ("accepted", format!("session {}: {}", accepted.session, said(&accepted.input, content)))
        }
        EntryKind::Started(started) if started.suspects > 0 => ("started", tried(started.suspects)),
        EntryKind::Started(_) => ("started", String::new()),
        EntryKind::StepOpened(opened) => {
            let so = if opened.dispatched { "" } else { ", not yet under way" };
            ("step opened", format!("{} ({}{so})", opened.key, effect(opened.effect)))
        }
        EntryKind::StepDispatched(dispatched) => {
            ("step dispatched", format!("{}, try {}", dispatched.key, dispatched.try_no))
        }
        EntryKind::StepSettled(settled) => match &settled.result {
            Ok(value) => ("step settled", format!("{}: {}", settled.key, said(value, content))),
            Err(failure) => ("step failed", format!("{}: {failure}", settled.key)),
        },
        EntryKind::StepUnknown(unknown) => {
            let why = match unknown.cause {
                UnknownCause::Crash => "the process ended meanwhile",
                UnknownCause::Cancelled => "the run was cancelled meanwhile",
                UnknownCause::Dropped => "the agent dropped it",
                UnknownCause::TimedOut => "its deadline passed",
            };
            ("step unknown", format!("{}, try {}: {why}", unknown.key, unknown.try_no))
        }
        EntryKind::StepDecided(decided) => {
            let verdict = match &decided.verdict {
                Verdict::Repeat => "repeat it".to_owned(),
                Verdict::Assume(value) => format!("assume {}", said(value, content)),
                Verdict::Fail => "take it as failed".to_owned(),
            };
            ("step decided", format!("{}: {verdict}, by {}", decided.key, by(&decided.by)))
        }
        EntryKind::StateSet(set) => ("state set", format!("{} B", set.value.len())),
        EntryKind::WaitOpened(opened) if let WaitOn::Operator { why } = &opened.on => {
            ("quarantined", why.clone())
        }
        EntryKind::WaitOpened(opened) => ("waits", format!("for {}", waits_for(&opened.on))),
        EntryKind::WaitClosed(closed) if closed.requeues() => ("requeued", format!("by {}", by(&closed.by))),
        EntryKind::WaitClosed(closed) => ("goes on", format!("by {}", by(&closed.by))),
        EntryKind::AttemptEnded(ended) => match &ended.how {
            AttemptEnding::Parked => ("parked", String::new()),
            AttemptEnding::Drained => ("parked", "the process was asked to end".to_owned()),
            AttemptEnding::Failed { error } => ("attempt failed", error.clone()),
            AttemptEnding::Lost if ended.counted => {
                ("attempt lost", "the process died of it; that counts against it".to_owned())
            }
            AttemptEnding::Lost => ("attempt lost", "the process ended".to_owned()),
        },
        EntryKind::CancelRequested(cancel) => {
            let within = duration(Duration::from_millis(cancel.within_millis));
            ("cancel asked", format!("by {}, within {within}: {}", by(&cancel.by), cancel.reason))
        }
        EntryKind::Ended(ended) => match &ended.outcome {
            Outcome::Completed(output) => ("completed", said(output, content)),
            Outcome::Failed(failure) => ("failed", failure.to_string()),
            Outcome::Cancelled(_) => ("cancelled", String::new()),
            Outcome::RolledBack => ("rolled back", String::new()),
            Outcome::Continued(next) => ("continued", format!("as {next}")),
        },
        EntryKind::Cleared => ("cleared", "it is not what killed the process".to_owned()),
        EntryKind::Unrecognised { tag } => {
            ("unrecognised", format!("an entry of a newer version (tag {tag})"))
        }
    };
    (what.to_owned(), more)
}

/// How a suspect is tried.
fn tried(suspects: u32) -> String {
    match suspects {
        1 => "alone, to see whether the process dies of it".to_owned(),
        suspects => format!("with {} others, after the process died", suspects - 1),
    }
}

/// The first line of a content.
pub(super) fn said(payload: &Payload, content: Option<&Content>) -> String {
    let content = match (payload, content) {
        (Payload::Inline(content), _) | (Payload::Blob { .. }, Some(content)) => content,
        (Payload::Blob { len, .. }, None) => return format!("{len} B"),
    };
    let text = content.to_string();
    match text.split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => text,
    }
}

pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::Repeatable => "repeatable",
        Effect::Idempotent { .. } => "idempotent",
        Effect::AtMostOnce => "at most once",
    }
}

pub(super) fn by(by: &DecidedBy) -> String {
    match by {
        DecidedBy::Policy => "its rule".to_owned(),
        DecidedBy::Reconcile => "its own check".to_owned(),
        DecidedBy::Principal(name) => name.clone(),
    }
}
