//! What a verdict appends to the log of a run that has no attempt.

use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    DecidedBy, Ended, EntryKind, FailureKind, Outcome, Price, RunFailure, RunView, StepDecided, StepKey,
    Verdict, WaitClosed,
};

use super::claim::{Next, is_for_a_person};

/// What a verdict appends, and what then becomes of the run. `None`: nothing waits for it.
///
/// A run that diverged waits as a whole: `Repeat` replays it, `Fail` ends it, whatever step is named.
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
        let closed = closed(whole.wait);
        return match verdict {
            Verdict::Repeat => Some((vec![closed], Next::Start)),
            Verdict::Fail => {
                let message = "it was decided to take the run as failed".to_owned();
                let failure = RunFailure { kind: FailureKind::Decided, message };
                let outcome = Outcome::Failed(failure);
                let ended = Ended { outcome, usage: view.usage, price: Price::default() };
                Some((vec![closed, EntryKind::Ended(ended)], Next::Over))
            }
            Verdict::Assume(_) => None,
        };
    }
    let wait = view.decision_on(key)?.wait;
    let digest = view.step(key)?.digest;
    let decided = StepDecided { key: key.clone(), by: by.clone(), verdict, digest };
    Some((vec![EntryKind::StepDecided(decided), closed(wait)], Next::Start))
}
