//! What was executed is what the log allows: no settled step again, no `AtMostOnce` step twice, nothing undispatched.

use std::collections::HashMap;

use runtime_traits::log::{Entry, EntryKind, StepFailureKind, StepSettled, Verdict};
use runtime_traits::{Digest, RunId, StepKey, Usage};

use super::{Case, node_of};
use crate::chaos::effects::Execution;
use crate::chaos::script::{Script, Sort};
use crate::chaos::violation::Law;

/// What a log says of its run's steps.
#[derive(Debug, Default)]
struct Steps<'a> {
    /// Attempt and epoch of each dispatch.
    dispatches: HashMap<(&'a StepKey, u32), (u32, u64)>,
    settled: HashMap<&'a StepKey, (u32, &'a StepSettled)>,
    repeats: HashMap<&'a StepKey, u64>,
}

impl<'a> Steps<'a> {
    fn of(log: &'a [Entry]) -> Self {
        let mut steps = Self::default();
        for entry in log {
            let writer = (entry.attempt, entry.epoch);
            match &entry.kind {
                EntryKind::StepOpened(opened) if opened.dispatched => {
                    steps.dispatches.insert((&opened.key, 1), writer);
                }
                EntryKind::StepDispatched(again) => {
                    steps.dispatches.insert((&again.key, again.try_no), writer);
                }
                EntryKind::StepSettled(settled) => {
                    steps.settled.entry(&settled.key).or_insert((entry.attempt, settled));
                }
                EntryKind::StepDecided(decided) if decided.verdict == Verdict::Repeat => {
                    *steps.repeats.entry(&decided.key).or_default() += 1;
                }
                _ => {}
            }
        }
        steps
    }
}

