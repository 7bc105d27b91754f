//! Nothing is lost, nothing is stuck, nothing is invented; every log is whole; callers and readers were told the truth.

use std::collections::HashMap;

use runtime_traits::log::{Entry, EntryKind, Outcome, RunView, UnknownCause, Verdict, WaitId, WaitOn};
use runtime_traits::{RunId, StepKey, StepSort};

use super::{Case, accepted};
use crate::chaos::book::{Input, called, mark};
use crate::chaos::script::Output;
use crate::chaos::violation::Law;

/// What a log has said of a step so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Asked for; what it waits for has not come.
    Asked,
    /// It waits for it no longer, and may be dispatched or settled.
    Answered,
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

    /// A step is dispatched once, and again only after it was said that nobody knows its end, or that a call of it broke off
    /// and its work makes another; it ends once.
    fn check_steps_of(&mut self, run: &RunId, log: &[Entry]) {
        let mut steps: HashMap<&StepKey, (u32, Known)> = HashMap::new();
        let mut waits: HashMap<WaitId, &StepKey> = HashMap::new();
        for entry in log {
            let (key, fits, next) = match &entry.kind {
                EntryKind::StepOpened(opened) => {
                    let next = if opened.dispatched { (1, Known::Dispatched) } else { (0, Known::Asked) };
                    (&opened.key, !steps.contains_key(&opened.key), next)
                }
                EntryKind::StepDispatched(again) => {
                    let before = steps.get(&again.key);
                    let fits = before.is_some_and(|(tries, known)| {
                        let begins = match known {
                            Known::Unknown | Known::Repeat | Known::Answered => true,
                            Known::Dispatched => !again.broke_off.is_none(),
                            _ => false,
                        };
                        begins && again.try_no == tries + 1
                    });
                    (&again.key, fits, (again.try_no, Known::Dispatched))
                }
                EntryKind::StepSettled(settled) => {
                    let before = steps.get(&settled.key);
                    let fits = before.is_none_or(|(tries, known)| {
                        let first = is_call(log, &settled.key) && *known == Known::Asked;
                        let ends = first || matches!(known, Known::Dispatched | Known::Answered);
                        *tries == settled.try_no && ends
                    });
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
                EntryKind::WaitOpened(opened) => {
                    let Some(key) = asked_by(&opened.on) else { continue };
                    waits.insert(opened.wait, key);
                    (key, steps.get(key) == Some(&(0, Known::Asked)), (0, Known::Asked))
                }
                EntryKind::WaitClosed(closed) => {
                    let Some(key) = waits.get(&closed.wait).copied() else { continue };
                    // A step that was dropped has its end before.
                    let Some((_, Known::Asked)) = steps.get(key) else { continue };
                    (key, true, (0, Known::Answered))
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
            let same = if self.scripts.contains_key(run) {
                // People's JSON orders fields anew.
                let read = |content: &runtime_traits::Content| content.parse::<Output>().ok();
                let (stored, told) = (output.as_ref().and_then(read), told.output.as_ref().and_then(read));
                stored.is_some() && stored == told
            } else {
                output.is_some() && output == told.output
            };
            self.hold(Law::Told, same, || {
                format!("{run}: the output that was told is not the one that is stored")
            });
        }
    }

    /// The submission that a run's input belongs to, if it is the very input.
    fn submission(&self, run: &RunId) -> Option<u64> {
        let asked = |id: u64| self.pages.asked.get(id as usize).map(|asked| &asked.input);
        match (self.scripts.get(run), self.talks.get(run)) {
            (Some(script), _) => {
                let same = asked(script.id) == Some(&Input::Script(script.clone()));
                same.then_some(script.id)
            }
            (None, Some(talk)) => {
                let id = talk.submission()?;
                (asked(id) == Some(&Input::Talk(talk.clone()))).then_some(id)
            }
            (None, None) => None,
        }
    }

    /// Every run was asked for, a keyed one once, any other no more often than it was asked for.
    fn check_origins(&mut self) {
        let (evidence, pages) = (self.evidence, self.pages);
        let mut runs_of: HashMap<u64, Vec<RunId>> = HashMap::new();
        for (run, log) in &evidence.runs {
            let Some(accepted) = accepted(log) else { continue };
            // Law `Called` looks at those that other runs asked for.
            if accepted.parent.is_some() {
                continue;
            }
            let asked = self.submission(run).and_then(|id| Some((id, pages.asked.get(id as usize)?)));
            self.hold(Law::Invented, asked.is_some(), || format!("{run} has an input that nobody gave"));
            let Some((id, asked)) = asked else { continue };
            let agent = evidence.names.get(&asked.agent);
            let place = agent == Some(&accepted.agent) && accepted.session == asked.session;
            self.hold(Law::Invented, place, || {
                format!("{run} is of another agent or session than asked for")
            });
            runs_of.entry(id).or_default().push(*run);
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

/// The step that asks somebody outside for something.
fn asked_by(on: &WaitOn) -> Option<&StepKey> {
    match on {
        WaitOn::Approval(key) | WaitOn::Answer(key) | WaitOn::Child { step: key, .. } => Some(key),
        _ => None,
    }
}

/// Whether a step calls another agent. Where there is none of that name it waits for nothing.
fn is_call(log: &[Entry], key: &StepKey) -> bool {
    log.iter().any(|entry| {
        matches!(&entry.kind, EntryKind::StepOpened(opened) if opened.key == *key && opened.sort == StepSort::Call)
    })
}

pub(super) fn outcome(log: &[Entry]) -> Option<&Outcome> {
    match &log.last()?.kind {
        EntryKind::Ended(ended) => Some(&ended.outcome),
        _ => None,
    }
}

/// Whether a run was in quarantine once: its session went on without it.
pub(super) fn was_aside(log: &[Entry]) -> bool {
    log.iter().any(|entry| matches!(&entry.kind, EntryKind::WaitOpened(opened) if !opened.holds_session))
}

fn is_over(log: &[Entry]) -> bool {
    outcome(log).is_some()
}
