//! What each entry says. These structs are frozen: `runtime-codec` holds golden bytes of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::content::{Digest, Payload};
use crate::id::{AgentId, NodeId, RunId};
use crate::log::outcome::Outcome;
use crate::log::step::{DecidedBy, Effect, StepFailure, StepKey, StepSort, UnknownCause, Verdict};
use crate::log::usage::{Price, Usage};
use crate::log::wait::{WaitId, WaitOn};
use crate::name::{IdempotencyKey, SessionName};
use crate::runtime::SessionPolicy;
use crate::store::Seq;

/// See [`EntryKind::Accepted`](crate::log::EntryKind::Accepted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Whose run it is.
    pub agent: AgentId,
    /// The revision of the agent's spec that it is worked with.
    pub spec_rev: u32,
    /// The conversation that it belongs to.
    pub session: SessionName,
    /// What the caller wanted done if the session was busy.
    pub policy: SessionPolicy,
    /// The input.
    pub input: Payload,
    /// The hash of the input: the same idempotency key with another one is refused.
    pub digest: Digest,
    /// The caller's key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The run and step that started it.
    pub parent: Option<(RunId, StepKey)>,
    /// The run that it is a fork of; of a fork of a fork that goes on from copied entries, the first one.
    pub copied_from: Option<RunId>,
    /// On whose behalf.
    pub principal: Option<String>,
    /// The caller's trace, as a W3C `traceparent`.
    pub trace: Option<String>,
    /// When it has to be over.
    pub deadline: Option<UnixMillis>,
    /// Higher goes first where runs compete.
    pub priority: i32,
    /// The caller's own marks.
    pub labels: BTreeMap<String, String>,
    /// The runs before it, if it goes on from one.
    #[serde(default)]
    pub chain: Option<Chain>,
}

/// The runs before one that goes on from them (`continue_as`), and what they took: the limits of a run hold for all of them
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The first of them.
    pub first: RunId,
    /// When it was accepted.
    pub began: UnixMillis,
    /// How many steps they had.
    pub steps: u32,
    /// Tokens that they used, read and written, without those of the runs that they asked for.
    pub tokens: u64,
    /// What these cost, in millionths of a US dollar, as far as anybody knew.
    pub micros: u64,
}

impl Accepted {
    /// The run that limits count: the first of those that went on one from the other.
    pub fn counted_as(&self, run: RunId) -> RunId {
        self.chain.map_or(run, |chain| chain.first)
    }
}

/// See [`EntryKind::Started`](crate::log::EntryKind::Started).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The version of the agent's kind.
    pub kind_version: u32,
    /// The build of the runtime.
    pub build: String,
    /// The process.
    pub node: NodeId,
    /// How many suspects were tried together after the death of a process, this one among them; 0: it was none.
    pub suspects: u32,
}

/// See [`EntryKind::StepOpened`](crate::log::EntryKind::StepOpened).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOpened {
    /// Which step.
    pub key: StepKey,
    /// What it calls.
    pub sort: StepSort,
    /// What may be done again.
    pub effect: Effect,
    /// What it asks.
    pub request: Payload,
    /// The hash of the request.
    pub digest: Digest,
    /// What is held for it, in millionths of a US dollar.
    pub reserved: u64,
    /// What each of its tries is booked with as long as nobody says what it used.
    pub reserved_usage: Usage,
    /// Whether it is under way from this entry on; otherwise a `StepDispatched` follows.
    pub dispatched: bool,
}

/// See [`EntryKind::StepDispatched`](crate::log::EntryKind::StepDispatched).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDispatched {
    /// Which step.
    pub key: StepKey,
    /// 1 for the first dispatch.
    pub try_no: u32,
    /// What is held for it, in millionths of a US dollar.
    #[serde(default)]
    pub reserved: u64,
    /// What it is booked with as long as nobody says what it used. Nothing: what was held before.
    #[serde(default)]
    pub reserved_usage: Usage,
    /// What the call before it used, if that broke off, and the step's work makes this one instead: no other entry says so.
    #[serde(default)]
    pub broke_off: Usage,
    /// What that cost.
    #[serde(default)]
    pub broke_off_price: Price,
}

