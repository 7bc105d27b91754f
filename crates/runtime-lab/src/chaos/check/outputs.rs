//! Values, outputs and outcomes are what the script, the verdicts and the cancels say.

use std::time::Duration;

use runtime_traits::log::{
    DecidedBy, EntryKind, FailureKind, Outcome, RunFailure, StepFailureKind, Stopped, UnknownCause, Verdict,
    WaitOn,
};
use runtime_traits::runtime::{CancelReceipt, Decision};
use runtime_traits::{Content, Entry, RunId, StepKey};

use super::Case;
use super::logs::outcome;
use crate::chaos::book::called;
use crate::chaos::script::{Ends, Output, Script, StepEnd, assumed, expected};
use crate::chaos::violation::Law;

/// How long an execution may take to be told: it was sent before the receipt, and came after it.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

impl Case<'_> {
    pub(super) fn check_outputs(&mut self) {
        let evidence = self.evidence;
        for (run, log) in &evidence.runs {
            if let Some(script) = self.scripts.get(run).cloned() {
                let ends = self.read_ends(run, log, &script);
                self.check_outcome(run, log, &script, &ends);
            } else if let Some(talk) = self.talks.get(run).cloned() {
                self.check_talk(run, log, &talk);
            }
            self.check_verdicts(run, log);
        }
        self.check_receipts();
    }

    /// How the steps ended, and whether their values are right.
    fn read_ends(&mut self, run: &RunId, log: &[Entry], script: &Script) -> Ends {
        let (mut ends, mut timers) = (Ends::default(), std::collections::HashMap::new());
        for entry in log {
            let (key, end) = match &entry.kind {
                EntryKind::StepSettled(settled) => {
                    let value =
                        settled.result.as_ref().map(|value| self.evidence.content(run.partition(), value));
                    let end = match &value {
                        Ok(_) => StepEnd::Value,
                        Err(failure) => StepEnd::Failed(failure.kind),
                    };
                    let work = script.steps().map(|(_, work)| work).find(|work| work.key == settled.key);
                    let right = work.is_some_and(|work| match value {
                        Ok(value) => !work.fails && is_text(value.as_ref(), &work.value(script.id)),
                        Err(failure) => match failure.kind {
                            StepFailureKind::Work => {
                                work.fails && failure.message == format!("{} fails", work.key)
                            }
                            StepFailureKind::TimedOut => work.within.is_some(),
                            StepFailureKind::Decided
                            | StepFailureKind::Denied
                            | StepFailureKind::Limit
                            | StepFailureKind::Away { .. } => false,
                        },
                    });
                    self.hold(Law::Output, right, || {
                        format!("`{}` of {run} is settled with what its script does not say", settled.key)
                    });
                    (&settled.key, end)
                }
                EntryKind::StepDecided(decided) => match &decided.verdict {
                    Verdict::Assume(value) => {
                        let value = self.evidence.content(run.partition(), value);
                        let right = is_text(value.as_ref(), &assumed(&decided.key));
                        self.hold(Law::Decided, right, || {
                            format!("`{}` of {run} has an assumed value that nobody named", decided.key)
                        });
                        (&decided.key, StepEnd::Assumed)
                    }
                    Verdict::Fail => (&decided.key, StepEnd::Failed(StepFailureKind::Decided)),
                    Verdict::Repeat => continue,
                },
                EntryKind::StepUnknown(unknown) if unknown.cause == UnknownCause::TimedOut => {
                    (&unknown.key, StepEnd::Failed(StepFailureKind::TimedOut))
                }
                EntryKind::WaitOpened(opened) => {
                    if let WaitOn::Time(key) = &opened.on {
                        timers.insert(opened.wait, key.clone());
                    }
                    continue;
                }
                EntryKind::WaitClosed(closed) => {
                    let answer = self.evidence.content(run.partition(), &closed.answer);
                    if answer.is_some_and(|answer| answer.bytes == "elapsed")
                        && let Some(key) = timers.get(&closed.wait)
                    {
                        ends.elapsed.insert(key.clone(), entry.seq);
                    }
                    continue;
                }
                _ => continue,
            };
            let before = ends.steps.insert(key.clone(), (entry.seq, end));
            self.hold(Law::Log, before.is_none(), || format!("`{key}` of {run} ends twice"));
        }
        ends
    }

    fn check_outcome(&mut self, run: &RunId, log: &[Entry], script: &Script, ends: &Ends) {
        let cancelled = log.iter().any(|entry| matches!(entry.kind, EntryKind::CancelRequested(_)));
        let wanted = self.pages.cancels.iter().any(|cancel| cancel.run == *run);
        self.hold(Law::Cancelled, wanted || !cancelled, || format!("nobody cancelled {run}"));
        match outcome(log) {
            Some(Outcome::Completed(output)) => {
                self.hold(Law::Cancelled, !cancelled, || format!("{run} completed in spite of a cancel"));
                let content = self.evidence.content(run.partition(), output);
                let output: Option<Output> = content.and_then(|content| content.parse().ok());
                let pieces = expected(script, ends);
                let right = output.as_ref().is_some_and(|output| {
                    output.script == script.id
                        && output.padding == script.padding
                        && pieces.as_ref() == Ok(&output.pieces)
                        && !script.fails
                });
                self.hold(Law::Output, right, || {
                    let came = output.map(|output| output.pieces);
                    format!("{run}, script {}: {came:?} came instead of {pieces:?}", script.id)
                });
            }
            Some(Outcome::Failed(RunFailure { kind: FailureKind::Agent, message })) => {
                let right = script.fails && *message == script.failure() && expected(script, ends).is_ok();
                self.hold(Law::Output, right, || format!("{run}, script {}: failed: {message}", script.id));
            }
            Some(Outcome::Cancelled(_)) => {
                self.hold(Law::Cancelled, cancelled, || format!("{run} was cancelled without a wish"));
            }
            Some(other) => self.hold(Law::Output, false, || format!("{run} ended with {other:?}")),
            // Law `Stuck` has it.
            None => {}
        }
    }

    /// Recorded verdicts are given ones, and those that were answered are recorded.
    fn check_verdicts(&mut self, run: &RunId, log: &[Entry]) {
        let mut recorded: Vec<(&StepKey, &'static str)> = Vec::new();
        for entry in log {
            if let EntryKind::StepDecided(decided) = &entry.kind
                && matches!(decided.by, DecidedBy::Principal(_))
            {
                recorded.push((&decided.key, verdict(&decided.verdict)));
            }
        }
        let given: Vec<_> = self.pages.decisions.iter().filter(|given| given.run == *run).collect();
        let count = |of: &[(&StepKey, &'static str)], one| of.iter().filter(|other| **other == one).count();
        let sent: Vec<_> = given.iter().map(|given| (&given.step, decision(&given.verdict))).collect();
        let answered: Vec<_> = given
            .iter()
            .filter(|given| given.recorded)
            .map(|given| (&given.step, decision(&given.verdict)))
            .collect();
        for one in &recorded {
            self.hold(Law::Decided, count(&recorded, *one) <= count(&sent, *one), || {
                format!("nobody decided on {run}: {one:?}")
            });
        }
        for one in &answered {
            self.hold(Law::Decided, count(&answered, *one) <= count(&recorded, *one), || {
                format!("the verdict on {run} was answered, and is not recorded: {one:?}")
            });
        }
    }

    fn check_receipts(&mut self) {
        let pages = self.pages;
        for cancel in &pages.cancels {
            let Some((receipt, at, life)) = &cancel.answer else { continue };
            let run = cancel.run;
            let stored = self.evidence.runs.get(&run).and_then(|log| outcome(log)).map(called);
            let told = match receipt {
                CancelReceipt::Cancelled(_) => "cancelled",
                CancelReceipt::AlreadyEnded(outcome) => called(outcome),
            };
            self.hold(Law::Cancelled, stored == Some(told), || {
                format!("the receipt says that {run} is {told}, and it is {stored:?}")
            });
            let CancelReceipt::Cancelled(receipt) = receipt else { continue };
            if receipt.stopped == Stopped::Abandoned {
                continue;
            }
            let executions = self.executions.get(&run).cloned().unwrap_or_default();
            for execution in executions {
                let later = execution.begun.life > *life || execution.at > at.after(ON_ITS_WAY);
                self.hold(Law::Cancelled, !later, || {
                    format!("`{}` of {run} was executed after the receipt of its cancel", execution.begun.key)
                });
            }
        }
    }
}

fn is_text(content: Option<&Content>, text: &str) -> bool {
    content.and_then(|content| content.parse::<String>().ok()).is_some_and(|value| value == text)
}

fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Repeat => "repeat",
        Verdict::Assume(_) => "assume",
        Verdict::Fail => "fail",
    }
}

fn decision(decision: &Decision) -> &'static str {
    match decision {
        Decision::Repeat => "repeat",
        Decision::Assume(_) => "assume",
        Decision::Fail => "fail",
    }
}
