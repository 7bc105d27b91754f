//! Compares what is stored with what was executed and with what callers were told. Pure.

mod called;
mod consents;
pub(super) mod events;
mod logs;
mod mail;
mod outputs;
mod said;
mod sessions;
mod steps;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thinking_tests;
mod thoughts;

use std::collections::{BTreeMap, HashMap};

use runtime_traits::content::Payload;
use runtime_traits::log::{Accepted, Author, Ended, Entry, EntryKind, Outcome, WaitClosed};
use runtime_traits::{NodeId, RunId};

use super::book::Pages;
use super::effects::Execution;
use super::evidence::Evidence;
use super::script::Script;
use super::talk::Talk;
use super::violation::{Law, Violation};

/// Everything that is known of a campaign.
#[derive(Debug)]
pub(super) struct Case<'a> {
    evidence: &'a Evidence,
    pages: &'a Pages,
    /// In the order of their processes, and of their ticks within each.
    executions: BTreeMap<RunId, Vec<&'a Execution>>,
    /// What each run plays, by its input.
    scripts: HashMap<RunId, Script>,
    /// The same of agents with models.
    talks: HashMap<RunId, Talk>,
    /// Which process has which number, by the executions in it.
    lives: HashMap<NodeId, u32>,
    found: Vec<Violation>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) runs: usize,
    pub(super) entries: usize,
    pub(super) executions: usize,
    /// Executions after the first one of their step.
    pub(super) repeats: usize,
    pub(super) attempts: usize,
    pub(super) verdicts: usize,
    pub(super) cancelled: usize,
    pub(super) handed_over: usize,
    /// Calls of models that were executed, and calls of their tools.
    pub(super) model_calls: usize,
    pub(super) tool_calls: usize,
    pub(super) consents: usize,
    pub(super) denials: usize,
    pub(super) answers: usize,
    /// Runs that steps of other runs asked for.
    pub(super) children: usize,
    pub(super) rolled_back: usize,
    /// What models and tools said.
    pub(super) said: usize,
    /// What was sent between partitions.
    pub(super) mails: u64,
    /// Events in topics.
    pub(super) events: usize,
}

/// Every violation, and what was looked at.
pub(super) fn check(
    evidence: &Evidence,
    pages: &Pages,
    executions: &[Execution],
) -> (Vec<Violation>, Looked) {
    let mut by_run: BTreeMap<RunId, Vec<&Execution>> = BTreeMap::new();
    for execution in executions {
        by_run.entry(execution.begun.run).or_default().push(execution);
    }
    for told in by_run.values_mut() {
        told.sort_by_key(|execution| (execution.begun.life, execution.tick));
    }
    let mut case = Case {
        evidence,
        pages,
        executions: by_run,
        scripts: HashMap::new(),
        talks: HashMap::new(),
        lives: HashMap::new(),
        found: pages.violations.clone(),
    };
    case.read_scripts();
    case.number_processes();
    case.check_logs();
    case.check_steps();
    case.check_outputs();
    case.check_sessions();
    case.check_consents();
    case.check_called();
    case.check_mail();
    case.check_events();
    case.found.sort();
    case.found.dedup();
    let looked = case.looked();
    (case.found, looked)
}

impl Case<'_> {
    /// Notes a violation unless `holds`.
    fn hold(&mut self, law: Law, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.found.push(Violation::new(law, what()));
        }
    }

    fn read_scripts(&mut self) {
        for (run, log) in &self.evidence.runs {
            let Some(accepted) = accepted(log) else { continue };
            let input = self.evidence.content(run.partition(), &accepted.input);
            let Some(input) = input else { continue };
            if let Ok(script) = input.parse() {
                self.scripts.insert(*run, script);
            } else if let Ok(talk) = input.parse() {
                self.talks.insert(*run, talk);
            }
        }
    }

    /// A process is known by the executions that it told of: each names its run's attempt, and the log its process.
    fn number_processes(&mut self) {
        let mut wrong = Vec::new();
        for (run, executions) in &self.executions {
            let Some(log) = self.evidence.runs.get(run) else { continue };
            for Execution { begun, .. } in executions {
                let Some(node) = node_of(log, begun.attempt) else { continue };
                let life = *self.lives.entry(node).or_insert(begun.life);
                if life != begun.life {
                    wrong.push(format!(
                        "attempt {} of {run} was worked in lives {life} and {}",
                        begun.attempt, begun.life
                    ));
                }
            }
        }
        self.found.extend(wrong.into_iter().map(|wrong| Violation::new(Law::Dispatch, wrong)));
    }

    fn looked(&self) -> Looked {
        let entries = || self.evidence.runs.values().flatten();
        let count = |is: fn(&EntryKind) -> bool| entries().filter(|entry| is(&entry.kind)).count();
        let executions: usize = self.executions.values().map(Vec::len).sum();
        let steps = self.executions.values().map(|executions| {
            let mut keys: Vec<_> = executions.iter().map(|execution| &execution.begun.key).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        });
        let thoughts = |of_model: bool| {
            let runs = self.executions.iter().filter(|(run, _)| self.talks.contains_key(run));
            let begun = runs.flat_map(|(_, executions)| executions).map(|execution| &execution.begun);
            begun.filter(|begun| (begun.try_no == 0) == of_model).count()
        };
        let closed = |word: &[u8]| {
            entries().filter(|entry| answer_of(&entry.kind).is_some_and(|answer| answer == word)).count()
        };
        let messages = self.evidence.sessions.values().flat_map(|conversation| &conversation.messages);
        Looked {
            runs: self.evidence.runs.len(),
            entries: entries().count(),
            executions,
            repeats: executions - steps.sum::<usize>(),
            attempts: count(|kind| matches!(kind, EntryKind::Started(_))),
            verdicts: count(|kind| matches!(kind, EntryKind::StepDecided(_))),
            cancelled: count(|kind| matches!(kind, EntryKind::CancelRequested(_))),
            handed_over: count(|kind| matches!(kind, EntryKind::AttemptEnded(_))),
            model_calls: thoughts(true),
            tool_calls: thoughts(false),
            consents: closed(b"approved"),
            denials: closed(b"denied"),
            answers: closed(b"answered"),
            children: self.evidence.runs.values().filter_map(|log| accepted(log)?.parent.as_ref()).count(),
            rolled_back: count(|kind| {
                matches!(kind, EntryKind::Ended(Ended { outcome: Outcome::RolledBack, .. }))
            }),
            said: messages.filter(|message| matches!(message.author, Author::Model | Author::Tool)).count(),
            mails: self.evidence.boxes.values().map(|boxes| boxes.inbox.written).sum(),
            events: self.evidence.topics.values().map(Vec::len).sum(),
        }
    }
}

fn accepted(log: &[Entry]) -> Option<&Accepted> {
    match &log.first()?.kind {
        EntryKind::Accepted(accepted) => Some(accepted),
        _ => None,
    }
}

/// The words with which a wait was ended.
fn answer_of(kind: &EntryKind) -> Option<&[u8]> {
    match kind {
        EntryKind::WaitClosed(WaitClosed { answer: Payload::Inline(answer), .. }) => Some(&answer.bytes),
        _ => None,
    }
}

/// The process that worked an attempt.
fn node_of(log: &[Entry], attempt: u32) -> Option<NodeId> {
    log.iter().find_map(|entry| match &entry.kind {
        EntryKind::Started(started) if entry.attempt == attempt => Some(started.node),
        _ => None,
    })
}
