//! What is outside of the engine: the log as the store has it, the contents beside it, the clock, and the world in
//! which steps take effect. The scene notes whatever the replay rule forbids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use runtime_traits::agent::FenceMark;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::log::{Effect, Entry, EntryKind, StepKey, StepUnknown, UnknownCause, Usage, Verdict};
use serde::{Deserialize, Serialize};

use super::perform::Performance;

/// What a step's work gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) number: u64,
    pub(crate) pad: String,
}

/// How a job ended.
pub(crate) type JobResult = Result<Value, String>;

/// Work that is under way outside.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) result: Option<JobResult>,
    pub(crate) waker: Option<Waker>,
}

/// A dispatch as its work sees it.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) key: StepKey,
    pub(crate) effect: Effect,
    pub(crate) within: Option<Duration>,
    pub(crate) try_no: u32,
    pub(crate) idempotency_key: String,
    pub(crate) fence: FenceMark,
}

/// Everything outside of the engine.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) log: Vec<Entry>,
    pub(crate) blobs: HashMap<Digest, Content>,
    pub(crate) now: UnixMillis,
    pub(crate) paused: bool,
    /// Whether the times of dispatches are judged; a rehearsal has no times.
    pub(crate) judges_time: bool,
    pub(crate) jobs: Vec<Job>,
    pub(crate) executions: u64,
    pub(crate) faults: Vec<String>,
    begun: HashMap<(StepKey, u32), u32>,
    idempotency_keys: HashMap<StepKey, String>,
}

pub(crate) type Shared<T> = Arc<Mutex<T>>;

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    pub(crate) fn new(log: Vec<Entry>, now: UnixMillis) -> Self {
        Self {
            log,
            blobs: HashMap::new(),
            now,
            paused: false,
            judges_time: true,
            jobs: Vec::new(),
            executions: 0,
            faults: Vec::new(),
            begun: HashMap::new(),
            idempotency_keys: HashMap::new(),
        }
    }

    pub(crate) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// Applies a batch, on the condition that its first entry is the log's next one. `false`: it does not hold.
    pub(crate) fn apply(&mut self, entries: &[Entry], blobs: &[Content]) -> bool {
        let next = self.log.len() as u64 + 1;
        if entries.first().is_none_or(|entry| entry.seq.0 != next) {
            return false;
        }
        for blob in blobs {
            self.blobs.insert(blob.digest(), blob.clone());
        }
        for payload in entries.iter().filter_map(|entry| payload(&entry.kind)) {
            if let Payload::Blob { hash, .. } = payload
                && !self.blobs.contains_key(hash)
            {
                self.fault(format!("{hash} is named before it is written"));
            }
        }
        self.log.extend_from_slice(entries);
        true
    }

    /// A step's work begins. Everything that forbids it is noted.
    pub(crate) fn begin(&mut self, dispatch: &Dispatch, of: &Performance) -> u64 {
        self.executions += 1;
        let machine = of.machine();
        let (live, cancelled) = {
            let machine = lock(&machine);
            let cancelled =
                machine.log().iter().any(|entry| matches!(entry.kind, EntryKind::CancelRequested(_)));
            (machine.is_live(), cancelled)
        };
        let Dispatch { key, try_no, .. } = dispatch;
        let label = format!("`{key}` try {try_no}");
        if !live {
            self.fault(format!("{label} executes during the replay"));
        }
        if dispatch.fence != of.fence {
            self.fault(format!("{label} executes with another fence"));
        }
        let same =
            self.idempotency_keys.entry(key.clone()).or_insert_with(|| dispatch.idempotency_key.clone());
        if *same != dispatch.idempotency_key {
            self.fault(format!("{label} has another idempotency key"));
        }
        if self.judges_time {
            self.judge(dispatch, cancelled);
        }
        let id = self.executions;
        self.jobs.push(Job { id, result: None, waker: None });
        id
    }

    fn judge(&mut self, dispatch: &Dispatch, cancelled: bool) {
        let Dispatch { key, try_no, .. } = dispatch;
        let label = format!("`{key}` try {try_no}");
        if let Some(end) = self.log.iter().find(|entry| ends(&entry.kind, key)) {
            let end = end.seq.0;
            self.fault(format!("{label} executes, and it has its end at {end}"));
        }
        if dispatch.effect == Effect::Pure {
            if cancelled {
                self.fault(format!("{label} begins after the cancel"));
            }
            if self.paused {
                self.fault(format!("{label} begins in a pause"));
            }
            return;
        }
        let times = self.begun.entry((key.clone(), *try_no)).or_insert(0);
        *times += 1;
        if *times > 1 {
            self.fault(format!("{label} executes twice"));
        }
        let dispatches = dispatches(&self.log, key);
        let Some(at) = dispatches.get(*try_no as usize - 1) else {
            return self.fault(format!("{label} executes before its dispatch is committed"));
        };
        if *try_no > 1 {
            let before = &dispatches[*try_no as usize - 2];
            let decided = self.log[before.0..at.0].iter().any(|entry| repeats(&entry.kind, key));
            self.judge_repetition(dispatch, decided, dispatches[0].1, before.1);
        }
    }

    fn judge_repetition(&mut self, dispatch: &Dispatch, decided: bool, first: UnixMillis, older: UnixMillis) {
        let label = format!("`{}` try {}", dispatch.key, dispatch.try_no);
        match dispatch.effect {
            Effect::AtMostOnce if !decided => {
                self.fault(format!("{label} executes without a decision"));
            }
            Effect::Idempotent { window } if !decided && self.now >= first.after(window) => {
                self.fault(format!("{label} executes after its window"));
            }
            Effect::Idempotent { .. }
                if dispatch.within.is_some_and(|within| self.now < older.after(within)) =>
            {
                self.fault(format!("{label} executes before the older one's deadline"));
            }
            _ => {}
        }
    }

    /// How often a step's work began in earnest.
    pub(crate) fn begun(&self, key: &StepKey) -> u64 {
        self.begun.iter().filter(|((of, _), _)| of == key).map(|(_, times)| u64::from(*times)).sum()
    }

    /// The jobs that are under way.
    pub(crate) fn under_way(&self) -> Vec<u64> {
        let open = self.jobs.iter().filter(|job| job.result.is_none());
        open.map(|job| job.id).collect()
    }

    /// Ends a job.
    pub(crate) fn complete(&mut self, id: u64, result: JobResult) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.result = Some(result);
            if let Some(waker) = job.waker.take() {
                waker.wake();
            }
        }
    }
}

