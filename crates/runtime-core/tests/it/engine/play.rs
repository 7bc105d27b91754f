//! A run whose life is written out: for tests of single clauses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_core::engine::claim::{Next, claim};
use runtime_core::engine::decide::decide;
use runtime_core::engine::machine::{Over, RunMachine};
use runtime_traits::Effect;
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{Entry, EntryKind, Outcome, RunView, StepKey, Verdict, WaitOn};
use runtime_traits::store::Seq;

use super::attempt::{Attempt, Seen, Setting, run};
use super::life::{accepted, by, started};
use super::perform::Change;
use super::program::{Node, Step};
use super::scene::{JobResult, Scene, Shared, Value, lock};

/// A run, its world, and the attempt at it.
pub(crate) struct Play {
    pub(crate) program: Arc<Node>,
    pub(crate) scene: Shared<Scene>,
    attempt: Option<Attempt>,
    order: u64,
}

/// A step that ends when the test says so.
pub(crate) fn step(name: &'static str, effect: Effect) -> Node {
    Node::Step(Step { name, effect, within: None, instant: false, large: false, strict: false })
}

/// A step that has a deadline.
pub(crate) fn step_within(name: &'static str, effect: Effect, millis: u64) -> Node {
    let within = Some(Duration::from_millis(millis));
    Node::Step(Step { name, effect, within, instant: false, large: false, strict: false })
}

pub(crate) fn idempotent(millis: u64) -> Effect {
    Effect::Idempotent { window: Duration::from_millis(millis) }
}

pub(crate) fn key(text: &str) -> StepKey {
    text.parse().expect("tests use good keys")
}

impl Play {
    /// An accepted run of `program`.
    pub(crate) fn of(program: Node) -> Self {
        Self::until(program, None)
    }

    /// One that has to be over within some milliseconds.
    pub(crate) fn until(program: Node, deadline: Option<u64>) -> Self {
        let now = UnixMillis(1_000_000);
        let deadline = deadline.map(|millis| now.after(Duration::from_millis(millis)));
        let kind = EntryKind::Accepted(Box::new(accepted(deadline)));
        let log = vec![Entry { seq: Seq(1), at: now, attempt: 0, epoch: 1, kind }];
        let scene = Arc::new(Mutex::new(Scene::new(log, now)));
        Self { program: Arc::new(program), scene, attempt: None, order: 0 }
    }

    /// Claims the run, appends what that says and the next attempt's `Started`, and works it as far as it goes.
    pub(crate) fn start(&mut self) -> &mut Self {
        self.start_with(None)
    }

    /// The same, with changed code.
    pub(crate) fn start_with(&mut self, change: Option<Change>) -> &mut Self {
        let view = self.view();
        let log = self.log();
        let claimed = claim(&view, &log);
        assert!(
            !matches!(claimed.next, Next::Over | Next::Wait { until: None }),
            "{:?} instead of a start",
            claimed.next
        );
        self.append(claimed.entries);
        let now = self.now();
        let next = started(self.log().len() as u64 + 1, now, view.attempt + 1, 1);
        assert!(lock(&self.scene).apply(&[next], &[]), "the log goes on");
        self.order += 1;
        let program = Arc::clone(&self.program);
        let setting = Setting { program, state: None, order: self.order, change };
        self.attempt = Some(Attempt::begin(&self.scene, setting));
        self.go()
    }

    /// Appends what somebody else than an attempt writes.
    pub(crate) fn append(&mut self, kinds: Vec<EntryKind>) {
        let attempt = self.view().attempt;
        for kind in kinds {
            let (seq, at) = (Seq(self.log().len() as u64 + 1), self.now());
            let entry = Entry { seq, at, attempt, epoch: 1, kind };
            assert!(lock(&self.scene).apply(&[entry], &[]), "the log goes on");
        }
    }

    /// Works the attempt as far as it goes, without a commit.
    pub(crate) fn go(&mut self) -> &mut Self {
        if let Some(attempt) = &mut self.attempt {
            attempt.go_on();
        }
        self
    }

    /// Commits once, if there is something to commit, and goes on. Returns what was committed.
    pub(crate) fn commit(&mut self) -> Vec<Entry> {
        let Some(batch) = self.machine(RunMachine::take_batch) else {
            return Vec::new();
        };
        let applied = lock(&self.scene).apply(&batch.entries, &batch.blobs);
        assert!(applied, "the log goes on");
        self.machine(RunMachine::committed);
        self.go();
        batch.entries
    }

    /// Commits until nothing is left to commit.
    pub(crate) fn commit_all(&mut self) -> &mut Self {
        while !self.commit().is_empty() {}
        self
    }

    /// The process dies.
    pub(crate) fn crash(&mut self) -> &mut Self {
        self.attempt = None;
        self
    }

    /// Ends the oldest job that is under way, and goes on.
    pub(crate) fn job_ends(&mut self, number: u64) -> &mut Self {
        self.job_ends_with(0, Ok(Value { number, pad: String::new() }))
    }

