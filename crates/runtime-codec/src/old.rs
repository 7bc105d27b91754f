//! Shapes that earlier versions wrote. They are read, and never written again.

use std::collections::BTreeMap;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{
    Accepted, Effect, Ended, Head, Outcome, Price, StepDispatched, StepFailure, StepKey, StepOpened,
    StepSettled, StepSort, StepUnknown, UnknownCause, Usage, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::name::{IdempotencyKey, Name, SessionName};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;
use serde::Deserialize;

use crate::snapshot::{Kept, Manifest, SavedSession, SegmentRef};

/// Before runs knew those from which they go on.
#[derive(Deserialize)]
pub(crate) struct AcceptedV2 {
    agent: AgentId,
    spec_rev: u32,
    session: SessionName,
    policy: SessionPolicy,
    input: Payload,
    digest: Digest,
    idempotency_key: Option<IdempotencyKey>,
    parent: Option<(RunId, StepKey)>,
    copied_from: Option<RunId>,
    principal: Option<String>,
    trace: Option<String>,
    deadline: Option<UnixMillis>,
    priority: i32,
    labels: BTreeMap<String, String>,
}

/// Before tokens could be estimated.
#[derive(Deserialize)]
struct UsageV1 {
    input_tokens: u64,
    output_tokens: u64,
    model_calls: u32,
    tool_calls: u32,
}

#[derive(Deserialize)]
pub(crate) struct StepSettledV1 {
    key: StepKey,
    try_no: u32,
    result: Result<Payload, StepFailure>,
    digest: Digest,
    usage: UsageV1,
    price: Price,
    messages: Option<(Seq, Seq)>,
}

/// Before it was said why a run is in quarantine.
#[derive(Deserialize)]
enum WaitOnV1 {
    Approval(StepKey),
    Answer(StepKey),
    Budget(StepKey),
    Child { step: StepKey, run: RunId },
    Time(StepKey),
    Event(StepKey),
    Decision(StepKey),
    Diverged { recorded: String, asked: String },
    Kind(Name),
    CodeVersion(u32),
    Operator,
}

#[derive(Deserialize)]
pub(crate) struct WaitOpenedV1 {
    wait: WaitId,
    on: WaitOnV1,
    digest: Digest,
    wake_at: Option<UnixMillis>,
    holds_session: bool,
}

#[derive(Deserialize)]
pub(crate) struct EndedV1 {
    outcome: Outcome,
    usage: UsageV1,
    price: Price,
}

/// Before reservations in tokens.
#[derive(Deserialize)]
pub(crate) struct StepOpenedV1 {
    key: StepKey,
    sort: StepSort,
    effect: Effect,
    request: Payload,
    digest: Digest,
    reserved: u64,
    dispatched: bool,
}

#[derive(Deserialize)]
pub(crate) struct StepDispatchedV1 {
    key: StepKey,
    try_no: u32,
}

#[derive(Deserialize)]
pub(crate) struct StepUnknownV1 {
    key: StepKey,
    try_no: u32,
    cause: UnknownCause,
}

/// Before it said what the tries cost.
#[derive(Deserialize)]
pub(crate) struct StepUnknownV2 {
    key: StepKey,
    try_no: u32,
    cause: UnknownCause,
    usage: Usage,
}

impl From<AcceptedV2> for Accepted {
    fn from(old: AcceptedV2) -> Self {
        let AcceptedV2 { agent, spec_rev, session, policy, input, digest, idempotency_key, .. } = old;
        let AcceptedV2 { parent, copied_from, principal, trace, deadline, priority, labels, .. } = old;
        Self {
            agent,
            spec_rev,
            session,
            policy,
            input,
            digest,
            idempotency_key,
            parent,
            copied_from,
            principal,
            trace,
            deadline,
            priority,
            labels,
            chain: None,
        }
    }
}

impl From<StepOpenedV1> for StepOpened {
    fn from(old: StepOpenedV1) -> Self {
        let StepOpenedV1 { key, sort, effect, request, digest, reserved, dispatched } = old;
        let reserved_usage = Usage::default();
        Self { key, sort, effect, request, digest, reserved, reserved_usage, dispatched }
    }
}

impl From<StepDispatchedV1> for StepDispatched {
    fn from(old: StepDispatchedV1) -> Self {
        Self::of(old.key, old.try_no)
    }
}

impl From<StepUnknownV1> for StepUnknown {
    fn from(old: StepUnknownV1) -> Self {
        let StepUnknownV1 { key, try_no, cause } = old;
        Self { key, try_no, cause, usage: Usage::default(), price: None }
    }
}

impl From<StepUnknownV2> for StepUnknown {
    fn from(old: StepUnknownV2) -> Self {
        let StepUnknownV2 { key, try_no, cause, usage } = old;
        Self { key, try_no, cause, usage, price: None }
    }
}

impl From<UsageV1> for Usage {
    fn from(old: UsageV1) -> Self {
        let UsageV1 { input_tokens, output_tokens, model_calls, tool_calls } = old;
        Self { input_tokens, output_tokens, model_calls, tool_calls, estimated_tokens: 0 }
    }
}

impl From<StepSettledV1> for StepSettled {
    fn from(old: StepSettledV1) -> Self {
        let StepSettledV1 { key, try_no, result, digest, usage, price, messages } = old;
        Self { key, try_no, result, digest, usage: usage.into(), price, messages }
    }
}

impl From<EndedV1> for Ended {
    fn from(old: EndedV1) -> Self {
        Self { outcome: old.outcome, usage: old.usage.into(), price: old.price }
    }
}

/// When the manifest of a snapshot held the conversations itself.
#[derive(Deserialize)]
pub(crate) struct ManifestV1 {
    agent: AgentId,
    revision: u32,
    spec: String,
    kind_version: u32,
    at: UnixMillis,
    sessions: Vec<SessionManifestV1>,
}

#[derive(Deserialize)]
struct SessionManifestV1 {
    session: SessionName,
    head: Option<Head>,
    state: Option<Payload>,
    segments: Vec<SegmentRef>,
}

impl From<ManifestV1> for Manifest {
    fn from(old: ManifestV1) -> Self {
        let ManifestV1 { agent, revision, spec, kind_version, at, sessions } = old;
        let sessions: Vec<SavedSession> = sessions.into_iter().map(SavedSession::from).collect();
        Self {
            agent,
            revision,
            spec,
            kind_version,
            at,
            sessions: sessions.len() as u32,
            messages: sessions.iter().map(SavedSession::messages).sum(),
            bytes: sessions.iter().map(SavedSession::bytes).sum(),
            kept: Kept::Here(sessions),
        }
    }
}

impl From<SessionManifestV1> for SavedSession {
    fn from(old: SessionManifestV1) -> Self {
        let SessionManifestV1 { session, head, state, segments } = old;
        Self { session, head, state, sealed: Vec::new(), open: segments }
    }
}

impl From<WaitOnV1> for WaitOn {
    fn from(old: WaitOnV1) -> Self {
        match old {
            WaitOnV1::Approval(step) => Self::Approval(step),
            WaitOnV1::Answer(step) => Self::Answer(step),
            WaitOnV1::Budget(step) => Self::Budget(step),
            WaitOnV1::Child { step, run } => Self::Child { step, run },
            WaitOnV1::Time(step) => Self::Time(step),
            WaitOnV1::Event(step) => Self::Event(step),
            WaitOnV1::Decision(step) => Self::Decision(step),
            WaitOnV1::Diverged { recorded, asked } => Self::Diverged { recorded, asked },
            WaitOnV1::Kind(kind) => Self::Kind(kind),
            WaitOnV1::CodeVersion(version) => Self::CodeVersion(version),
            WaitOnV1::Operator => Self::Operator { why: String::new() },
        }
    }
}

impl From<WaitOpenedV1> for WaitOpened {
    fn from(old: WaitOpenedV1) -> Self {
        let WaitOpenedV1 { wait, on, digest, wake_at, holds_session } = old;
        Self { wait, on: on.into(), digest, wake_at, holds_session }
    }
}
