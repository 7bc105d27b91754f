//! What holds of every log that is over, and of every prefix of it.

use std::collections::{HashMap, HashSet};

use runtime_traits::content::Digest;
use runtime_traits::log::{
    Effect, Entry, EntryKind, Outcome, Phase, RunView, StepKey, StepPhase, StepUnknown, UnknownCause, Usage,
    Verdict, WaitId, WaitOn,
};

use super::attempt::run;
use super::scene::{RESERVED, USED};

/// Every law that `log` breaks.
/// `thorough` folds every prefix from its begin.
pub(crate) fn broken(log: &[Entry], thorough: bool) -> Vec<String> {
    let mut laws = Laws::default();
    laws.of_the_whole(log);
    for entry in log {
        laws.of_attempts(entry);
        laws.of_steps(entry);
        laws.of_waits(entry);
    }
    laws.of_prefixes(log, thorough);
    laws.broken
}

/// The steps that are booked with less than what was begun in the world, by how often each was.
pub(crate) fn underbooked(log: &[Entry], begun: impl Fn(&StepKey) -> u64) -> Vec<String> {
    let view = RunView::of(run(), log).expect("the log begins with `Accepted`");
    let opened = log.iter().filter_map(|entry| match &entry.kind {
        EntryKind::StepOpened(opened) => Some(&opened.key),
        _ => None,
    });
    let underbooked = opened.filter_map(|key| {
        let step = view.step(key)?;
        let (times, settled) = (begun(key), u64::from(step.phase == StepPhase::Settled));
        let least = settled * USED.input_tokens + times.saturating_sub(settled) * RESERVED.input_tokens;
        let booked = step.usage.input_tokens;
        (booked < least).then(|| format!("`{key}` began {times} times and is booked with {booked}"))
    });
    underbooked.collect()
}

#[derive(Default)]
struct Laws {
    broken: Vec<String>,
    attempt: u32,
    epoch: u64,
    steps: HashMap<StepKey, StepSoFar>,
    open_waits: HashMap<WaitId, WaitOn>,
    waits: HashSet<WaitId>,
    cancelled: bool,
    used: Usage,
}

struct StepSoFar {
    digest: Digest,
    effect: Effect,
    tries: u32,
    repeats: u32,
    ended: bool,
    unknown: bool,
    usage: Usage,
}

