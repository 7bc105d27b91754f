//! What was executed is what the log allows: no settled step again, no `AtMostOnce` step twice, nothing undispatched.

use std::collections::{BTreeMap, HashMap};

use runtime_traits::log::{Entry, EntryKind, StepFailureKind, StepSettled, Verdict};
use runtime_traits::{AgentId, Digest, RunId, StepKey, StepSort, Usage};

use super::{Case, node_of};
use crate::chaos::effects::{Begun, Execution};
use crate::chaos::script::Sort;
use crate::chaos::violation::Law;

/// What a log says of its run's steps.
#[derive(Debug, Default)]
pub(super) struct Steps<'a> {
    /// Attempt and epoch of each dispatch.
    pub(super) dispatches: HashMap<(&'a StepKey, u32), (u32, u64)>,
    pub(super) settled: HashMap<&'a StepKey, (u32, &'a StepSettled)>,
    pub(super) repeats: HashMap<&'a StepKey, u64>,
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
                let sorts = script.steps().map(|(_, work)| (work.key.clone(), work.sort)).collect();
                self.check_counts(&run, log, &sorts, &steps, &executions);
                let acts: HashMap<_, _> = script.steps().map(|(at, work)| (&work.key, at)).collect();
                self.check_order(&run, |key| acts.get(key).copied(), &executions);
                self.check_marks(&run, &executions);
            } else if let (Some(log), Some(talk)) = (evidence.runs.get(&run), self.talks.get(&run).cloned()) {
                let steps = Steps::of(log);
                self.check_thoughts(&run, log, &talk, &steps, &executions);
                self.check_order(&run, |key| talk.moment(key), &executions);
                self.check_marks(&run, &executions);
            } else {
                let lost = self.pages.accepted.contains_key(&run);
                self.hold(Law::Invented, lost, || format!("a step of {run} was executed, which has no log"));
            }
            self.executions.insert(run, executions);
        }
        let mut paid: HashMap<_, (u64, u64)> = HashMap::new();
        for (run, log) in &evidence.runs {
            self.check_settled(run, log);
            if let (Some(accepted), Some(usage)) = (super::accepted(log), ended_usage(log)) {
                // What the runs that it called have paid for is theirs.
                let own = usage.minus(called_usage(log));
                let (tools, models) = paid.entry(accepted.agent).or_default();
                *tools += u64::from(own.tool_calls);
                *models += u64::from(own.model_calls);
            }
        }
        for (agent, paid) in paid {
            let of = |sums: &BTreeMap<AgentId, u64>| sums.get(&agent).copied().unwrap_or(0);
            let stored = (of(&evidence.tool_calls), of(&evidence.model_calls));
            self.hold(Law::Usage, stored == paid, || {
                format!("{agent} is said to have paid {stored:?} calls of tools and models, and its runs paid {paid:?}")
            });
        }
    }

    /// Counts against the log.
    pub(super) fn check_counts(
        &mut self,
        run: &RunId,
        log: &[Entry],
        sorts: &HashMap<StepKey, Sort>,
        steps: &Steps<'_>,
        executions: &[&Execution],
    ) {
        let mut of_dispatch: HashMap<(&StepKey, u32, u32), u32> = HashMap::new();
        let mut of_step: HashMap<&StepKey, u64> = HashMap::new();
        for Execution { begun, .. } in executions {
            let Begun { key, try_no, attempt, life, .. } = begun;
            let (try_no, attempt) = (*try_no, *attempt);
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
            let again = self.settled_before(log, steps, begun);
            self.hold(Law::Repeated, again.is_none(), || {
                format!("{}: it was settled in attempt and life {again:?}", here())
            });
        }
        for (key, times) in of_step {
            let allowed = 1 + steps.repeats.get(key).copied().unwrap_or(0);
            let once = sorts.get(key) == Some(&Sort::AtMostOnce);
            self.hold(Law::Twice, !once || times <= allowed, || {
                format!("`{key}` of {run} was executed {times} times, and {allowed} were allowed")
            });
        }
    }

    /// Where a step was settled, if that was before an execution of it: in an earlier attempt or process.
    pub(super) fn settled_before(
        &self,
        log: &[Entry],
        steps: &Steps<'_>,
        begun: &Begun,
    ) -> Option<(u32, Option<u32>)> {
        let (settled_in, _) = steps.settled.get(&begun.key)?;
        let life = node_of(log, *settled_in).and_then(|node| self.lives.get(&node)).copied();
        let later = begun.attempt > *settled_in || life.is_some_and(|settled| begun.life > settled);
        later.then_some((*settled_in, life))
    }

    /// Without the log: once a later act has begun, an earlier one is over for good. Executions under way when their
    /// process died may be told in any order, so only those of different processes are compared.
    fn check_order(
        &mut self,
        run: &RunId,
        act_of: impl Fn(&StepKey) -> Option<usize>,
        executions: &[&Execution],
    ) {
        let (mut furthest, mut in_life, mut life) = (0, 0, 0);
        for Execution { begun, .. } in executions {
            let Some(act) = act_of(&begun.key) else { continue };
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
            // Models are told no key.
            let of_model = begun.try_no == 0 && self.talks.contains_key(run);
            let key = Digest::of(format!("default/{run}/{}", begun.key).as_bytes()).to_string();
            self.hold(Law::Key, of_model || key[..32] == begun.idempotency_key, || {
                format!("`{}` of {run} has the idempotency key {}", begun.key, begun.idempotency_key)
            });
            let now = (begun.epoch, begun.attempt);
            self.hold(Law::Dispatch, now >= fence, || {
                format!("the fence of {run} falls from {fence:?} to {now:?} in life {}", begun.life)
            });
            fence = fence.max(now);
        }
    }

    /// Nothing is settled that was not done, and usage is the sum of what is said of each step last.
    fn check_settled(&mut self, run: &RunId, log: &[Entry]) {
        let mut used: HashMap<&StepKey, Usage> = HashMap::new();
        for entry in log {
            if let EntryKind::StepUnknown(unknown) = &entry.kind {
                used.insert(&unknown.key, unknown.usage);
            }
            let EntryKind::StepSettled(settled) = &entry.kind else { continue };
            used.insert(&settled.key, settled.usage);
            if self.talks.contains_key(run) {
                continue;
            }
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
            let sum = used.into_values().fold(Usage::default(), Usage::plus);
            self.hold(Law::Usage, usage == sum, || format!("{run} ends with {usage:?}, and booked {sum:?}"));
        }
    }
}

/// What the runs that a run called have used.
fn called_usage(log: &[Entry]) -> Usage {
    let mut calls: Vec<&StepKey> = Vec::new();
    let mut sum = Usage::default();
    for entry in log {
        match &entry.kind {
            EntryKind::StepOpened(opened) if opened.sort == StepSort::Call => calls.push(&opened.key),
            EntryKind::StepSettled(settled) if calls.contains(&&settled.key) => sum = sum.plus(settled.usage),
            _ => {}
        }
    }
    sum
}

fn ended_usage(log: &[Entry]) -> Option<Usage> {
    match &log.last()?.kind {
        EntryKind::Ended(ended) => Some(ended.usage),
        _ => None,
    }
}