/// Where and when each try of a step was dispatched.
pub(crate) fn dispatches(log: &[Entry], key: &StepKey) -> Vec<(usize, UnixMillis)> {
    let of = |entry: &Entry| match &entry.kind {
        EntryKind::StepOpened(opened) => opened.dispatched && opened.key == *key,
        EntryKind::StepDispatched(dispatched) => dispatched.key == *key,
        _ => false,
    };
    let found = log.iter().enumerate().filter(|(_, entry)| of(entry));
    found.map(|(at, entry)| (at, entry.at)).collect()
}

/// Whether an entry is the end of a step.
pub(crate) fn ends(kind: &EntryKind, key: &StepKey) -> bool {
    match kind {
        EntryKind::StepSettled(settled) => settled.key == *key,
        EntryKind::StepUnknown(StepUnknown { key: of, cause, .. }) => {
            of == key && *cause != UnknownCause::Crash
        }
        EntryKind::StepDecided(decided) => decided.key == *key && decided.verdict != Verdict::Repeat,
        _ => false,
    }
}

fn repeats(kind: &EntryKind, key: &StepKey) -> bool {
    matches!(kind, EntryKind::StepDecided(decided)
        if decided.key == *key && decided.verdict == Verdict::Repeat)
}

fn payload(kind: &EntryKind) -> Option<&Payload> {
    match kind {
        EntryKind::StepOpened(opened) => Some(&opened.request),
        EntryKind::StepSettled(settled) => settled.result.as_ref().ok(),
        EntryKind::StateSet(set) => Some(&set.value),
        _ => None,
    }
}

/// What a dispatch is booked with that reports nothing.
pub(crate) const RESERVED: Usage =
    Usage { input_tokens: 5, output_tokens: 4, model_calls: 1, tool_calls: 1, estimated_tokens: 9 };

/// What a dispatch reports as used.
pub(crate) const USED: Usage =
    Usage { input_tokens: 3, output_tokens: 2, model_calls: 1, tool_calls: 1, estimated_tokens: 0 };
