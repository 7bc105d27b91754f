//! What has to come out of a script, given how its steps ended.

use std::collections::HashMap;

use runtime_traits::log::StepFailureKind;
use runtime_traits::store::Seq;
use runtime_traits::{Name, StepKey};

use super::{Act, Script, Work, assumed, piece};

/// How the steps and timers of a run ended, by its log.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) steps: HashMap<StepKey, (Seq, StepEnd)>,
    /// The timers that ran out.
    pub(crate) elapsed: HashMap<StepKey, Seq>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepEnd {
    /// With the value of its work.
    Value,
    /// With a value that a person named.
    Assumed,
    /// Without one.
    Failed(StepFailureKind),
}

/// What the acts of a script come to.
///
/// # Errors
/// The step or timer that has no end, although the run went beyond it.
pub(crate) fn expected(script: &Script, ends: &Ends) -> Result<Vec<String>, StepKey> {
    let (mut pieces, mut sleeps, mut limits) = (Vec::new(), 0, 0);
    for act in &script.acts {
        match act {
            Act::Do(work) => pieces.push(end_of(script, ends, work)?.1),
            Act::Join(branches) => {
                for work in branches.iter().flatten() {
                    pieces.push(end_of(script, ends, work)?.1);
                }
            }
            // Results are given out in the order of the log, one at a time.
            Act::Race(one, other) => {
                let first = match (end_of(script, ends, one), end_of(script, ends, other)) {
                    (Ok(one), Ok(other)) => one.min(other),
                    (one, Err(_)) => one?,
                    (Err(_), other) => other?,
                };
                pieces.push(first.1);
            }
            Act::Limit(_, work) => {
                limits += 1;
                let late = ends.elapsed.get(&timer("timeout", limits));
                let late = late.map(|late| (*late, "late".to_owned()));
                let first = match (end_of(script, ends, work), late) {
                    (Ok(done), Some(late)) => done.min(late),
                    (Err(_), Some(late)) => late,
                    (done, None) => done?,
                };
                pieces.push(first.1);
            }
            Act::Sleep(_) => {
                sleeps += 1;
                let key = timer("sleep", sleeps);
                if !ends.elapsed.contains_key(&key) {
                    return Err(key);
                }
            }
            Act::Keep(_) | Act::Say(_) => {}
        }
    }
    Ok(pieces)
}

fn end_of(script: &Script, ends: &Ends, work: &Work) -> Result<(Seq, String), StepKey> {
    let (at, end) = ends.steps.get(&work.key).ok_or_else(|| work.key.clone())?;
    let said = match end {
        StepEnd::Value => piece(&work.value(script.id)),
        StepEnd::Assumed => piece(&assumed(&work.key)),
        StepEnd::Failed(kind) => failed(*kind),
    };
    Ok((*at, said))
}

/// What the output says of a step that failed.
pub(crate) fn failed(kind: StepFailureKind) -> String {
    format!("failed: {kind:?}")
}

fn timer(called: &str, nth: u32) -> StepKey {
    let name = Name::new(called).expect("it is a lower-case word");
    StepKey { scope: Vec::new(), name, nth }
}
