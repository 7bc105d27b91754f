//! What models and tools were asked is what the log allows, and what runs came to is what their talks say.

use std::collections::{BTreeSet, HashMap};

use runtime_traits::log::{
    Accepted, Entry, EntryKind, FailureKind, Outcome, RunFailure, StepFailureKind, StepSettled,
};
use runtime_traits::model::ToolResult;
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::{Content, RunId, StepKey};

use super::logs::outcome;
use super::steps::Steps;
use super::{Case, accepted};
use crate::chaos::effects::{Begun, Execution};
use crate::chaos::talk::{RETRIES, Talk, Wish, call_step};
use crate::chaos::violation::Law;

impl Case<'_> {
    /// Counts against the log: tools like all steps; a model is asked once in a dispatch, and again as often as it broke
    /// off.
    pub(super) fn check_thoughts(
        &mut self,
        run: &RunId,
        log: &[Entry],
        talk: &Talk,
        steps: &Steps<'_>,
        executions: &[&Execution],
    ) {
        let (of_model, of_tools): (Vec<&Execution>, Vec<&Execution>) =
            executions.iter().partition(|execution| talk.turn(&execution.begun.key).is_some());
        let sorts = talk.deeds().map(|(key, deed)| (key, deed.sort)).collect();
        self.check_counts(run, log, &sorts, steps, &of_tools);
        let mut asked: HashMap<(&StepKey, u32), u32> = HashMap::new();
        for Execution { begun, .. } in of_model {
            let Begun { key, attempt, life, epoch, .. } = begun;
            let here = || format!("`{key}` of {run}, in attempt {attempt} and life {life}");
            let most = talk.turn(key).map_or(0, |(_, turn)| 1 + turn.stumbles.min(RETRIES));
            let times = asked.entry((key, *attempt)).or_default();
            *times += 1;
            let times = *times;
            self.hold(Law::Dispatch, times <= most, || format!("{}: asked {times} times", here()));
            let dispatched =
                steps.dispatches.iter().any(|((of, _), by)| *of == key && *by == (*attempt, *epoch));
            self.hold(Law::Dispatch, dispatched, || format!("{}: the log has no such dispatch", here()));
            let again = self.settled_before(log, steps, begun);
            self.hold(Law::Repeated, again.is_none(), || {
                format!("{}: it was settled in attempt and life {again:?}", here())
            });
        }
    }

    /// Nothing is settled that was not done, nothing has another value than its talk says, and the run ends as it says.
    pub(super) fn check_talk(&mut self, run: &RunId, log: &[Entry], talk: &Talk) {
        let mut cancelled = false;
        for entry in log {
            match &entry.kind {
                EntryKind::StepSettled(settled) => {
                    self.check_thought(run, entry.attempt, talk, settled, cancelled);
                }
                EntryKind::CancelRequested(_) => cancelled = true,
                _ => {}
            }
        }
        let wish = self.wish_to_end(run);
        self.hold(Law::Cancelled, wish.is_some() || !cancelled, || format!("nobody cancelled {run}"));
        match outcome(log) {
            Some(Outcome::Completed(output)) => {
                self.hold(Law::Cancelled, !cancelled, || format!("{run} completed in spite of a cancel"));
                let output = self.evidence.content(run.partition(), output);
                let expected = self.handed_over(run, log, talk).unwrap_or_else(|| Content::text(&*talk.word));
                self.hold(Law::Output, output.as_ref() == Some(&expected), || {
                    format!("{run}, talk {}: {output:?} came instead of {expected:?}", talk.talk)
                });
            }
            Some(Outcome::Failed(RunFailure { kind: FailureKind::Agent, message })) => {
                let right = talk.breaks().is_some();
                self.hold(Law::Output, right, || format!("{run}, talk {}: failed: {message}", talk.talk));
            }
            Some(Outcome::Cancelled(_)) => {
                self.hold(Law::Cancelled, wish.is_some(), || format!("{run} was cancelled without a wish"));
            }
            Some(Outcome::RolledBack) => {
                let right = wish == Some(SessionPolicy::Rollback);
                self.hold(Law::Cancelled, right, || format!("{run} was rolled back without a wish"));
            }
            Some(other @ (Outcome::Failed(_) | Outcome::Continued(_))) => {
                self.hold(Law::Output, false, || format!("{run} ended with {other:?}"));
            }
            // Law `Stuck` has it.
            None => {}
        }
    }

    fn check_thought(
        &mut self,
        run: &RunId,
        attempt: u32,
        talk: &Talk,
        settled: &StepSettled,
        cancelled: bool,
    ) {
        let StepSettled { key, try_no, usage, .. } = settled;
        let done = |of_model: bool| {
            let executions = self.executions.get(run).into_iter().flatten();
            let mut same = executions.filter(|Execution { begun, .. }| {
                begun.key == *key && begun.attempt == attempt && (of_model || begun.try_no == *try_no)
            });
            same.any(|execution| execution.ended)
        };
        let failed = settled.result.as_ref().err().map(|failure| failure.kind);
        if let Some((turn, said)) = talk.turn(key) {
            // In a run that is to end a call that broke off is not made once more.
            let is_cut_short = cancelled && failed.is_some() && said.stumbles > 0;
            let right = match failed {
                None => done(true) && said.stumbles <= RETRIES,
                Some(kind) => kind == StepFailureKind::Work && (talk.breaks() == Some(turn) || is_cut_short),
            };
            self.hold(Law::Dispatch, right, || format!("`{key}` of {run} is settled, and was not done"));
            // A try that a death or a drain cut off is booked with one call more than are known to have broken off in it;
            // one that was cut off before it began, with none.
            let executions = self.executions.get(run).into_iter().flatten();
            let tries: BTreeSet<u32> = executions
                .filter(|execution| execution.begun.key == *key)
                .map(|execution| execution.begun.try_no)
                .collect();
            let broke = said.stumbles.min(RETRIES);
            let least = if is_cut_short { 1 } else { tries.len() as u32 + broke };
            let calls = least..=try_no * (1 + broke);
            self.hold(Law::Usage, calls.contains(&usage.model_calls), || {
                format!("`{key}` of {run} paid {} calls of its model, not {calls:?}", usage.model_calls)
            });
        } else if let Some(order) = talk.order(key).filter(|_| !is_said(key)) {
            if failed == Some(StepFailureKind::TimedOut) {
                return;
            }
            let denied = failed == Some(StepFailureKind::Denied) && order.deed.consent;
            let done = failed.is_none() && done(false);
            self.hold(Law::Dispatch, done || denied, || {
                format!("`{key}` of {run} is settled, and was not done")
            });
            self.hold(Law::Usage, usage.tool_calls == u32::from(!denied), || {
                format!("`{key}` of {run} paid {} calls", usage.tool_calls)
            });
            let said = self.said_value(run, settled).and_then(|content| content.parse::<ToolResult>().ok());
            let right = match (order.said(), said) {
                (Ok(text), Some(said)) => said.text == text && !said.failed,
                (Err(why), Some(said)) => said.text == format!("Error: {why}") && said.failed,
                (_, None) => denied,
            };
            self.hold(Law::Output, right, || {
                format!("`{key}` of {run} is settled with what its talk does not say")
            });
        } else {
            let known = talk.wish(key).is_some();
            self.hold(Law::Invented, known, || format!("`{key}` of {run}: its talk has no such step"));
        }
    }

    /// The output of the run that the conversation was handed over to.
    fn handed_over(&self, run: &RunId, log: &[Entry], talk: &Talk) -> Option<Content> {
        let handed = talk.turns.iter().zip(1..).find_map(|(said, turn)| {
            let call = said.calls.iter().position(|wish| matches!(wish, Wish::HandOff(_)))?;
            Some(call_step(turn, call, &said.calls[call].tool()))
        })?;
        log.iter().find_map(|entry| match &entry.kind {
            EntryKind::StepSettled(StepSettled { key, result: Ok(output), .. }) if *key == handed => {
                self.evidence.content(run.partition(), output)?.parse().ok()
            }
            _ => None,
        })
    }

    /// Whether somebody may have wanted a run to end early, and how.
    fn wish_to_end(&self, run: &RunId) -> Option<SessionPolicy> {
        let own = accepted(self.evidence.runs.get(run)?)?;
        let takes_its_place = |(other, accepted): &(&RunId, &Accepted)| {
            *other != run && accepted.agent == own.agent && accepted.session == own.session
        };
        let others = self.evidence.runs.iter().filter_map(|(other, log)| Some((other, accepted(log)?)));
        let policies: Vec<_> = others.filter(takes_its_place).map(|(_, accepted)| accepted.policy).collect();
        let cancelled = self.pages.cancels.iter().any(|cancel| cancel.run == *run) || own.parent.is_some();
        if policies.contains(&SessionPolicy::Rollback) {
            Some(SessionPolicy::Rollback)
        } else if policies.contains(&SessionPolicy::Interrupt) || cancelled {
            Some(SessionPolicy::Interrupt)
        } else {
            None
        }
    }
}

/// Whether a step only says what came of another one.
pub(super) fn is_said(key: &StepKey) -> bool {
    key.name.as_str().ends_with(".said")
}
