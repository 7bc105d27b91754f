//! What a log says of its run: a pure fold, total on every prefix.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::content::{Content, Digest, Payload};
use crate::id::{AgentId, RunId};
use crate::log::bodies::{Accepted, CancelRequested, WaitOpened};
use crate::log::entry::{Entry, EntryKind};
use crate::log::outcome::Outcome;
use crate::log::step::{Effect, StepKey, UnknownCause, Verdict};
use crate::log::usage::{Price, Usage};
use crate::log::wait::{WaitId, WaitOn};
use crate::name::SessionName;
use crate::resource::Waiting;

/// What a log says of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Which run.
    pub run: RunId,
    /// Whose.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// Where it is.
    pub phase: Phase,
    /// The number of its last execution; 0 before the first.
    pub attempt: u32,
    /// How many entries its log has.
    pub entries: u64,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// When its last entry was made.
    pub last_at: UnixMillis,
    /// Its input.
    pub input: Payload,
    /// Its steps, in the order in which they were asked for.
    pub steps: Vec<StepView>,
    /// The waits that are open.
    pub waits: Vec<WaitView>,
    /// Somebody's wish to end it.
    pub cancel: Option<CancelRequested>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When its log was let go: then of input and output nothing is known here, and of steps nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept_at: Option<UnixMillis>,
    /// What its steps used. Of a call that broke off nobody may know: it is booked at its reservation.
    pub usage: Usage,
    /// What that cost.
    #[serde(default)]
    pub price: Price,
    /// What it waits for under a limit, where the runtime that answers knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Waiting>,
    /// When its steps under way last showed a piece of what is not recorded yet, where the runtime that answers knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<UnixMillis>,
    #[serde(skip)]
    index: HashMap<StepKey, usize>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Accepted, not begun.
    Queued,
    /// Begun.
    Running,
    /// Begun, and not moving for the reasons in `waits`.
    Waiting,
    /// Begun, and now without an execution: a wake-up, a restart or a decision gives it the next one.
    Parked,
    /// Over.
    Ended,
}

/// What a log says of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Which step.
    pub key: StepKey,
    /// What may be done again.
    pub effect: Effect,
    /// The hash of its request.
    pub digest: Digest,
    /// How often it was dispatched.
    pub tries: u32,
    /// When it was asked for.
    pub opened_at: UnixMillis,
    /// Where it is.
    pub phase: StepPhase,
    /// What a try is booked with as long as nobody says what it used.
    #[serde(default)]
    pub reserved: Usage,
    /// What that costs at most, in millionths of a US dollar; 0 where nobody knows.
    #[serde(default)]
    pub reserved_micros: u64,
    /// What its tries used, those under way apart.
    #[serde(default)]
    pub usage: Usage,
    /// What that cost.
    #[serde(default)]
    pub price: Price,
}

/// Where a step is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// Asked for.
    Opened,
    /// Under way.
    Dispatched,
    /// Nobody knows how it ended.
    Unknown(UnknownCause),
    /// Somebody said what becomes of it.
    Decided(Verdict),
    /// It has its result.
    Settled,
}

