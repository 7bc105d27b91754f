//! Nothing is lost, nothing is stuck, nothing is invented; every log is whole; callers and readers were told the truth.

use std::collections::HashMap;

use runtime_traits::log::{Entry, EntryKind, Outcome, RunView, UnknownCause, Verdict};
use runtime_traits::{RunId, StepKey};

use super::{Case, accepted};
use crate::chaos::book::{called, mark};
use crate::chaos::host::agent_name;
use crate::chaos::script::Output;
use crate::chaos::violation::Law;

/// What a log has said of a step so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Dispatched,
    Unknown,
    Repeat,
    Ended,
}

impl Case<'_> {
    pub(super) fn check_logs(&mut self) {
        let (evidence, pages) = (self.evidence, self.pages);
        for run in pages.accepted.keys() {
            self.hold(Law::Lost, evidence.runs.contains_key(run), || {
                format!("{run} was accepted, and has no log")
            });
        }
        for (run, log) in &evidence.runs {
            self.check_log(run, log);
            self.check_steps_of(run, log);
            self.check_end(run, log);
            self.check_told(run, log);
        }
        self.check_origins();
        for run in &evidence.open {
            let over = evidence.runs.get(run).is_none_or(|log| is_over(log));
            self.hold(Law::Left, !over, || format!("{run} is over, and still listed as open"));
        }
        for run in &evidence.timers {
            let over = evidence.runs.get(run).is_none_or(|log| is_over(log));
            self.hold(Law::Left, !over, || format!("{run} is over, and a timer is still set for it"));
        }
    }

    fn check_log(&mut self, run: &RunId, log: &[Entry]) {
        let (mut attempt, mut epoch) = (0, 0);
        for (entry, number) in log.iter().zip(1..) {
            let (seq, last) = (entry.seq.0, number == log.len() as u64);
            self.hold(Law::Log, seq == number, || format!("entry {number} of {run} is {seq}"));
            let first = matches!(entry.kind, EntryKind::Accepted(_));
            self.hold(Law::Log, first == (number == 1), || {
                format!("entry {number} of {run}: `Accepted` or not")
            });
            let ends = matches!(entry.kind, EntryKind::Ended(_));
            self.hold(Law::Log, !ends || last, || format!("{run} goes on after its end at {number}"));
            if let EntryKind::Started(_) = entry.kind {
                let next = attempt + 1;
                self.hold(Law::Log, entry.attempt == next, || {
                    format!("attempt {} of {run} follows {}", entry.attempt, next - 1)
                });
                attempt = entry.attempt;
            }
            let fits = entry.attempt == attempt && entry.epoch >= epoch;
            self.hold(Law::Log, fits, || format!("entry {number} of {run} is of another attempt or epoch"));
            epoch = entry.epoch;
        }
    }

    /// A step is dispatched once, and again only after it was said that nobody knows its end; it ends once.
    fn check_steps_of(&mut self, run: &RunId, log: &[Entry]) {
        let mut steps: HashMap<&StepKey, (u32, Known)> = HashMap::new();
        for entry in log {
            let (key, fits, next) = match &entry.kind {
                EntryKind::StepOpened(opened) => {
                    (&opened.key, !steps.contains_key(&opened.key), (1, Known::Dispatched))
                }
                EntryKind::StepDispatched(again) => {
                    let before = steps.get(&again.key);
                    let fits = before.is_some_and(|(tries, known)| {
                        matches!(known, Known::Unknown | Known::Repeat) && again.try_no == tries + 1
                    });
                    (&again.key, fits, (again.try_no, Known::Dispatched))
                }
                EntryKind::StepSettled(settled) => {
                    let before = steps.get(&settled.key);
                    let fits = before.is_none_or(|before| *before == (settled.try_no, Known::Dispatched));
                    (&settled.key, fits, (settled.try_no, Known::Ended))
                }
                EntryKind::StepUnknown(unknown) => {
                    let before = steps.get(&unknown.key);
                    let fits = before.is_some_and(|before| before.1 != Known::Ended);
                    let over = unknown.cause != UnknownCause::Crash;
                    (&unknown.key, fits, (unknown.try_no, if over { Known::Ended } else { Known::Unknown }))
                }
                EntryKind::StepDecided(decided) => {
                    let before = steps.get(&decided.key).copied().unwrap_or((0, Known::Ended));
                    let repeat = decided.verdict == Verdict::Repeat;
                    let next = (before.0, if repeat { Known::Repeat } else { Known::Ended });
                    (&decided.key, before.1 == Known::Unknown, next)
                }
                _ => continue,
            };
            self.hold(Law::Log, fits, || {
                format!("entry {} of {run} is none that `{key}` may have", entry.seq.0)
            });
            steps.insert(key, next);
        }
    }

    /// Every run has its outcome. What it waited for until the end was decided, and nothing has come of it.
    fn check_end(&mut self, run: &RunId, log: &[Entry]) {
        self.hold(Law::Stuck, is_over(log), || {
            let view = RunView::of(*run, log);
            let waits = view.as_ref().map(|view| &view.waits);
            format!("{run} is {:?} and waits for {waits:?}", view.as_ref().map(|view| view.phase))
        });
    }

    fn check_told(&mut self, run: &RunId, log: &[Entry]) {
        let (evidence, pages) = (self.evidence, self.pages);
        for (seq, seen) in pages.seen.get(run).into_iter().flatten() {
            let stored = log.get(*seq as usize - 1).map(mark);
            self.hold(Law::Stream, stored.as_ref() == Some(seen), || {
                format!("entry {seq} of {run} was seen as `{seen}`, and is {stored:?}")
            });
        }
        let Some(told) = pages.ended.get(run) else { return };
        let outcome = outcome(log);
        let stored = outcome.map(called);
        self.hold(Law::Told, stored == Some(told.outcome), || {
            format!("{run} was told to be {}, and is {stored:?}", told.outcome)
        });
        if let Some(Outcome::Completed(output)) = outcome {
            let output = evidence.content(run.partition(), output);
            let read = |content: &runtime_traits::Content| content.parse::<Output>().ok();
            let (stored, told) = (output.as_ref().and_then(read), told.output.as_ref().and_then(read));
            let same = stored.is_some() && stored == told;
            self.hold(Law::Told, same, || {
                format!("{run}: the output that was told is not the one that is stored")
            });
        }
    }

    /// Every run was asked for, a keyed one once, any other no more often than it was asked for.
    fn check_origins(&mut self) {
        let (evidence, pages) = (self.evidence, self.pages);
        let mut runs_of: HashMap<u64, Vec<RunId>> = HashMap::new();
        for (run, log) in &evidence.runs {
            let script = self.scripts.get(run);
            let asked = script.and_then(|script| pages.asked.get(script.id as usize));
            let known = asked.is_some_and(|asked| Some(&asked.script) == script);
            self.hold(Law::Invented, known, || format!("{run} has an input that nobody gave"));
            let (Some(asked), Some(accepted)) = (asked, accepted(log)) else { continue };
            let agent = evidence.names.get(&agent_name(asked.agent));
            let place = agent == Some(&accepted.agent) && accepted.session == asked.session;
            self.hold(Law::Invented, place, || {
                format!("{run} is of another agent or session than asked for")
            });
            runs_of.entry(asked.script.id).or_default().push(*run);
        }
        for (script, runs) in runs_of {
            let asked = &pages.asked[script as usize];
            let most = if asked.key.is_some() { 1 } else { asked.times as usize };
            self.hold(Law::Key, runs.len() <= most, || {
                format!("script {script} was asked for {} times, and gave {runs:?}", asked.times)
            });
        }
    }
}

pub(super) fn outcome(log: &[Entry]) -> Option<&Outcome> {
    match &log.last()?.kind {
        EntryKind::Ended(ended) => Some(&ended.outcome),
        _ => None,
    }
}

fn is_over(log: &[Entry]) -> bool {
    outcome(log).is_some()
}
