//! The runtime's states, in words.

use agent_runtime::log::{Outcome, Phase, WaitOn, WaitView};
use agent_runtime::runtime::{Readiness, Want};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::table::Tone;

/// `1 run`, `3 runs`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// What somebody wants of an agent.
pub(crate) fn want(want: Want, hosted: bool) -> (String, Tone) {
    let (word, tone) = match want {
        Want::Active => ("started", Tone::Good),
        Want::Paused => ("paused", Tone::Warn),
        Want::Stopped => ("stopped", Tone::Dim),
    };
    if hosted { (word.to_owned(), tone) } else { (format!("{word}, unhosted"), Tone::Warn) }
}

/// Where a run is.
pub(crate) fn phase(phase: Phase, outcome: Option<&Outcome>) -> (String, Tone) {
    if let Some(ended) = outcome {
        return self::outcome(ended);
    }
    let (word, tone) = match phase {
        Phase::Queued => ("queued", Tone::Plain),
        Phase::Running => ("running", Tone::Good),
        Phase::Waiting => ("waiting", Tone::Warn),
        Phase::Parked => ("parked", Tone::Warn),
        Phase::Ended => ("ended", Tone::Plain),
    };
    (word.to_owned(), tone)
}

/// How a run ended.
pub(crate) fn outcome(outcome: &Outcome) -> (String, Tone) {
    match outcome {
        Outcome::Completed(_) => ("completed".to_owned(), Tone::Plain),
        Outcome::Failed(_) => ("failed".to_owned(), Tone::Bad),
        Outcome::Cancelled(_) => ("cancelled".to_owned(), Tone::Warn),
        Outcome::RolledBack => ("rolled back".to_owned(), Tone::Warn),
        Outcome::Continued(_) => ("continued".to_owned(), Tone::Plain),
    }
}

/// What a wait is for, as the runtime says it where it knows more than the log.
pub(crate) fn awaited(wait: &WaitView) -> String {
    wait.note.clone().unwrap_or_else(|| waits_for(&wait.on))
}

/// What a run waits for, as its log says it.
pub(crate) fn waits_for(on: &WaitOn) -> String {
    match on {
        WaitOn::Approval(step) => format!("an approval of `{step}`"),
        WaitOn::Answer(step) => format!("an answer to `{step}`"),
        WaitOn::Budget(step) => format!("room in a budget, for `{step}`"),
        WaitOn::Child { step, .. } => format!("the run that `{step}` started"),
        on if on.is_restart() => "its next attempt, after a pause: the last one failed".to_owned(),
        WaitOn::Time(step) => format!("its time (`{step}`)"),
        WaitOn::Event(step) => format!("an event (`{step}`)"),
        WaitOn::Decision(step) => format!("a decision on `{step}`"),
        WaitOn::Diverged { recorded, asked } => {
            format!("a person: the log holds `{recorded}`, the code asked for `{asked}`")
        }
        WaitOn::Kind(kind) => format!("a process that hosts its kind `{kind}`"),
        WaitOn::CodeVersion(version) => format!("version {version} of its kind's code"),
        WaitOn::Operator { why } => format!("an operator, because it is in quarantine: {why}"),
    }
}

/// Whether a wait ends only by somebody's doing.
pub(crate) fn needs_somebody(on: &WaitOn) -> bool {
    match on {
        WaitOn::Approval(_)
        | WaitOn::Answer(_)
        | WaitOn::Decision(_)
        | WaitOn::Diverged { .. }
        | WaitOn::Kind(_)
        | WaitOn::CodeVersion(_)
        | WaitOn::Operator { .. } => true,
        WaitOn::Budget(_) | WaitOn::Child { .. } | WaitOn::Time(_) | WaitOn::Event(_) => false,
    }
}

/// Whether a runtime takes runs.
pub(crate) fn readiness(readiness: &Readiness) -> (String, Tone) {
    match readiness {
        Readiness::Ready => ("ready".to_owned(), Tone::Good),
        Readiness::Draining => ("draining".to_owned(), Tone::Warn),
        Readiness::StoreFailed(why) => (format!("the store failed: {why}"), Tone::Bad),
    }
}

/// Text that fits into `width`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let wide = c.width().unwrap_or(0);
        left.checked_sub(wide).map(|rest| left = rest).is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}