/// An open wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    /// Which wait.
    pub wait: WaitId,
    /// What for.
    pub on: WaitOn,
    /// Since when.
    pub since: UnixMillis,
    /// When it ends by itself.
    pub wake_at: Option<UnixMillis>,
    /// The hash of what is to be decided, answered or consented to.
    pub digest: Digest,
    /// What that is, where the runtime that answers adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Content>,
    /// What it is for, in words, where the runtime that answers knows more than the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl RunView {
    /// Folds a log. `None` for a log that does not begin with `Accepted`: it is no run's.
    pub fn of<'a>(run: RunId, entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let first = entries.next()?;
        let EntryKind::Accepted(accepted) = &first.kind else {
            return None;
        };
        let mut view = Self::accepted(run, first, accepted);
        entries.for_each(|entry| view.apply(entry));
        Some(view)
    }

    fn accepted(run: RunId, entry: &Entry, accepted: &Accepted) -> Self {
        Self {
            run,
            agent: accepted.agent,
            session: accepted.session.clone(),
            phase: Phase::Queued,
            attempt: 0,
            entries: 1,
            accepted_at: entry.at,
            last_at: entry.at,
            input: accepted.input.clone(),
            steps: Vec::new(),
            waits: Vec::new(),
            cancel: None,
            outcome: None,
            swept_at: None,
            usage: Usage::default(),
            price: Price::default(),
            room: None,
            shown_at: None,
            index: HashMap::new(),
        }
    }

    /// The step with this key, if the log has one.
    pub fn step(&self, key: &StepKey) -> Option<&StepView> {
        match self.index.get(key) {
            Some(at) => self.steps.get(*at),
            // A view that came over the wire has no index.
            None => self.steps.iter().find(|step| step.key == *key),
        }
    }

    /// The open wait for a decision on this step.
    pub fn decision_on(&self, key: &StepKey) -> Option<&WaitView> {
        self.waits.iter().find(|wait| matches!(&wait.on, WaitOn::Decision(step) if step == key))
    }

    /// Takes the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        self.entries += 1;
        self.last_at = entry.at;
        match &entry.kind {
            EntryKind::Accepted(_) | EntryKind::StateSet(_) | EntryKind::Unrecognised { .. } => {}
            EntryKind::Started(_) => {
                self.attempt = entry.attempt;
                self.phase = Phase::Running;
            }
            EntryKind::StepOpened(opened) => {
                let phase = if opened.dispatched { StepPhase::Dispatched } else { StepPhase::Opened };
                self.put(StepView {
                    key: opened.key.clone(),
                    effect: opened.effect,
                    digest: opened.digest,
                    tries: u32::from(opened.dispatched),
                    opened_at: entry.at,
                    phase,
                    reserved: opened.reserved_usage,
                    reserved_micros: opened.reserved,
                    usage: Usage::default(),
                    price: Price::default(),
                });
            }
            EntryKind::StepDispatched(dispatched) => {
                self.usage = self.usage.plus(dispatched.broke_off);
                self.price = self.price.plus(dispatched.broke_off_price);
                self.change(&dispatched.key, |step| {
                    step.tries = dispatched.try_no;
                    step.phase = StepPhase::Dispatched;
                    step.usage = step.usage.plus(dispatched.broke_off);
                    step.price = step.price.plus(dispatched.broke_off_price);
                    (step.reserved, step.reserved_micros) =
                        dispatched.holds((step.reserved, step.reserved_micros));
                });
            }
            EntryKind::StepSettled(settled) => {
                if !self.index.contains_key(&settled.key) {
                    self.put(StepView {
                        key: settled.key.clone(),
                        effect: Effect::Pure,
                        digest: settled.digest,
                        tries: settled.try_no,
                        opened_at: entry.at,
                        phase: StepPhase::Settled,
                        reserved: Usage::default(),
                        reserved_micros: 0,
                        usage: Usage::default(),
                        price: Price::default(),
                    });
                }
                self.book(&settled.key, settled.usage, Some(settled.price));
                self.change(&settled.key, |step| step.phase = StepPhase::Settled);
            }
            EntryKind::StepUnknown(unknown) => {
                self.book(&unknown.key, unknown.usage, unknown.price);
                self.change(&unknown.key, |step| step.phase = StepPhase::Unknown(unknown.cause));
            }
            EntryKind::StepDecided(decided) => {
                self.change(&decided.key, |step| step.phase = StepPhase::Decided(decided.verdict.clone()));
            }
            EntryKind::WaitOpened(opened) => self.open(entry.at, opened),
            EntryKind::WaitClosed(closed) => self.waits.retain(|wait| wait.wait != closed.wait),
            EntryKind::AttemptEnded(_) => self.phase = Phase::Parked,
            EntryKind::CancelRequested(cancel) => self.cancel = Some(cancel.clone()),
            EntryKind::Ended(ended) => {
                self.outcome = Some(ended.outcome.clone());
                self.waits.clear();
                self.phase = Phase::Ended;
            }
        }
        if matches!(self.phase, Phase::Running | Phase::Waiting) {
            self.phase = if self.is_waiting() { Phase::Waiting } else { Phase::Running };
        }
    }

    fn is_waiting(&self) -> bool {
        !self.waits.is_empty() && !self.steps.iter().any(|step| step.phase == StepPhase::Dispatched)
    }

    fn open(&mut self, at: UnixMillis, opened: &WaitOpened) {
        self.waits.push(WaitView {
            wait: opened.wait,
            on: opened.on.clone(),
            since: at,
            wake_at: opened.wake_at,
            digest: opened.digest,
            asks: None,
            note: None,
        });
    }

    /// What is said of a step's usage is said of all its tries. A try that nobody can say the price of costs what was held
    /// for it, if it is booked with tokens.
    fn book(&mut self, key: &StepKey, usage: Usage, price: Option<Price>) {
        let Some(at) = self.index.get(key) else { return };
        let step = &mut self.steps[*at];
        let before = std::mem::replace(&mut step.usage, usage);
        self.usage = self.usage.minus(before).plus(usage);
        let held = || Price { micros: Some(step.reserved_micros).filter(|held| *held > 0), wasted_micros: 0 };
        let price = price.unwrap_or_else(|| {
            if usage.tokens() == before.tokens() { step.price } else { step.price.plus(held()) }
        });
        let before = std::mem::replace(&mut step.price, price);
        self.price = self.price.minus(before).plus(price);
    }

    fn put(&mut self, step: StepView) {
        self.index.insert(step.key.clone(), self.steps.len());
        self.steps.push(step);
    }

    fn change(&mut self, key: &StepKey, change: impl FnOnce(&mut StepView)) {
        if let Some(at) = self.index.get(key) {
            change(&mut self.steps[*at]);
        }
    }
}
