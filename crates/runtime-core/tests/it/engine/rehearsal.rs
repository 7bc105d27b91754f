//! Replays of a log that is there: of all of it, of every prefix, and with code that is not the code that wrote it.

use std::sync::{Arc, Mutex};

use runtime_core::engine::claim::claim;
use runtime_core::engine::machine::Over;
use runtime_testkit::fakes::Chance;
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    Entry, EntryKind, FailureKind, Outcome, RunView, StepKey, Stopped, WaitOn, WaitOpened,
};
use runtime_traits::store::Seq;

use super::attempt::{Attempt, Seen, Setting, run};
use super::life::{Life, started};
use super::perform::{Change, How};
use super::scene::{Scene, lock};

/// What a replay came to.
pub(crate) struct Rehearsed {
    /// What it appended.
    pub(crate) appended: Vec<Entry>,
    pub(crate) over: Over,
    pub(crate) seen: Vec<Seen>,
    pub(crate) executions: u64,
    pub(crate) faults: Vec<String>,
}

/// A new owner finds the first entries of a life's log and replays them; time stands still, and no work ends.
pub(crate) fn rehearse(life: &Life, recorded: &[Entry], order: u64, change: Option<Change>) -> Rehearsed {
    let (blobs, now) = (lock(&life.scene).blobs.clone(), earliest(recorded));
    let mut log = recorded.to_vec();
    let view = RunView::of(run(), &log).expect("the log begins with `Accepted`");
    let last = &log[log.len() - 1];
    let (attempt, epoch) = (view.attempt, last.epoch + 1);
    if !matches!(last.kind, EntryKind::Started(_)) {
        let claimed = claim(&view, &log).entries.into_iter();
        for kind in claimed.filter(|kind| !matches!(kind, EntryKind::Ended(_))) {
            let seq = Seq(log.len() as u64 + 1);
            log.push(Entry { seq, at: now, attempt, epoch, kind });
        }
        log.push(started(log.len() as u64 + 1, now, attempt + 1, epoch));
    }
    let history = log.len();
    let mut scene = Scene::new(log, now);
    scene.blobs = blobs;
    scene.judges_time = false;
    let scene = Arc::new(Mutex::new(scene));
    let setting = Setting { program: Arc::clone(&life.program), state: life.state.clone(), order, change };
    let mut attempt = Attempt::begin(&scene, setting);
    attempt.go_on();
    let seen = lock(&attempt.port.seen).clone();
    let scene = lock(&scene);
    Rehearsed {
        appended: attempt.log()[history..].to_vec(),
        over: attempt.over(),
        seen,
        executions: scene.executions,
        faults: scene.faults.clone(),
    }
}

/// Before every deadline of the log.
fn earliest(log: &[Entry]) -> UnixMillis {
    log.iter().map(|entry| entry.at).min().unwrap_or_default()
}

impl Rehearsed {
    /// What was recorded and what was asked for instead.
    pub(crate) fn diverged(&self) -> Option<&WaitOn> {
        self.appended.iter().find_map(|entry| match &entry.kind {
            EntryKind::WaitOpened(WaitOpened { on, .. }) if matches!(on, WaitOn::Diverged { .. }) => Some(on),
            _ => None,
        })
    }
}

/// What the replay of a whole log does otherwise than the run did.
pub(crate) fn whole(life: &Life, log: &[Entry], order: u64) -> Vec<String> {
    let Some((Entry { kind: EntryKind::Ended(ended), .. }, recorded)) = log.split_last() else {
        return vec!["the log has no end".to_owned()];
    };
    let replay = rehearse(life, recorded, order, None);
    let mut wrong = replay.faults.clone();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("replay of the whole log: {what}"));
        }
    };
    expect(replay.diverged().is_none(), "it diverges");
    // What came with the end was not seen any more.
    let lived = life.seen.as_ref();
    expect(lived.is_none_or(|lived| replay.seen.starts_with(lived)), "another sight");
    let by_itself = match &ended.outcome {
        Outcome::Completed(_) => true,
        Outcome::Failed(failure) => failure.kind == FailureKind::Agent,
        Outcome::Cancelled(receipt) => receipt.stopped == Stopped::Complete && lived.is_some(),
        Outcome::RolledBack | Outcome::Continued(_) => false,
    };
    if by_itself {
        expect(replay.executions == 0, "something is executed");
        let same = lived.is_none_or(|lived| replay.seen == *lived);
        expect(same, &format!("another sight in the end: {:?}", replay.seen));
        let ends: Vec<_> = replay.appended.iter().map(|entry| &entry.kind).collect();
        expect(ends == [&EntryKind::Ended(ended.clone())], "another end");
    }
    wrong
}

/// What goes wrong when a new owner finds only the first `end` entries.
pub(crate) fn prefix(life: &Life, log: &[Entry], end: usize, order: u64) -> Vec<String> {
    let replay = rehearse(life, &log[..end], order, None);
    let mut wrong = replay.faults.clone();
    if let Some(on) = replay.diverged() {
        wrong.push(format!("{on:?}"));
    }
    if replay.over == Over::Attempt {
        wrong.push("the attempt is over".to_owned());
    }
    wrong.iter_mut().for_each(|wrong| *wrong = format!("replay of {end} entries: {wrong}"));
    wrong
}

/// Changed code at a recorded step or timer is found out, and nothing is executed.
pub(crate) fn changed(life: &Life, log: &[Entry], chance: &mut Chance) -> Option<String> {
    let end = 2 + chance.below(log.len() as u64 - 2) as usize;
    let mut keys: Vec<StepKey> = Vec::new();
    for entry in &log[..end] {
        match &entry.kind {
            EntryKind::StepOpened(opened) => keys.push(opened.key.clone()),
            EntryKind::StepSettled(settled) => keys.push(settled.key.clone()),
            EntryKind::WaitOpened(opened) => {
                if let WaitOn::Time(key) = &opened.on {
                    keys.push(key.clone());
                }
            }
            _ => {}
        }
    }
    let change = Change { at: chance.pick(&keys)?.clone(), how: *chance.pick(&How::ALL)? };
    let opened =
        |entry: &Entry| matches!(&entry.kind, EntryKind::StepOpened(opened) if opened.key == change.at);
    if change.how == How::Sort && !log[..end].iter().any(opened) {
        // The only entry of a pure step does not hold its sort.
        return None;
    }
    let replay = rehearse(life, &log[..end], chance.bits(), Some(change.clone()));
    let parked = replay.over == Over::Attempt && replay.diverged().is_some();
    if parked && replay.executions == 0 && replay.faults.is_empty() {
        return None;
    }
    let (over, executions) = (replay.over, replay.executions);
    let faults = replay.faults;
    Some(format!("{change:?} over {end} entries: {over:?}, {executions} executions, {faults:?}"))
}