    /// Ends one of the jobs that are under way, counted from the oldest, and goes on.
    pub(crate) fn job_ends_with(&mut self, which: usize, result: JobResult) -> &mut Self {
        let id = lock(&self.scene).under_way()[which];
        lock(&self.scene).complete(id, result);
        self.go()
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, millis: u64) -> &mut Self {
        let now = self.now().after(Duration::from_millis(millis));
        lock(&self.scene).now = now;
        self.go()
    }

    /// Somebody who has found the run parked decides.
    pub(crate) fn decide_parked(&mut self, step: &str, verdict: Verdict) -> Next {
        let decided = decide(&self.view(), &key(step), by(), verdict);
        let (kinds, next) = decided.expect("the step waits for a decision");
        self.append(kinds);
        next
    }

    pub(crate) fn machine<T>(&self, act: impl FnOnce(&mut RunMachine) -> T) -> T {
        let attempt = self.attempt.as_ref().expect("the run is worked");
        act(&mut lock(&attempt.machine))
    }

    pub(crate) fn over(&self) -> Over {
        self.machine(|machine| machine.over())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let attempt = self.attempt.as_ref().expect("the run is worked");
        lock(&attempt.port.seen).clone()
    }

    /// How often the machine was asked to move on, and the agent was polled.
    pub(crate) fn turns_and_polls(&self) -> (u64, u64) {
        let attempt = self.attempt.as_ref().expect("the run is worked");
        (attempt.turns, attempt.polls)
    }

    /// The log as the store has it.
    pub(crate) fn log(&self) -> Vec<Entry> {
        lock(&self.scene).log.clone()
    }

    /// The log with what is not committed.
    pub(crate) fn whole_log(&self) -> Vec<Entry> {
        self.machine(|machine| machine.log().to_vec())
    }

    /// What is not committed, in short.
    pub(crate) fn pending(&self) -> Vec<String> {
        let durable = self.machine(|machine| machine.durable());
        self.whole_log()[durable..].iter().map(short).collect()
    }

    pub(crate) fn view(&self) -> RunView {
        RunView::of(run(), &self.log()).expect("the log begins with `Accepted`")
    }

    pub(crate) fn now(&self) -> UnixMillis {
        lock(&self.scene).now
    }

    /// How many works have begun.
    pub(crate) fn executions(&self) -> u64 {
        lock(&self.scene).executions
    }

    /// How many works are under way.
    pub(crate) fn under_way(&self) -> usize {
        lock(&self.scene).under_way().len()
    }

    /// The outcome, once it is committed.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.log().pop().map(|entry| entry.kind) {
            Some(EntryKind::Ended(ended)) => Some(ended.outcome),
            _ => None,
        }
    }

    /// What the log waits for, in short.
    pub(crate) fn waits(&self) -> Vec<String> {
        let view = RunView::of(run(), &self.whole_log()).expect("the log begins with `Accepted`");
        view.waits.iter().map(|wait| on(&wait.on)).collect()
    }

    /// The scene has seen nothing that is forbidden.
    pub(crate) fn is_clean(&self) -> &Self {
        let faults = lock(&self.scene).faults.clone();
        assert!(faults.is_empty(), "{faults:?}");
        self
    }
}

fn on(on: &WaitOn) -> String {
    match on {
        WaitOn::Decision(key) => format!("decision {key}"),
        WaitOn::Time(key) => format!("time {key}"),
        WaitOn::Diverged { recorded, asked } => format!("diverged: {recorded} / {asked}"),
        other => format!("{other:?}"),
    }
}

/// An entry in short.
pub(crate) fn short(entry: &Entry) -> String {
    match &entry.kind {
        EntryKind::Accepted(_) => "accepted".to_owned(),
        EntryKind::Started(_) => "started".to_owned(),
        EntryKind::StepOpened(opened) => format!("opened {}", opened.key),
        EntryKind::StepDispatched(again) => format!("dispatched {} {}", again.key, again.try_no),
        EntryKind::StepSettled(settled) => match &settled.result {
            Ok(_) => format!("settled {}", settled.key),
            Err(failure) => format!("failed {}: {failure}", settled.key),
        },
        EntryKind::StepUnknown(unknown) => format!("unknown {} {:?}", unknown.key, unknown.cause),
        EntryKind::StepDecided(decided) => format!("decided {}", decided.key),
        EntryKind::StateSet(_) => "state".to_owned(),
        EntryKind::WaitOpened(opened) => format!("waits {}", on(&opened.on)),
        EntryKind::WaitClosed(closed) => format!("waited {}", closed.wait.0),
        EntryKind::AttemptEnded(ended) => format!("attempt {:?}", ended.how).to_lowercase(),
        EntryKind::CancelRequested(_) => "cancel".to_owned(),
        EntryKind::Ended(_) => "ended".to_owned(),
        EntryKind::Cleared => "cleared".to_owned(),
        EntryKind::Unrecognised { tag } => format!("tag {tag}"),
    }
}

/// The timers of a log and the moments that they were set for.
pub(crate) fn timers(log: &[Entry]) -> Vec<(StepKey, UnixMillis)> {
    let of = |entry: &Entry| match &entry.kind {
        EntryKind::WaitOpened(opened) => match &opened.on {
            WaitOn::Time(key) => Some((key.clone(), opened.wake_at?)),
            _ => None,
        },
        _ => None,
    };
    log.iter().filter_map(of).collect()
}
