//! The life of a run: an agent is worked while chance throws in everything that can happen to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_core::engine::claim::{Next, claim};
use runtime_core::engine::decide::decide;
use runtime_core::engine::machine::{Outgoing, Over};
use runtime_testkit::fakes::Chance;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Accepted, AttemptEnding, CancelRequested, DecidedBy, Entry, EntryKind, RunView, Started, StepKey,
    Verdict, WaitOn,
};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;
use runtime_traits::{NodeId, SessionName};
use uuid::Uuid;

use super::attempt::{Attempt, Seen, Setting, agent, run};
use super::program::Node;
use super::scene::{JobResult, Scene, Shared, Value, lock};

/// How often chance throws something in before a life is brought to its end.
const TURBULENT: u32 = 80;
const LONGEST: u32 = 4_000;

/// A run that is worked, and what happens to it.
pub(crate) struct Life {
    pub(crate) program: Arc<Node>,
    pub(crate) state: Option<Content>,
    pub(crate) scene: Shared<Scene>,
    /// What the agent saw in the attempt that ended the run, unless that attempt was lost.
    pub(crate) seen: Option<Vec<Seen>>,
    pub(crate) events: Events,
    chance: Chance,
    attempt: Option<Attempt>,
    flight: Option<Flight>,
    epoch: u64,
    paused_at: usize,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    pub(crate) commits: u64,
    pub(crate) unknown_commits: u64,
    pub(crate) crashes: u64,
    pub(crate) crashes_at_commits: u64,
    pub(crate) takeovers: u64,
    pub(crate) cancels: u64,
    pub(crate) decisions: u64,
    pub(crate) parks: u64,
    pub(crate) pauses: u64,
}

impl Events {
    pub(crate) fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.unknown_commits += other.unknown_commits;
        self.crashes += other.crashes;
        self.crashes_at_commits += other.crashes_at_commits;
        self.takeovers += other.takeovers;
        self.cancels += other.cancels;
        self.decisions += other.decisions;
        self.parks += other.parks;
        self.pauses += other.pauses;
    }
}

/// A batch on its way to the store.
struct Flight {
    batch: Outgoing,
    applied: bool,
}

pub(crate) fn by() -> DecidedBy {
    DecidedBy::Principal("somebody".to_owned())
}

pub(crate) fn started(seq: u64, at: UnixMillis, attempt: u32, epoch: u64) -> Entry {
    let kind = EntryKind::Started(Started {
        kind_version: 1,
        build: "test".to_owned(),
        node: NodeId(Uuid::from_u128(9)),
        suspects: 0,
    });
    Entry { seq: Seq(seq), at, attempt, epoch, kind }
}

pub(crate) fn accepted(deadline: Option<UnixMillis>) -> Accepted {
    let input = Content::text("input");
    Accepted {
        agent: agent(),
        spec_rev: 1,
        session: SessionName::default(),
        policy: SessionPolicy::Enqueue,
        digest: input.digest(),
        input: Payload::of(&input),
        idempotency_key: None,
        parent: None,
        copied_from: None,
        principal: None,
        trace: None,
        deadline,
        priority: 0,
        chain: None,
        labels: std::collections::BTreeMap::new(),
    }
}

