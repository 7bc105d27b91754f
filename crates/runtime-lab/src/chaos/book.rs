//! What the callers asked for and were told: the other half of the truth, beside the executions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{Entry, EntryKind, Outcome};
use runtime_traits::name::{IdempotencyKey, SessionName};
use runtime_traits::runtime::{CancelReceipt, Decision, Finished, RunRequest, SessionPolicy};
use runtime_traits::{Content, RunId, StateId, StepKey};

use super::script::Script;
use super::talk::Talk;
use super::violation::{Law, Violation};

/// What the callers asked for and were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    inner: Arc<Mutex<Pages>>,
}

/// The pages of the book.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// By the script's number.
    pub(super) asked: Vec<Asked>,
    /// Which script an accepted run plays.
    pub(super) accepted: HashMap<RunId, u64>,
    /// How runs ended, as callers were told.
    pub(super) ended: HashMap<RunId, Told>,
    pub(super) decisions: Vec<Decided>,
    pub(super) replies: Vec<Replied>,
    pub(super) cancels: Vec<Cancel>,
    pub(super) saves: Vec<StateId>,
    /// Entries that were seen in streams.
    pub(super) seen: HashMap<RunId, BTreeMap<u64, String>>,
    pub(super) violations: Vec<Violation>,
}

/// A run that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) input: Input,
    /// Its name.
    pub(super) agent: String,
    pub(super) session: SessionName,
    /// What to do if the session is busy.
    pub(super) policy: SessionPolicy,
    pub(super) key: Option<IdempotencyKey>,
    /// How often it was asked for.
    pub(super) times: u32,
    /// The run that was accepted for it.
    pub(super) run: Option<RunId>,
}

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// For an agent that plays scripts.
    Script(Script),
    /// For an agent with a model.
    Talk(Talk),
}

/// How a run ended, as a caller was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) outcome: &'static str,
    pub(super) output: Option<Content>,
}

/// A verdict that was sent.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) run: RunId,
    pub(super) step: StepKey,
    pub(super) verdict: Decision,
    /// Whether the answer said that it is recorded.
    pub(super) recorded: bool,
}

/// What somebody said to a step that waits for it.
#[derive(Clone, Debug)]
pub(super) struct Replied {
    pub(super) run: RunId,
    pub(super) step: StepKey,
    pub(super) word: Word,
    /// Whether the answer said that it is recorded.
    pub(super) recorded: bool,
}

/// What can be said to a step that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Word {
    /// Consent.
    Yes,
    /// No consent.
    No,
    /// The answer to a question.
    Answer,
}

/// A wish to end a run that was sent.
#[derive(Clone, Debug)]
pub(super) struct Cancel {
    pub(super) run: RunId,
    /// The answer, when and in which life it came.
    pub(super) answer: Option<(CancelReceipt, UnixMillis, u32)>,
}

impl Input {
    /// As it is submitted.
    pub(super) fn content(&self) -> Content {
        match self {
            Self::Script(script) => Content::json(script).expect("a script is numbers and texts"),
            Self::Talk(talk) => Content::json(talk).expect("a talk is numbers and texts"),
        }
    }
}

impl Word {
    /// The answer of the wait that it ends.
    pub(super) fn recorded_as(self) -> &'static str {
        match self {
            Self::Yes => "approved",
            Self::No => "denied",
            Self::Answer => "answered",
        }
    }
}

impl Book {
    /// The pages, while nobody else writes.
    pub(super) fn open(&self) -> MutexGuard<'_, Pages> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a violation that was seen on the way.
    pub(super) fn violation(&self, law: Law, what: impl Into<String>) {
        self.open().violations.push(Violation::new(law, what));
    }
}

impl Pages {
    /// Notes that a run was asked for once more; gives back the request.
    pub(super) fn ask(&mut self, script: u64) -> RunRequest {
        let asked = &mut self.asked[script as usize];
        asked.times += 1;
        let mut request =
            RunRequest::new(asked.input.content()).in_session(asked.session.clone()).when_busy(asked.policy);
        request.idempotency_key = asked.key.clone();
        request
    }

    /// Notes that a run was accepted. The same key has to give the same run.
    pub(super) fn accepted(&mut self, script: u64, run: RunId, repeated: bool) {
        let asked = &mut self.asked[script as usize];
        let wrong = match asked.run {
            Some(before) if before != run => Some(format!("the key of {before} gave {run} too")),
            Some(before) if !repeated => Some(format!("{before} was accepted twice")),
            None if repeated && asked.times == 1 => {
                Some(format!("{run} is said to have been there at its first submission"))
            }
            _ => None,
        };
        asked.run.get_or_insert(run);
        self.violations.extend(wrong.map(|wrong| Violation::new(Law::Key, wrong)));
        self.accepted.insert(run, script);
    }

    /// Notes how a run ended, as a caller was told.
    pub(super) fn finished(&mut self, finished: Finished) {
        let told = Told { outcome: called(&finished.outcome), output: finished.output };
        self.ended.insert(finished.run, told);
    }

    /// Notes an entry that was seen in a stream.
    pub(super) fn saw(&mut self, run: RunId, entry: &Entry) {
        let mark = mark(entry);
        let before = self.seen.entry(run).or_default().insert(entry.seq.0, mark.clone());
        if let Some(before) = before.filter(|before| *before != mark) {
            let what = format!("entry {} of {run} was `{before}` and then `{mark}`", entry.seq.0);
            self.violations.push(Violation::new(Law::Stream, what));
        }
    }

    /// The accepted runs that nobody was told the end of.
    pub(super) fn open_runs(&self) -> HashSet<RunId> {
        self.accepted.keys().filter(|run| !self.ended.contains_key(run)).copied().collect()
    }
}

/// What tells an entry from another one. Without contents: people's JSON orders fields anew.
pub(super) fn mark(entry: &Entry) -> String {
    let what = match &entry.kind {
        EntryKind::Accepted(_) => "accepted".to_owned(),
        EntryKind::Started(started) => format!("started by {}", started.node),
        EntryKind::StepOpened(opened) => format!("opened {}", opened.key),
        EntryKind::StepDispatched(dispatched) => {
            format!("dispatched {} {}", dispatched.key, dispatched.try_no)
        }
        EntryKind::StepSettled(settled) => format!("settled {}", settled.key),
        EntryKind::StepUnknown(unknown) => format!("unknown {} {:?}", unknown.key, unknown.cause),
        EntryKind::StepDecided(decided) => format!("decided {}", decided.key),
        EntryKind::StateSet(_) => "state".to_owned(),
        EntryKind::WaitOpened(opened) => format!("waits {:?}", opened.on),
        EntryKind::WaitClosed(closed) => format!("wait {} closed", closed.wait.0),
        EntryKind::AttemptEnded(ended) => format!("attempt ended {:?}", ended.how),
        EntryKind::CancelRequested(_) => "cancel".to_owned(),
        EntryKind::Ended(ended) => called(&ended.outcome).to_owned(),
        EntryKind::Cleared => "cleared".to_owned(),
        EntryKind::Unrecognised { tag } => format!("tag {tag}"),
    };
    format!("{what}, attempt {}, epoch {}, at {}", entry.attempt, entry.epoch, entry.at.0)
}

/// An outcome in a word.
pub(super) fn called(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed(_) => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled(_) => "cancelled",
        Outcome::RolledBack => "rolled back",
        Outcome::Continued(_) => "continued",
    }
}