impl StepDispatched {
    /// A dispatch that holds what was held before.
    pub fn of(key: StepKey, try_no: u32) -> Self {
        let (reserved_usage, broke_off) = (Usage::default(), Usage::default());
        Self { key, try_no, reserved: 0, reserved_usage, broke_off, broke_off_price: Price::default() }
    }

    /// What is held from here on, in tokens and money, where it was `before`.
    pub fn holds(&self, before: (Usage, u64)) -> (Usage, u64) {
        if self.reserved_usage.is_none() { before } else { (self.reserved_usage, self.reserved) }
    }
}

/// See [`EntryKind::StepSettled`](crate::log::EntryKind::StepSettled).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSettled {
    /// Which step.
    pub key: StepKey,
    /// The try that gave the result.
    pub try_no: u32,
    /// The result.
    pub result: Result<Payload, StepFailure>,
    /// The hash of the request: for a pure step, which has no other entry.
    pub digest: Digest,
    /// What all tries used.
    pub usage: Usage,
    /// What all tries cost.
    pub price: Price,
    /// The messages that it wrote: first and one past the last.
    pub messages: Option<(Seq, Seq)>,
}

/// See [`EntryKind::StepUnknown`](crate::log::EntryKind::StepUnknown).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUnknown {
    /// Which step.
    pub key: StepKey,
    /// Which try.
    pub try_no: u32,
    /// Why nobody knows.
    pub cause: UnknownCause,
    /// What all tries used so far. What nobody reported is booked at its reservation.
    pub usage: Usage,
    /// What all tries cost so far. `None`: if this one is booked with tokens, what was held for it.
    #[serde(default)]
    pub price: Option<Price>,
}

/// See [`EntryKind::StepDecided`](crate::log::EntryKind::StepDecided).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDecided {
    /// Which step.
    pub key: StepKey,
    /// Who decided.
    pub by: DecidedBy,
    /// What.
    pub verdict: Verdict,
    /// The hash of the step's request: the decision is bound to the exact call.
    pub digest: Digest,
}

/// See [`EntryKind::StateSet`](crate::log::EntryKind::StateSet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSet {
    /// Which cell of the session; empty for the session's state itself.
    pub cell: String,
    /// Its new value.
    pub value: Payload,
}

/// See [`EntryKind::WaitOpened`](crate::log::EntryKind::WaitOpened).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitOpened {
    /// Which wait.
    pub wait: WaitId,
    /// What for.
    pub on: WaitOn,
    /// The hash of what is to be decided.
    pub digest: Digest,
    /// When it ends by itself.
    pub wake_at: Option<UnixMillis>,
    /// Whether the session's next run has to wait too.
    pub holds_session: bool,
}

/// See [`EntryKind::WaitClosed`](crate::log::EntryKind::WaitClosed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitClosed {
    /// Which wait.
    pub wait: WaitId,
    /// Who ended it.
    pub by: DecidedBy,
    /// With which answer.
    pub answer: Payload,
}

impl WaitClosed {
    /// The answer of a person who lets a run out of quarantine.
    pub const REQUEUED: &str = "requeued";

    /// Whether a person let the run out of quarantine.
    pub fn requeues(&self) -> bool {
        matches!(&self.answer, Payload::Inline(answer) if answer.bytes == Self::REQUEUED)
    }
}

/// See [`EntryKind::AttemptEnded`](crate::log::EntryKind::AttemptEnded).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnded {
    /// How.
    pub how: AttemptEnding,
    /// Whether it counts against the run.
    pub counted: bool,
}

/// How an attempt ended that did not end the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnding {
    /// It waits and needs no memory meanwhile.
    Parked,
    /// Its process was asked to end.
    Drained,
    /// It failed and will be tried again.
    Failed {
        /// In words.
        error: String,
    },
    /// Its process died.
    Lost,
}

/// See [`EntryKind::CancelRequested`](crate::log::EntryKind::CancelRequested).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Who.
    pub by: DecidedBy,
    /// Why.
    pub reason: String,
    /// How many milliseconds the run has to end by itself.
    pub within_millis: u64,
}

/// See [`EntryKind::Ended`](crate::log::EntryKind::Ended).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What the run used.
    pub usage: Usage,
    /// What the run cost.
    pub price: Price,
}
