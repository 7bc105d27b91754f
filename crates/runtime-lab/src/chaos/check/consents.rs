//! Consents are neither lost nor used twice: each that was answered is recorded once, and without one nothing is done.

use std::collections::HashMap;

use runtime_traits::content::Digest;
use runtime_traits::log::{Entry, EntryKind, StepFailureKind, StepSettled, UnknownCause, WaitId, WaitOn};
use runtime_traits::{Content, RunId, StepKey};

use super::{Case, answer_of};
use crate::chaos::book::Word;
use crate::chaos::operator::answer_to;
use crate::chaos::talk::Talk;
use crate::chaos::violation::Law;

/// The words that a log has, each with its step, and whether it came before any dispatch of it.
type Words<'a> = Vec<(&'a StepKey, Word)>;

impl Case<'_> {
    pub(super) fn check_consents(&mut self) {
        let evidence = self.evidence;
        for (run, log) in &evidence.runs {
            let words = words(log);
            self.check_words(run, &words);
            if let Some(talk) = self.talks.get(run).cloned() {
                self.check_uses(run, log, &talk, &words);
                self.check_answers(run, log, &talk);
            }
        }
    }

    /// What is recorded was said, and what was answered is recorded; of each step once.
    fn check_words(&mut self, run: &RunId, words: &Words<'_>) {
        let pages = self.pages;
        let said: Vec<_> = pages.replies.iter().filter(|reply| reply.run == *run).collect();
        for (step, word) in words {
            let once = words.iter().filter(|(of, _)| of == step).count() == 1;
            self.hold(Law::Consent, once, || format!("`{step}` of {run} was answered more than once"));
            let given = said.iter().any(|reply| reply.step == **step && reply.word == *word);
            self.hold(Law::Consent, given, || format!("`{step}` of {run}: nobody said {word:?}"));
        }
        for reply in said.into_iter().filter(|reply| reply.recorded) {
            let there = words.contains(&(&reply.step, reply.word));
            self.hold(Law::Consent, there, || {
                format!("{:?} to `{}` of {run} was answered, and is not recorded", reply.word, reply.step)
            });
        }
    }

    /// A step that needs consent asks for it with its very request, and begins after it only.
    fn check_uses(&mut self, run: &RunId, log: &[Entry], talk: &Talk, words: &Words<'_>) {
        let needs = |key: &StepKey| talk.order(key).is_some_and(|order| order.deed.consent);
        let mut asked: HashMap<&StepKey, Digest> = HashMap::new();
        let mut consented: Vec<&StepKey> = Vec::new();
        let mut dispatched: HashMap<&StepKey, (u32, u64, u32)> = HashMap::new();
        let waits = waits(log);
        for entry in log {
            match &entry.kind {
                EntryKind::StepOpened(opened) if needs(&opened.key) => {
                    asked.insert(&opened.key, opened.digest);
                    self.hold(Law::Consent, !opened.dispatched, || {
                        format!("`{}` of {run} began without being consented to", opened.key)
                    });
                }
                EntryKind::WaitOpened(opened) => {
                    if let WaitOn::Approval(key) = &opened.on {
                        let same = asked.get(key) == Some(&opened.digest);
                        self.hold(Law::Consent, same, || {
                            format!("`{key}` of {run} asks for consent to something else")
                        });
                    }
                }
                EntryKind::WaitClosed(closed) if answer_of(&entry.kind) == Some(b"approved") => {
                    consented.extend(waits.get(&closed.wait));
                }
                EntryKind::StepDispatched(begun) if needs(&begun.key) => {
                    self.hold(Law::Consent, consented.contains(&&begun.key), || {
                        format!("`{}` of {run} was dispatched without consent", begun.key)
                    });
                    dispatched.insert(&begun.key, (entry.attempt, entry.epoch, begun.try_no));
                }
                EntryKind::StepUnknown(unknown) if unknown.cause == UnknownCause::Crash => {
                    // Nobody died: who dispatched it did not do it.
                    let now = (entry.attempt, entry.epoch, unknown.try_no);
                    let given_up = dispatched.get(&unknown.key) == Some(&now);
                    let done = self.executions.get(run).into_iter().flatten().any(|execution| {
                        execution.begun.key == unknown.key && execution.begun.try_no == unknown.try_no
                    });
                    self.hold(Law::Consent, !given_up || done, || {
                        format!("`{}` of {run} was consented to, and given up before it began", unknown.key)
                    });
                }
                _ => {}
            }
        }
        for execution in self.executions.get(run).cloned().unwrap_or_default() {
            let key = &execution.begun.key;
            let may = !needs(key) || words.contains(&(key, Word::Yes));
            self.hold(Law::Consent, may, || format!("`{key}` of {run} was executed without consent"));
        }
    }

    /// Who was refused has that as its end, and who was answered has the answer.
    fn check_answers(&mut self, run: &RunId, log: &[Entry], talk: &Talk) {
        for (step, word) in words(log) {
            let end = log.iter().find_map(|entry| match &entry.kind {
                EntryKind::StepSettled(settled) if settled.key == *step => Some(settled),
                _ => None,
            });
            let right = match (word, end) {
                // It ends like every step, or not at all.
                (Word::Yes, _) => true,
                (Word::No, end) => matches!(end, Some(StepSettled { result: Err(failure), .. })
                    if failure.kind == StepFailureKind::Denied),
                (Word::Answer, end) => {
                    let given = end.and_then(|end| {
                        self.evidence.content(run.partition(), end.result.as_ref().ok()?)?.parse().ok()
                    });
                    given == Some(Content::text(answer_to(step))) && talk.wish(step).is_some()
                }
            };
            self.hold(Law::Consent, right, || {
                format!("{word:?} was said to `{step}` of {run}, and it ended otherwise")
            });
        }
    }
}

/// The steps that waits belong to.
fn waits(log: &[Entry]) -> HashMap<WaitId, &StepKey> {
    let opened = log.iter().filter_map(|entry| match &entry.kind {
        EntryKind::WaitOpened(opened) => Some((opened.wait, opened.on.step()?)),
        _ => None,
    });
    opened.collect()
}

fn words(log: &[Entry]) -> Words<'_> {
    let waits = waits(log);
    let closed = log.iter().filter_map(|entry| {
        let EntryKind::WaitClosed(closed) = &entry.kind else { return None };
        let answer = answer_of(&entry.kind)?;
        let word = [Word::Yes, Word::No, Word::Answer];
        let word = word.into_iter().find(|word| word.recorded_as().as_bytes() == answer)?;
        Some((*waits.get(&closed.wait)?, word))
    });
    closed.collect()
}