impl Case<'_> {
    pub(super) fn check_steps(&mut self) {
        let evidence = self.evidence;
        for (run, executions) in std::mem::take(&mut self.executions) {
            if let (Some(log), Some(script)) = (evidence.runs.get(&run), self.scripts.get(&run).cloned()) {
                let steps = Steps::of(log);
                self.check_counts(&run, log, &script, &steps, &executions);
                self.check_order(&run, &script, &executions);
                self.check_marks(&run, &executions);
            } else {
                let lost = self.pages.accepted.contains_key(&run);
                self.hold(Law::Invented, lost, || format!("a step of {run} was executed, which has no log"));
            }
            self.executions.insert(run, executions);
        }
        let mut paid: HashMap<_, u64> = HashMap::new();
        for (run, log) in &evidence.runs {
            self.check_settled(run, log);
            if let (Some(accepted), Some(usage)) = (super::accepted(log), ended_usage(log)) {
                *paid.entry(accepted.agent).or_default() += u64::from(usage.tool_calls);
            }
        }
        for (agent, paid) in paid {
            let stored = evidence.tool_calls.get(&agent).copied().unwrap_or(0);
            self.hold(Law::Usage, stored == paid, || {
                format!("{agent} is said to have paid {stored} calls, and its runs paid {paid}")
            });
        }
    }

    /// Counts against the log.
    fn check_counts(
        &mut self,
        run: &RunId,
        log: &[Entry],
        script: &Script,
        steps: &Steps<'_>,
        executions: &[&Execution],
    ) {
        let sorts: HashMap<&StepKey, Sort> = script.steps().map(|(_, work)| (&work.key, work.sort)).collect();
        let mut of_dispatch: HashMap<(&StepKey, u32, u32), u32> = HashMap::new();
        let mut of_step: HashMap<&StepKey, u64> = HashMap::new();
        for Execution { begun, .. } in executions {
            let (key, try_no, attempt, life) = (&begun.key, begun.try_no, begun.attempt, begun.life);
            let here = || format!("`{key}` of {run}, try {try_no} in attempt {attempt} and life {life}");
            let Some(sort) = sorts.get(key) else {
                self.hold(Law::Invented, false, || format!("{}: its script has no such step", here()));
                continue;
            };
            // The log of a pure step is its result: it may be executed once in each attempt until then.
            let dispatch = if *sort == Sort::Pure { 1 } else { try_no };
            let again = of_dispatch.entry((key, dispatch, attempt)).or_default();
            *again += 1;
            let again = *again;
            self.hold(Law::Dispatch, again == 1, || format!("{}: executed {again} times", here()));
            *of_step.entry(key).or_default() += 1;
            let dispatched = match sort {
                Sort::Pure => node_of(log, attempt).is_some(),
                _ => steps.dispatches.get(&(key, try_no)) == Some(&(attempt, begun.epoch)),
            };
            self.hold(Law::Dispatch, dispatched, || format!("{}: the log has no such dispatch", here()));
            if let Some((settled_in, _)) = steps.settled.get(key) {
                let node = node_of(log, *settled_in);
                let settled_life = node.and_then(|node| self.lives.get(&node)).copied();
                let later = attempt > *settled_in || settled_life.is_some_and(|settled| life > settled);
                self.hold(Law::Repeated, !later, || {
                    format!("{}: it was settled in attempt {settled_in} and life {settled_life:?}", here())
                });
            }
        }
        for (key, times) in of_step {
            let allowed = 1 + steps.repeats.get(key).copied().unwrap_or(0);
            let once = sorts.get(key) == Some(&Sort::AtMostOnce);
            self.hold(Law::Twice, !once || times <= allowed, || {
                format!("`{key}` of {run} was executed {times} times, and {allowed} were allowed")
            });
        }
    }

    /// Without the log: once a later act has begun, an earlier one is over for good. Executions under way when their
    /// process died may be told in any order, so only those of different processes are compared.
    fn check_order(&mut self, run: &RunId, script: &Script, executions: &[&Execution]) {
        let acts: HashMap<&StepKey, usize> = script.steps().map(|(at, work)| (&work.key, at)).collect();
        let (mut furthest, mut in_life, mut life) = (0, 0, 0);
        for Execution { begun, .. } in executions {
            let Some(act) = acts.get(&begun.key).copied() else { continue };
            if begun.life != life {
                (furthest, life) = (in_life, begun.life);
            }
            in_life = in_life.max(act);
            self.hold(Law::Repeated, act >= furthest, || {
                let key = &begun.key;
                format!(
                    "`{key}` of {run} was executed in life {life}, although act {furthest} had begun before"
                )
            });
        }
    }

    /// What a step says of itself to the outside: a key of its own that never changes, a fence that never falls.
    fn check_marks(&mut self, run: &RunId, executions: &[&Execution]) {
        let mut fence = (0, 0);
        for Execution { begun, .. } in executions {
            let key = Digest::of(format!("default/{run}/{}", begun.key).as_bytes()).to_string();
            self.hold(Law::Key, key[..32] == begun.idempotency_key, || {
                format!("`{}` of {run} has the idempotency key {}", begun.key, begun.idempotency_key)
            });
            let now = (begun.epoch, begun.attempt);
            self.hold(Law::Dispatch, now >= fence, || {
                format!("the fence of {run} falls from {fence:?} to {now:?} in life {}", begun.life)
            });
            fence = fence.max(now);
        }
    }

    /// Nothing is settled that was not done, and usage is the sum of what was settled.
    fn check_settled(&mut self, run: &RunId, log: &[Entry]) {
        let mut sum = Usage::default();
        for entry in log {
            let EntryKind::StepSettled(settled) = &entry.kind else { continue };
            sum = sum.plus(settled.usage);
            let timed_out =
                settled.result.as_ref().is_err_and(|failure| failure.kind == StepFailureKind::TimedOut);
            let executions = self.executions.get(run);
            let done = executions.into_iter().flatten().any(|execution| {
                let begun = &execution.begun;
                let same = begun.key == settled.key && begun.attempt == entry.attempt;
                same && execution.ended && begun.try_no == settled.try_no
            });
            let key = &settled.key;
            self.hold(Law::Dispatch, done || timed_out, || {
                format!("`{key}` of {run} is settled, and was not done")
            });
            let calls = settled.usage.tool_calls;
            self.hold(Law::Usage, calls == u32::from(!timed_out), || {
                format!("`{key}` of {run} paid {calls} calls")
            });
        }
        if let Some(usage) = ended_usage(log) {
            self.hold(Law::Usage, usage == sum, || format!("{run} ends with {usage:?}, and settled {sum:?}"));
        }
    }
}

fn ended_usage(log: &[Entry]) -> Option<Usage> {
    match &log.last()?.kind {
        EntryKind::Ended(ended) => Some(ended.usage),
        _ => None,
    }
}