impl Laws {
    fn check(&mut self, holds: bool, law: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(law());
        }
    }

    fn of_the_whole(&mut self, log: &[Entry]) {
        for (entry, number) in log.iter().zip(1..) {
            self.check(entry.seq.0 == number, || format!("entry {number} is {}", entry.seq.0));
        }
        let places = |is: fn(&EntryKind) -> bool| -> Vec<usize> {
            let found = log.iter().enumerate().filter(|(_, entry)| is(&entry.kind));
            found.map(|(at, _)| at).collect()
        };
        let accepted = places(|kind| matches!(kind, EntryKind::Accepted(_)));
        self.check(accepted == [0], || format!("`Accepted` at {accepted:?}"));
        let ended = places(|kind| matches!(kind, EntryKind::Ended(_)));
        self.check(ended == [log.len() - 1], || format!("`Ended` at {ended:?}"));
    }

    fn of_attempts(&mut self, entry: &Entry) {
        if let EntryKind::Started(_) = entry.kind {
            let before = self.attempt;
            self.check(entry.attempt == before + 1, || format!("attempt {} follows {before}", entry.attempt));
            self.attempt = entry.attempt;
        }
        let (attempt, epoch) = (self.attempt, self.epoch);
        self.check(entry.attempt == attempt && entry.epoch >= epoch, || {
            format!("entry {} is of another attempt or epoch", entry.seq.0)
        });
        self.epoch = entry.epoch;
    }

    fn of_steps(&mut self, entry: &Entry) {
        let seq = entry.seq.0;
        match &entry.kind {
            EntryKind::StepOpened(opened) => {
                let key = opened.key.clone();
                let (new, cancelled) = (!self.steps.contains_key(&key), self.cancelled);
                self.check(new, || format!("`{key}` is opened again at {seq}"));
                self.check(!cancelled, || format!("`{key}` begins after the cancel"));
                let step = StepSoFar {
                    digest: opened.digest,
                    effect: opened.effect,
                    tries: 1,
                    repeats: 0,
                    ended: false,
                    unknown: false,
                    usage: Usage::default(),
                };
                self.steps.insert(key, step);
            }
            EntryKind::StepDispatched(dispatched) => {
                let cancelled = self.cancelled;
                self.check(!cancelled, || format!("{seq} dispatches after the cancel"));
                self.of_step(&dispatched.key, seq, |step| {
                    let may = match step.effect {
                        Effect::AtMostOnce => step.repeats == step.tries,
                        _ => step.unknown,
                    };
                    step.tries += 1;
                    step.unknown = false;
                    may && dispatched.try_no == step.tries && !step.ended
                });
            }
            EntryKind::StepSettled(settled) => {
                let step = self.steps.entry(settled.key.clone()).or_insert(StepSoFar {
                    digest: settled.digest,
                    effect: Effect::Pure,
                    tries: 1,
                    repeats: 0,
                    ended: false,
                    unknown: false,
                    usage: Usage::default(),
                });
                let before = step.usage;
                let billed = settled.usage == before.plus(USED)
                    // A pure step that timed out has no entry but this one.
                    || (step.effect == Effect::Pure && settled.result.is_err());
                let good = !step.ended
                    && !step.unknown
                    && step.tries == settled.try_no
                    && step.digest == settled.digest;
                step.ended = true;
                step.usage = settled.usage;
                self.used = self.used.minus(before).plus(settled.usage);
                self.check(billed, || format!("{seq} bills {:?} after {before:?}", settled.usage));
                self.check(good, || format!("{seq} settles what it may not"));
            }
            EntryKind::StepUnknown(StepUnknown { key, cause, usage, .. }) => {
                let before = self.steps.get(key).map_or(Usage::default(), |step| step.usage);
                let may = [before, before.plus(RESERVED)];
                self.check(may.contains(usage), || format!("{seq} books {usage:?} after {before:?}"));
                self.used = self.used.minus(before).plus(*usage);
                self.of_step(key, seq, |step| {
                    let good = !step.ended && step.effect != Effect::Pure;
                    step.unknown = true;
                    step.ended = *cause != UnknownCause::Crash;
                    step.usage = *usage;
                    good
                });
            }
            EntryKind::StepDecided(decided) => {
                let waits = self.open_waits.values().any(|on| *on == WaitOn::Decision(decided.key.clone()));
                self.check(waits, || format!("{seq} decides what nobody waits for"));
                self.of_step(&decided.key, seq, |step| {
                    let good = step.unknown && !step.ended && step.digest == decided.digest;
                    match decided.verdict {
                        Verdict::Repeat => step.repeats += 1,
                        Verdict::Assume(_) | Verdict::Fail => step.ended = true,
                    }
                    good
                });
            }
            EntryKind::CancelRequested(_) => self.cancelled = true,
            EntryKind::Ended(ended) => {
                let completed = matches!(ended.outcome, Outcome::Completed(_));
                let open = self.steps.iter().find(|(_, step)| !step.ended).map(|(key, _)| key.clone());
                self.check(!completed || open.is_none(), || format!("{open:?} has no end"));
                let (cancelled, used) = (self.cancelled, self.used);
                self.check(!(completed && cancelled), || "it completed in spite of a cancel".to_owned());
                self.check(used == ended.usage, || format!("{:?} of {used:?}", ended.usage));
            }
            _ => {}
        }
    }

    fn of_step(&mut self, key: &StepKey, seq: u64, good: impl FnOnce(&mut StepSoFar) -> bool) {
        let good = self.steps.get_mut(key).is_some_and(good);
        self.check(good, || format!("{seq} is no entry that `{key}` may have"));
    }

    fn of_waits(&mut self, entry: &Entry) {
        let seq = entry.seq.0;
        match &entry.kind {
            EntryKind::WaitOpened(opened) => {
                let diverged = matches!(opened.on, WaitOn::Diverged { .. });
                self.check(!diverged, || format!("{:?}", opened.on));
                let new = self.waits.insert(opened.wait) && opened.wait.0 == seq;
                self.check(new, || format!("{seq} opens {:?}", opened.wait));
                self.open_waits.insert(opened.wait, opened.on.clone());
            }
            EntryKind::WaitClosed(closed) => {
                let open = self.open_waits.remove(&closed.wait).is_some();
                self.check(open, || format!("{seq} closes {:?}, which is not open", closed.wait));
            }
            _ => {}
        }
    }

    /// The fold of every prefix says the same as taking its entries one by one.
    fn of_prefixes(&mut self, log: &[Entry], thorough: bool) {
        let mut view = RunView::of(run(), &log[..1]).expect("the log begins with `Accepted`");
        for end in 1..=log.len() {
            if end > 1 {
                view.apply(&log[end - 1]);
            }
            if thorough {
                let folded = RunView::of(run(), &log[..end]);
                self.check(folded.as_ref() == Some(&view), || format!("the fold of {end} entries"));
            }
            let over = end == log.len();
            self.check((view.phase == Phase::Ended) == over, || {
                format!("{:?} after {end} entries", view.phase)
            });
        }
    }
}
