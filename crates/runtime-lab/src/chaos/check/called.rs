//! Runs that steps of other runs ask for: one for each step, told as it ended, and over when nobody wants it.

use std::collections::HashMap;
use std::time::Duration;

use runtime_traits::log::{Entry, EntryKind, Outcome, StepSettled, WaitOn};
use runtime_traits::{Content, RunId, StepKey};

use super::logs::outcome;
use super::{Case, accepted};
use crate::chaos::violation::Law;

/// How long a run may go on that nobody wants any more: its wish to end is on its way through a few lives.
const UNWANTED: Duration = Duration::from_secs(10);

impl Case<'_> {
    pub(super) fn check_called(&mut self) {
        let evidence = self.evidence;
        let mut of_step: HashMap<(RunId, &StepKey), RunId> = HashMap::new();
        for (run, log) in &evidence.runs {
            let Some((parent, step)) = accepted(log).and_then(|accepted| accepted.parent.as_ref()) else {
                continue;
            };
            let before = of_step.insert((*parent, step), *run);
            self.hold(Law::Called, before.is_none(), || format!("`{step}` of {parent} called two runs"));
            let asked = evidence.runs.get(parent).and_then(|log| called(log, step)) == Some(*run);
            self.hold(Law::Called, asked, || format!("`{step}` of {parent} did not call {run}"));
            let wanted = self.talks.get(parent).and_then(|talk| talk.wish(step)?.2.talk());
            let right = wanted.is_some() && wanted == self.talks.get(run);
            self.hold(Law::Called, right, || {
                format!("{run} has an input that `{step}` of {parent} does not")
            });
        }
        for (run, log) in &evidence.runs {
            for entry in log {
                if let EntryKind::WaitOpened(opened) = &entry.kind
                    && let WaitOn::Child { step, run: child } = &opened.on
                {
                    self.check_call(run, log, step, child);
                }
            }
        }
    }

    /// What a call came to is what its run came to.
    fn check_call(&mut self, run: &RunId, log: &[Entry], step: &StepKey, child: &RunId) {
        let evidence = self.evidence;
        let settled = log.iter().find_map(|entry| match &entry.kind {
            EntryKind::StepSettled(settled) if settled.key == *step => Some(settled),
            _ => None,
        });
        let here = || format!("`{step}` of {run}, which called {child}");
        let Some(child_log) = evidence.runs.get(child) else {
            // It was refused: its conversation was busy, say.
            let refused = settled.is_none_or(|settled| settled.result.is_err());
            self.hold(Law::Called, refused, || format!("{}: there is no such run", here()));
            return;
        };
        let Some(settled) = settled else {
            let (Some(end), Some(child_end)) = (log.last(), child_log.last()) else { return };
            let ended_early = matches!(outcome(child_log), Some(Outcome::Cancelled(_) | Outcome::RolledBack));
            let soon = child_end.at.since(end.at) < UNWANTED;
            self.hold(Law::Called, ended_early || soon, || {
                format!("{}: nobody wanted it any more, and it went on", here())
            });
            return;
        };
        let same = self.same_end(run, settled, child, child_log);
        self.hold(Law::Called, same, || {
            format!("{}: it came to {:?}, and the run to {:?}", here(), settled.result, outcome(child_log))
        });
        if let Some(Entry { kind: EntryKind::Ended(ended), .. }) = child_log.last() {
            self.hold(Law::Usage, ended.usage == settled.usage, || {
                format!("{}: {:?} was used, and {:?} is billed", here(), ended.usage, settled.usage)
            });
        }
    }

    fn same_end(&self, run: &RunId, settled: &StepSettled, child: &RunId, child_log: &[Entry]) -> bool {
        match (&settled.result, outcome(child_log)) {
            (Ok(given), Some(Outcome::Completed(output))) => {
                let given = self.evidence.content(run.partition(), given);
                let given = given.and_then(|given| given.parse::<Content>().ok());
                given.is_some() && given == self.evidence.content(child.partition(), output)
            }
            (Err(failure), Some(Outcome::Failed(why))) => failure.message == why.message,
            (Err(failure), Some(Outcome::Cancelled(_))) => failure.message == "the run was cancelled",
            (Err(failure), Some(Outcome::RolledBack)) => failure.message == "the run was rolled back",
            _ => false,
        }
    }
}

/// The run that a step called.
fn called(log: &[Entry], step: &StepKey) -> Option<RunId> {
    log.iter().find_map(|entry| match &entry.kind {
        EntryKind::WaitOpened(opened) => match &opened.on {
            WaitOn::Child { step: of, run } if of == step => Some(*run),
            _ => None,
        },
        _ => None,
    })
}