impl Life {
    /// The life that follows from a seed, not begun.
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let now = UnixMillis(1_000_000);
        let program = Arc::new(Node::random(&mut chance));
        let state = chance.once_in(2).then(|| Content::json(&chance.bits()).expect("a number is JSON"));
        let deadline = chance.once_in(12).then(|| now.after(Duration::from_millis(chance.below(4_000))));
        let kind = EntryKind::Accepted(Box::new(accepted(deadline)));
        let mut log = vec![Entry { seq: Seq(1), at: now, attempt: 0, epoch: 1, kind }];
        if chance.once_in(2) {
            log.push(started(2, now, 1, 1));
        }
        Self {
            program,
            state,
            scene: Arc::new(Mutex::new(Scene::new(log, now))),
            seen: None,
            events: Events::default(),
            chance,
            attempt: None,
            flight: None,
            epoch: 1,
            paused_at: 0,
        }
    }

    /// Lives it to its end.
    pub(crate) fn live(&mut self) {
        for round in 0..LONGEST {
            if !lock(&self.scene).faults.is_empty() || self.is_over() {
                return;
            }
            let calm = round > TURBULENT;
            match (self.attempt.is_some(), calm) {
                (false, _) => self.between_attempts(calm),
                (true, false) => self.something_happens(),
                (true, true) => self.nothing_unforeseen_happens(),
            }
        }
        lock(&self.scene).fault("the run does not end");
    }

    /// The log as the store has it.
    pub(crate) fn log(&self) -> Vec<Entry> {
        lock(&self.scene).log.clone()
    }

    fn is_over(&self) -> bool {
        let scene = lock(&self.scene);
        let last = scene.log.last();
        matches!(last.map(|entry| &entry.kind), Some(EntryKind::Ended(_)))
    }

    fn view(&self) -> RunView {
        RunView::of(run(), &lock(&self.scene).log).expect("the log begins with `Accepted`")
    }

    fn pass(&mut self, millis: u64) {
        let mut scene = lock(&self.scene);
        scene.now = scene.now.after(Duration::from_millis(millis));
    }

    // Between attempts: a new owner finds the run.

    fn between_attempts(&mut self, calm: bool) {
        let (log, view) = (self.log(), self.view());
        let claimed = claim(&view, &log);
        let mut kinds = claimed.entries;
        let mut next = claimed.next;
        if view.cancel.is_some() && next != Next::Over {
            return lock(&self.scene).fault("a run that is to end gets a further attempt");
        }
        if let Next::Wait { until } = next {
            let wait = view.waits.iter().find_map(|wait| match &wait.on {
                WaitOn::Decision(key) => Some(key.clone()),
                _ => None,
            });
            if wait.is_none() && until.is_none() {
                let waits = &view.waits;
                return lock(&self.scene).fault(format!("nobody can end {waits:?}"));
            }
            self.judge_wait(&log, until);
            match (wait, until, self.chance.below(8)) {
                (_, _, 0) if !calm => return self.pass(100),
                (_, _, 1) if !calm => return self.epoch += 1,
                (_, _, 2) if !calm && self.chance.once_in(6) => {
                    self.events.cancels += 1;
                    let cancel =
                        CancelRequested { by: by(), reason: "while it waits".to_owned(), within_millis: 100 };
                    kinds.push(EntryKind::CancelRequested(cancel));
                    next = Next::Queue;
                }
                (Some(key), _, 3..6) | (Some(key), None, _) => {
                    let verdict = self.verdict();
                    let decided = decide(&view, &key, by(), verdict);
                    let (more, then) = decided.expect("the step waits for a decision");
                    self.events.decisions += 1;
                    kinds.extend(more);
                    next = then;
                }
                (_, Some(until), _) => {
                    let mut scene = lock(&self.scene);
                    scene.now = scene.now.max(until);
                    next = Next::Start;
                }
                (None, None, _) => {}
            }
        }
        // What was decided may be all that gets written.
        let starts = match next {
            Next::Start => calm || kinds.is_empty() || !self.chance.once_in(6),
            Next::Queue => kinds.is_empty(),
            Next::Wait { .. } | Next::Over => false,
        };
        let now = lock(&self.scene).now;
        let (epoch, attempt, mut seq) = (self.epoch, view.attempt, log.len() as u64);
        let mut entries = Vec::new();
        for kind in kinds {
            seq += 1;
            entries.push(Entry { seq: Seq(seq), at: now, attempt, epoch, kind });
        }
        if starts {
            entries.push(started(seq + 1, now, attempt + 1, epoch));
        }
        if entries.is_empty() || (!calm && self.chance.once_in(10)) {
            return;
        }
        self.events.commits += 1;
        assert!(lock(&self.scene).apply(&entries, &[]), "the claim continues the log");
        if starts && (calm || !self.chance.once_in(10)) {
            self.begin();
        }
    }

    /// A run may wait no longer than its deadline, and not when its wait has been ended.
    fn judge_wait(&self, log: &[Entry], until: Option<UnixMillis>) {
        if let EntryKind::Accepted(accepted) = &log[0].kind
            && let Some(deadline) = accepted.deadline
            && until.is_none_or(|until| until > deadline)
        {
            lock(&self.scene).fault("a run waits longer than its deadline");
        }
        if let Some(EntryKind::WaitClosed(_)) = log.last().map(|entry| &entry.kind) {
            lock(&self.scene).fault("a run waits on after a decision");
        }
    }

    fn begin(&mut self) {
        let setting = Setting {
            program: Arc::clone(&self.program),
            state: self.state.clone(),
            order: self.chance.bits(),
            change: None,
        };
        self.seen = None;
        self.attempt = Some(Attempt::begin(&self.scene, setting));
        if lock(&self.scene).paused {
            self.paused_at = self.log().len();
        }
    }

    // During an attempt.

    fn something_happens(&mut self) {
        match self.chance.below(100) {
            0..30 => self.go_on(),
            30..50 => self.commit_moves(),
            50..70 => self.a_job_ends(),
            70..80 => self.time_passes(),
            80..83 => self.crash(),
            83..85 => self.take_over(),
            85 => self.cancel(),
            86..88 => self.pause(),
            88..91 => self.decide(),
            91..99 => self.park(AttemptEnding::Parked),
            _ => self.park(AttemptEnding::Drained),
        }
    }

    /// Everything goes well, so that whatever does not end the run now never will.
    fn nothing_unforeseen_happens(&mut self) {
        self.go_on();
        if self.attempt.is_none() {
            return;
        }
        if self.flight.is_some() {
            return self.answer();
        }
        let under_way = lock(&self.scene).under_way();
        if !under_way.is_empty() {
            return self.a_job_ends();
        }
        let (may_park, wake_at) = {
            let attempt = self.attempt.as_ref().expect("there is an attempt");
            let machine = lock(&attempt.machine);
            (machine.may_park(), machine.wake_at())
        };
        if may_park && self.chance.once_in(2) {
            return self.park(AttemptEnding::Parked);
        }
        if let Some(wake_at) = wake_at {
            let mut scene = lock(&self.scene);
            scene.now = scene.now.max(wake_at);
            return;
        }
        if lock(&self.scene).paused {
            return self.pause();
        }
        if !self.waiting_steps().is_empty() {
            return self.decide();
        }
        lock(&self.scene).fault("nothing moves the run");
    }

    fn go_on(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.go_on();
        self.judge_times();
        self.judge_pause();
        self.send();
    }

    fn send(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if self.flight.is_none() {
            let batch = lock(&attempt.machine).take_batch();
            self.flight = batch.map(|batch| Flight { batch, applied: false });
        }
        if self.flight.is_some() || attempt.over() == Over::No {
            return;
        }
        let (durable, log) = {
            let machine = lock(&attempt.machine);
            (machine.durable(), machine.log().len())
        };
        if durable < log {
            lock(&self.scene).fault("an attempt that is over keeps entries back");
        }
        self.seen = (attempt.over() == Over::Run).then(|| lock(&attempt.port.seen).clone());
        self.attempt = None;
    }

    /// What has to be over by now is over.
    fn judge_times(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if attempt.over() != Over::No {
            return;
        }
        let machine = lock(&attempt.machine);
        let mut scene = lock(&self.scene);
        for entry in machine.log() {
            let by = match &entry.kind {
                EntryKind::Accepted(accepted) => accepted.deadline,
                EntryKind::CancelRequested(cancel) => {
                    Some(entry.at.after(Duration::from_millis(cancel.within_millis)))
                }
                _ => None,
            };
            if by.is_some_and(|by| by <= scene.now) {
                let label = format!("{:?}", entry.kind);
                scene.fault(format!("the run goes on after {label}"));
            }
        }
    }

    fn judge_pause(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        let mut scene = lock(&self.scene);
        if !scene.paused {
            return;
        }
        let begun = attempt.log()[self.paused_at..]
            .iter()
            .any(|entry| matches!(entry.kind, EntryKind::StepOpened(_) | EntryKind::StepDispatched(_)));
        if begun {
            scene.fault("a step begins in a pause");
        }
    }

    fn commit_moves(&mut self) {
        let Some(flight) = &mut self.flight else {
            return self.go_on();
        };
        match self.chance.below(10) {
            0..2 => {
                self.events.unknown_commits += 1;
                if !flight.applied {
                    let mut scene = lock(&self.scene);
                    flight.applied = scene.apply(&flight.batch.entries, &flight.batch.blobs);
                    assert!(flight.applied, "nobody else writes to the log");
                }
            }
            // The store did not get it; the same batch is submitted again.
            2 => self.events.unknown_commits += 1,
            _ => self.answer(),
        }
    }

    fn answer(&mut self) {
        let (Some(flight), Some(attempt)) = (self.flight.take(), &self.attempt) else {
            return;
        };
        let taken = flight.applied || lock(&self.scene).apply(&flight.batch.entries, &flight.batch.blobs);
        assert!(taken, "nobody else writes to the log");
        self.events.commits += 1;
        lock(&attempt.machine).committed();
        self.send();
    }

    fn a_job_ends(&mut self) {
        let under_way = lock(&self.scene).under_way();
        let Some(id) = self.chance.pick(&under_way).copied() else {
            return self.go_on();
        };
        let result = self.job_result();
        lock(&self.scene).complete(id, result);
    }

    fn job_result(&mut self) -> JobResult {
        if self.chance.once_in(8) {
            return Err(format!("no luck {}", self.chance.below(100)));
        }
        let pad = if self.chance.once_in(150) { 9_000 } else { 0 };
        Ok(Value { number: self.chance.bits(), pad: "y".repeat(pad) })
    }

    fn time_passes(&mut self) {
        let wake_at = self.attempt.as_ref().and_then(|attempt| lock(&attempt.machine).wake_at());
        match wake_at {
            Some(wake_at) if self.chance.once_in(2) => {
                let mut scene = lock(&self.scene);
                scene.now = scene.now.max(wake_at);
            }
            _ => {
                let millis = self.chance.below(150);
                self.pass(millis);
            }
        }
    }

    /// Everything in memory is gone. What was on its way may have arrived.
    fn crash(&mut self) {
        self.events.crashes += 1;
        if let Some(flight) = self.flight.take() {
            self.events.crashes_at_commits += 1;
            if !flight.applied && self.chance.once_in(2) {
                lock(&self.scene).apply(&flight.batch.entries, &flight.batch.blobs);
            }
        }
        self.attempt = None;
    }

    /// Another owner claims the run while the old one is alive.
    fn take_over(&mut self) {
        self.events.takeovers += 1;
        let (old, flight) = (self.attempt.take(), self.flight.take());
        self.epoch += 1;
        if self.chance.once_in(3) {
            // The new owner's clock is behind.
            let behind = self.chance.below(200);
            let mut scene = lock(&self.scene);
            scene.now.0 -= behind;
        }
        let applied = flight.as_ref().is_some_and(|flight| flight.applied);
        self.between_attempts(true);
        let Some(old) = old else { return };
        let late = match flight {
            Some(flight) => (!applied).then_some(flight.batch),
            None => lock(&old.machine).take_batch(),
        };
        if let Some(late) = late
            && lock(&self.scene).apply(&late.entries, &late.blobs)
        {
            lock(&self.scene).fault("a stale owner writes to the log");
        }
    }

    fn cancel(&mut self) {
        if !self.chance.once_in(4) {
            return;
        }
        self.events.cancels += 1;
        let within = Duration::from_millis(self.chance.below(400));
        if let Some(attempt) = &self.attempt {
            let now = lock(&self.scene).now;
            let mut machine = lock(&attempt.machine);
            machine.tick(now);
            machine.cancel(by(), "it is not wanted".to_owned(), within);
        }
    }

    fn pause(&mut self) {
        self.events.pauses += 1;
        let Some(attempt) = &self.attempt else { return };
        let paused = !lock(&self.scene).paused;
        lock(&self.scene).paused = paused;
        lock(&attempt.machine).pause(paused);
        self.paused_at = attempt.log().len();
    }

    fn waiting_steps(&self) -> Vec<StepKey> {
        let Some(attempt) = &self.attempt else {
            return Vec::new();
        };
        let view = RunView::of(run(), &attempt.log()).expect("the log begins with `Accepted`");
        let waits = view.waits.into_iter().filter_map(|wait| match wait.on {
            WaitOn::Decision(key) => Some(key),
            _ => None,
        });
        waits.collect()
    }

    fn decide(&mut self) {
        let waiting = self.waiting_steps();
        let Some(key) = self.chance.pick(&waiting).cloned() else {
            return self.go_on();
        };
        self.events.decisions += 1;
        let verdict = self.verdict();
        let attempt = self.attempt.as_ref().expect("a step waits in an attempt");
        let over = attempt.over() != Over::No;
        if !over && !lock(&attempt.machine).decide(&key, by(), verdict) {
            lock(&self.scene).fault(format!("`{key}` waits, and takes no decision"));
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.chance.below(4) {
            0..2 => Verdict::Repeat,
            2 => Verdict::Fail,
            _ => {
                let value = Value { number: self.chance.bits(), pad: String::new() };
                let value = Content::json(&value).expect("a value is JSON");
                Verdict::Assume(Payload::of(&value))
            }
        }
    }

    fn park(&mut self, how: AttemptEnding) {
        let Some(attempt) = &self.attempt else { return };
        {
            let mut machine = lock(&attempt.machine);
            if how == AttemptEnding::Parked && !machine.may_park() {
                return;
            }
            machine.end_attempt(how);
        }
        self.events.parks += 1;
        self.go_on();
    }
}
