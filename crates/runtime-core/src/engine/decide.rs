//! What a verdict appends to the log of a run that has no attempt.

use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    DecidedBy, Ended, EntryKind, FailureKind, Outcome, Price, RunFailure, RunView, StepDecided, StepKey,
    Verdict, WaitClosed,
};

use super::claim::{Next, is_for_a_person, version_wait};

/// What a verdict appends, and what then becomes of the run. `None`: nothing waits for it.
///
/// A run that diverged waits as a whole: `Repeat` replays it, `Fail` ends it, whatever step is named. One that waits for
/// a version of its kind can be ended in the same way; no verdict lets it go on with another version.
pub fn decide(
    view: &RunView,
    key: &StepKey,
    by: DecidedBy,
    verdict: Verdict,
) -> Option<(Vec<EntryKind>, Next)> {
    let closed = |wait| {
        let answer = Payload::Inline(Content::text(""));
        EntryKind::WaitClosed(WaitClosed { wait, by: by.clone(), answer })
    };
    if let Some(whole) = view.waits.iter().find(|wait| is_for_a_person(&wait.on)) {
        return match verdict {
            Verdict::Repeat => Some((vec![closed(whole.wait)], Next::Start)),
            Verdict::Fail => Some((vec![closed(whole.wait), failed(view)], Next::Over)),
            Verdict::Assume(_) => None,
        };
    }
    let Some(waiting) = view.decision_on(key) else {
        let wait = version_wait(view).filter(|_| verdict == Verdict::Fail)?;
        return Some((vec![closed(wait), failed(view)], Next::Over));
    };
    let digest = view.step(key)?.digest;
    let decided = StepDecided { key: key.clone(), by: by.clone(), verdict, digest };
    Some((vec![EntryKind::StepDecided(decided), closed(waiting.wait)], Next::Start))
}

/// The outcome of a run that a person does not want to go on.
fn failed(view: &RunView) -> EntryKind {
    let message = "it was decided to take the run as failed".to_owned();
    let outcome = Outcome::Failed(RunFailure { kind: FailureKind::Decided, message });
    EntryKind::Ended(Ended { outcome, usage: view.usage, price: Price::default() })
}
