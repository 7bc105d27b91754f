//! One of everything that is written down, with every arm of its enums.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{
    AnnouncedRecord, Child, CodecError, ContentMark, ContentRef, Cursor, CursorRecord, Due, EndedRun,
    EventRecord, IdemRecord, InboxMail, IndexRef, Kept, LastSaved, LimitsRecord, Mail, Manifest, NameRecord,
    OpenRun, OutboxMail, OwnerRecord, Record, SavedSession, ScheduleRecord, Segment, SegmentIndex,
    SegmentRef, SessionList, SessionPage, SpecRecord, StateRecord, SweptRun, WantRecord, decode,
    decode_entry, encode, encode_entry, file::FileContent,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Media, Payload};
use runtime_traits::log::{
    Accepted, AttemptEnded, AttemptEnding, Author, CancelRequested, Chain, DecidedBy, Effect, Ended, Entry,
    EntryKind, FailureKind, Head, Message, Outcome, Price, Receipt, RunFailure, Started, StateSet,
    StepDecided, StepDispatched, StepFailure, StepFailureKind, StepKey, StepOpened, StepSettled, StepSort,
    StepUnknown, Stopped, UnknownCause, Usage, Verdict, WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::name::{IdempotencyKey, Name, SessionName, Tenant};
use runtime_traits::resource::LimitsBy;
use runtime_traits::runtime::{SessionPolicy, Want};
use runtime_traits::schedule::{Fire, ScheduledBy};
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, NodeId, Partition, Pool, RunId, StateId};
use uuid::Uuid;

/// The number of every sample entry: it is its place in the log and not written.
pub(crate) const SEQ: Seq = Seq(7);

/// Whether bytes decode to the sample.
type Reads = dyn Fn(&[u8]) -> Result<bool, CodecError>;

/// Something that is written down.
pub(crate) struct Sample {
    pub(crate) name: String,
    /// As this version writes it.
    pub(crate) bytes: Bytes,
    is_read_from: Box<Reads>,
}

impl Sample {
    fn of<T: PartialEq + Debug + 'static>(
        name: impl Into<String>,
        value: T,
        write: fn(&T) -> Bytes,
        read: fn(&[u8]) -> Result<T, CodecError>,
    ) -> Self {
        let bytes = write(&value);
        let is_read_from = move |bytes: &[u8]| Ok(read(bytes)? == value);
        Self { name: name.into(), bytes, is_read_from: Box::new(is_read_from) }
    }

    fn record<R: Record + PartialEq + Debug + 'static>(name: &str, record: R) -> Self {
        Self::of(format!("record.{name}"), record, encode::<R>, decode::<R>)
    }

    fn entry(name: impl AsRef<str>, kind: EntryKind) -> Self {
        let entry = Entry { seq: SEQ, at: UnixMillis(1_764_000_000_123), attempt: 3, epoch: 5, kind };
        let read = |bytes: &[u8]| decode_entry(SEQ, bytes);
        Self::of(format!("entry.{}", name.as_ref()), entry, encode_entry, read)
    }

    /// Whether bytes are read as this.
    pub(crate) fn is_read_from(&self, bytes: &[u8]) -> Result<bool, CodecError> {
        (self.is_read_from)(bytes)
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Sample> {
    let mut samples = entries();
    samples.extend(steps());
    samples.extend(waits());
    samples.extend(ends());
    samples.extend(records());
    samples.extend(snapshots());
    samples.extend(mails());
    samples
}

pub(crate) fn key(text: &str) -> StepKey {
    text.parse().expect("a good key")
}

fn name(name: &str) -> Name {
    Name::new(name).expect("a good name")
}

fn session() -> SessionName {
    SessionName::new("Morning.1").expect("a good name")
}

fn partition() -> Partition {
    Partition { pool: Pool::new("gpu-1").expect("a good name"), index: 255 }
}

fn run(number: u128) -> RunId {
    RunId::from_parts(partition(), Uuid::from_u128(number))
}

fn agent() -> AgentId {
    AgentId::from_parts(partition(), Uuid::from_u128(0x0193_571c_8a2f_7c3e_9d1a_5b6c_7d8e_9f00))
}

fn digest() -> Digest {
    Digest::of(b"request")
}

fn text() -> Payload {
    Payload::Inline(Content::text("héllo"))
}

fn blob() -> Payload {
    let json = Content::json(&1).expect("a number is JSON");
    Payload::Blob { hash: digest(), len: 70_000, media: json.media }
}

fn usage() -> Usage {
    Usage { input_tokens: 70_000, output_tokens: 300, model_calls: 2, tool_calls: 1, estimated_tokens: 0 }
}

fn price() -> Price {
    Price { micros: Some(1_234_567), wasted_micros: 89 }
}

fn somebody() -> DecidedBy {
    DecidedBy::Principal("ops@example.org".to_owned())
}

fn least() -> Accepted {
    Accepted {
        agent: AgentId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, Uuid::nil()),
        spec_rev: 0,
        session: SessionName::default(),
        policy: SessionPolicy::Enqueue,
        input: Payload::Inline(Content::bytes(vec![0, 255])),
        digest: digest(),
        idempotency_key: None,
        parent: None,
        copied_from: None,
        principal: None,
        trace: None,
        deadline: None,
        priority: 0,
        chain: None,
        labels: BTreeMap::new(),
    }
}

fn entries() -> Vec<Sample> {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let full = Accepted {
        agent: agent(),
        spec_rev: 300,
        session: session(),
        policy: SessionPolicy::Reject,
        input: text(),
        digest: digest(),
        idempotency_key: Some(IdempotencyKey::new("order/42?").expect("a good key")),
        parent: Some((run(1), key("b0/call#2"))),
        copied_from: Some(run(2)),
        principal: Some("alice".to_owned()),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        deadline: Some(UnixMillis(1_764_000_060_000)),
        priority: -5,
        chain: None,
        labels: BTreeMap::from([label("team", "red"), label("cost", "")]),
    };
    let chain =
        Chain { first: run(3), began: UnixMillis(1_764_000_000_000), steps: 7, tokens: 300, micros: 900 };
    let going_on = Accepted { chain: Some(chain), ..least() };
    let started = Started {
        kind_version: 2,
        build: "0.1.0+abc".to_owned(),
        node: NodeId(Uuid::from_u128(9)),
        suspects: 1,
    };
    vec![
        Sample::entry("accepted.least", EntryKind::Accepted(Box::new(least()))),
        Sample::entry("accepted.full", EntryKind::Accepted(Box::new(full))),
        Sample::entry("accepted.going-on", EntryKind::Accepted(Box::new(going_on))),
        Sample::entry("started", EntryKind::Started(started)),
        Sample::entry("state-set", EntryKind::StateSet(StateSet { cell: String::new(), value: text() })),
        Sample::entry(
            "state-set.blob",
            EntryKind::StateSet(StateSet { cell: "notes".to_owned(), value: blob() }),
        ),
        Sample::entry("unrecognised", EntryKind::Unrecognised { tag: 999 }),
    ]
}

fn steps() -> Vec<Sample> {
    let mut samples = Vec::new();
    let opened = StepOpened {
        key: key("fetch"),
        sort: StepSort::Custom,
        effect: Effect::AtMostOnce,
        request: text(),
        digest: digest(),
        reserved: 0,
        reserved_usage: Usage::default(),
        dispatched: true,
    };
    let sorts = [StepSort::Model, StepSort::Tool, StepSort::Call, StepSort::Shared, StepSort::Custom];
    for (name, sort) in ["model", "tool", "call", "shared", "custom"].into_iter().zip(sorts) {
        let kind = EntryKind::StepOpened(StepOpened { sort, ..opened.clone() });
        samples.push(Sample::entry(format!("step-opened.{name}"), kind));
    }
    let window = Duration::new(86_400, 5);
    let effects = [Effect::Pure, Effect::Repeatable, Effect::Idempotent { window }];
    for (name, effect) in ["pure", "repeatable", "idempotent"].into_iter().zip(effects) {
        let key = key("a/b/fetch#300");
        let kind =
            StepOpened { key, effect, request: blob(), reserved: 9_999, dispatched: false, ..opened.clone() };
        samples.push(Sample::entry(format!("step-opened.{name}"), EntryKind::StepOpened(kind)));
    }
    let reserving = StepOpened { reserved_usage: Usage { estimated_tokens: 40, ..usage() }, ..opened };
    samples.push(Sample::entry("step-opened.reserving", EntryKind::StepOpened(reserving)));
    let dispatched = StepDispatched::of(key("fetch"), 2);
    samples.push(Sample::entry("step-dispatched", EntryKind::StepDispatched(dispatched)));
    let again = StepDispatched {
        reserved: 9_999,
        reserved_usage: Usage { estimated_tokens: 40, ..usage() },
        broke_off: usage(),
        broke_off_price: price(),
        ..StepDispatched::of(key("a/fetch"), 3)
    };
    samples.push(Sample::entry("step-dispatched.again", EntryKind::StepDispatched(again)));
    let settled = StepSettled {
        key: key("fetch"),
        try_no: 1,
        result: Ok(text()),
        digest: digest(),
        usage: Usage::default(),
        price: Price::default(),
        messages: None,
    };
    samples.push(Sample::entry("step-settled.least", EntryKind::StepSettled(settled.clone())));
    let full = StepSettled {
        result: Ok(blob()),
        usage: usage(),
        price: price(),
        messages: Some((Seq(4), Seq(6))),
        ..settled.clone()
    };
    samples.push(Sample::entry("step-settled.full", EntryKind::StepSettled(full)));
    let estimated = StepSettled { usage: Usage { estimated_tokens: 40, ..usage() }, ..settled.clone() };
    samples.push(Sample::entry("step-settled.estimated", EntryKind::StepSettled(estimated)));
    let failures = [
        StepFailureKind::Work,
        StepFailureKind::TimedOut,
        StepFailureKind::Decided,
        StepFailureKind::Denied,
        StepFailureKind::Limit,
    ];
    for (name, kind) in ["work", "timed-out", "decided", "denied", "limit"].into_iter().zip(failures) {
        let result = Err(StepFailure { kind, message: "no luck".to_owned() });
        let kind = EntryKind::StepSettled(StepSettled { result, ..settled.clone() });
        samples.push(Sample::entry(format!("step-settled.{name}"), kind));
    }
    let causes =
        [UnknownCause::Crash, UnknownCause::Cancelled, UnknownCause::Dropped, UnknownCause::TimedOut];
    for (name, cause) in ["crash", "cancelled", "dropped", "timed-out"].into_iter().zip(causes) {
        let kind = EntryKind::StepUnknown(StepUnknown {
            key: key("fetch"),
            try_no: 1,
            cause,
            usage: Usage::default(),
            price: None,
        });
        samples.push(Sample::entry(format!("step-unknown.{name}"), kind));
    }
    let (key_, cause) = (key("fetch"), UnknownCause::Cancelled);
    let booked = StepUnknown {
        key: key_,
        try_no: 2,
        cause,
        usage: Usage { estimated_tokens: 40, ..usage() },
        price: None,
    };
    let priced = StepUnknown { price: Some(price()), ..booked.clone() };
    samples.push(Sample::entry("step-unknown.booked", EntryKind::StepUnknown(booked)));
    samples.push(Sample::entry("step-unknown.priced", EntryKind::StepUnknown(priced)));
    let decisions = [
        ("policy.repeat", DecidedBy::Policy, Verdict::Repeat),
        ("reconcile.assume", DecidedBy::Reconcile, Verdict::Assume(text())),
        ("principal.fail", somebody(), Verdict::Fail),
    ];
    for (name, by, verdict) in decisions {
        let kind = EntryKind::StepDecided(StepDecided { key: key("fetch"), by, verdict, digest: digest() });
        samples.push(Sample::entry(format!("step-decided.{name}"), kind));
    }
    samples
}

fn waits() -> Vec<Sample> {
    let step = || key("ask");
    let diverged = WaitOn::Diverged { recorded: "step `a`".to_owned(), asked: "step `b`".to_owned() };
    let reasons = [
        ("approval", WaitOn::Approval(step())),
        ("answer", WaitOn::Answer(step())),
        ("budget", WaitOn::Budget(step())),
        ("child", WaitOn::Child { step: step(), run: run(4) }),
        ("time", WaitOn::Time(step())),
        ("event", WaitOn::Event(step())),
        ("decision", WaitOn::Decision(step())),
        ("diverged", diverged),
        ("kind", WaitOn::Kind(name("librarian"))),
        ("code-version", WaitOn::CodeVersion(4)),
        ("operator", WaitOn::Operator),
    ];
    let mut samples = Vec::new();
    for (name, on) in reasons {
        let wake_at = matches!(on, WaitOn::Time(_)).then_some(UnixMillis(1_764_000_060_000));
        let holds_session = !matches!(on, WaitOn::Operator);
        let opened = WaitOpened { wait: WaitId(12), on, digest: digest(), wake_at, holds_session };
        samples.push(Sample::entry(format!("wait-opened.{name}"), EntryKind::WaitOpened(opened)));
    }
    let closed = WaitClosed { wait: WaitId(12), by: somebody(), answer: text() };
    samples.push(Sample::entry("wait-closed", EntryKind::WaitClosed(closed)));
    samples
}

fn ends() -> Vec<Sample> {
    let mut samples = Vec::new();
    let failed = AttemptEnding::Failed { error: "no luck".to_owned() };
    let endings = [AttemptEnding::Parked, AttemptEnding::Drained, failed, AttemptEnding::Lost];
    for (name, how) in ["parked", "drained", "failed", "lost"].into_iter().zip(endings) {
        let counted = how == AttemptEnding::Lost;
        let kind = EntryKind::AttemptEnded(AttemptEnded { how, counted });
        samples.push(Sample::entry(format!("attempt-ended.{name}"), kind));
    }
    let cancel = CancelRequested { by: somebody(), reason: "enough".to_owned(), within_millis: 30_000 };
    samples.push(Sample::entry("cancel-requested", EntryKind::CancelRequested(cancel)));
    let mut outcomes = vec![
        ("completed".to_owned(), Outcome::Completed(text())),
        ("rolled-back".to_owned(), Outcome::RolledBack),
        ("continued".to_owned(), Outcome::Continued(run(3))),
    ];
    let failures = [
        ("agent", FailureKind::Agent),
        ("panicked", FailureKind::Panicked),
        ("deadline", FailureKind::Deadline),
        ("log-full", FailureKind::LogFull),
        ("decided", FailureKind::Decided),
        ("limit", FailureKind::Limit),
    ];
    for (name, kind) in failures {
        let failure = RunFailure { kind, message: "no luck".to_owned() };
        outcomes.push((format!("failed.{name}"), Outcome::Failed(failure)));
    }
    let stops = [Stopped::Complete, Stopped::Dropped, Stopped::Abandoned];
    for (name, stopped) in ["complete", "dropped", "abandoned"].into_iter().zip(stops) {
        let unknown = if stopped == Stopped::Complete { vec![] } else { vec![key("a/fetch"), key("ask#2")] };
        outcomes.push((format!("cancelled.{name}"), Outcome::Cancelled(Receipt { stopped, unknown })));
    }
    for (name, outcome) in outcomes {
        let kind = EntryKind::Ended(Ended { outcome, usage: usage(), price: price() });
        samples.push(Sample::entry(format!("ended.{name}"), kind));
    }
    samples
}

fn records() -> Vec<Sample> {
    let tenant = Tenant::new("acme").expect("a good name");
    let at = UnixMillis(1_764_000_000_123);
    let head = Head { last: Seq(300), messages: 299, run: run(1), at };
    let spec = "{\"kind\":\"poet\",\"name\":\"Basho\"}".to_owned();
    let message = |author, after| Message { author, content: text(), run: run(1), at, after };
    let mut samples = vec![
        Sample::record("owner", OwnerRecord { epoch: 300, node: NodeId(Uuid::from_u128(9)), since: at }),
        Sample::record("name", NameRecord { agent: agent(), name: "Basho".to_owned() }),
        Sample::record("spec", SpecRecord { revision: 2, at, spec }),
        Sample::record("open-run", OpenRun { tenant: tenant.clone(), agent: agent(), session: session() }),
        Sample::record("idempotency-key", IdemRecord { run: run(1), digest: digest() }),
        Sample::record("ended-run", EndedRun { session: session(), at }),
        Sample::record("head", head),
        Sample::record("state.inline", StateRecord { value: text() }),
        Sample::record("state.blob", StateRecord { value: blob() }),
        Sample::record("message.caller", message(Author::Caller, None)),
        Sample::record("message.agent", message(Author::Agent, Some(Seq(300)))),
        Sample::record("message.model", message(Author::Model, Some(Seq(1)))),
        Sample::record("message.tool", message(Author::Tool, Some(Seq(2)))),
        Sample::record("due.wake", Due::Wake { run: run(1) }),
        Sample::record("due.forget-key", Due::ForgetKey { cell: b"t/acme/idem/x".to_vec() }),
        Sample::record("due.unnamed", Due::Unnamed { tenant, agent: agent(), name: "Basho".to_owned() }),
    ];
    for (name, want) in [("active", Want::Active), ("paused", Want::Paused), ("stopped", Want::Stopped)] {
        samples.push(Sample::record(&format!("want.{name}"), WantRecord { want, generation: 5 }));
    }
    let limits = "{\"max_tokens_total\":9000}".to_owned();
    let by_hand = LimitsRecord { at, by: LimitsBy::Hand, counted_since: Some(at), limits };
    samples.push(Sample::record("limits.hand", by_hand));
    let none = LimitsRecord { at, by: LimitsBy::FleetFile, counted_since: None, limits: "{}".to_owned() };
    samples.push(Sample::record("limits.fleet-file", none));
    samples
}

fn snapshots() -> Vec<Sample> {
    let at = UnixMillis(1_764_000_000_123);
    let head = Head { last: Seq(300), messages: 299, run: run(1), at };
    let spec = "{\"kind\":\"poet\",\"name\":\"Basho\"}".to_owned();
    let content = ContentRef { hash: digest(), len: 70_000 };
    let segment = SegmentRef { hash: digest(), len: 4_096, first: 65, messages: 64 };
    let segments = vec![segment, SegmentRef { first: 129, ..segment }];
    let kept = SavedSession {
        session: session(),
        head: Some(head),
        state: Some(text()),
        sealed: vec![],
        open: segments.clone(),
    };
    let empty = SavedSession {
        session: SessionName::default(),
        head: None,
        state: None,
        sealed: vec![],
        open: vec![],
    };
    let index = IndexRef { hash: digest(), len: 3_000, first: 1, messages: 4_096, bytes: 70_000 };
    let long = SavedSession { sealed: vec![index], state: Some(blob()), ..kept.clone() };
    // As version 1 had it, with what is counted from it.
    let manifest = Manifest {
        agent: agent(),
        revision: 2,
        spec: spec.clone(),
        kind_version: 1,
        at,
        sessions: 0,
        messages: 0,
        bytes: 0,
        kept: Kept::Here(vec![]),
    };
    let full = Manifest {
        sessions: 2,
        messages: 299,
        bytes: 2 * 4_096 + 6,
        kept: Kept::Here(vec![kept, empty.clone()]),
        ..manifest.clone()
    };
    let listed = Manifest { kept: Kept::List(content), ..full.clone() };
    let restore = Due::Restore {
        tenant: Tenant::new("acme").expect("a good name"),
        agent: agent(),
        of: agent(),
        at,
        spec,
        sessions: content,
    };
    let state = StateId::from_parts(partition(), Uuid::from_u128(11));
    let tenant = Tenant::new("acme").expect("a good name");
    let sweep = Due::Sweep { tenant: tenant.clone(), agent: agent(), session: session(), run: run(1) };
    let contents = Due::SweepContents { tenant: tenant.clone() };
    let fires = Due::Schedule { tenant: tenant.clone(), agent: agent(), name: "morning".to_owned() };
    let schedule = ScheduleRecord {
        schedule: r#"{"name":"morning","timing":{"every":{"ms":60000}},"run":{"input":{"text":"go"}}}"#
            .to_owned(),
        by: ScheduledBy::Hand,
        declared_at: at,
        id: 7,
        since: at,
        upto: at,
        paused: true,
        next: None,
        fired: 0,
        missed: 0,
        last: vec![],
    };
    let fired = ScheduleRecord {
        by: ScheduledBy::FleetFile,
        upto: UnixMillis(at.0 + 60_000),
        paused: false,
        next: Some(UnixMillis(at.0 + 120_000)),
        fired: 1,
        missed: 300,
        last: vec![Fire { tick: UnixMillis(at.0 + 60_000), at: UnixMillis(at.0 + 60_001), run: run(1) }],
        ..schedule.clone()
    };
    let mark = ContentMark { at, len: 70_000, of: None };
    let swept = SweptRun {
        tenant,
        agent: agent(),
        session: session(),
        accepted_at: UnixMillis(1),
        ended_at: at,
        swept_at: UnixMillis(at.0 + 1),
        attempt: 2,
        entries: 300,
        outcome: Outcome::RolledBack,
        usage: Usage { input_tokens: 5, ..Usage::default() },
    };
    vec![
        Sample::record("due.restore", restore),
        Sample::record("due.sweep", sweep),
        Sample::record("due.sweep-contents", contents),
        Sample::record("due.schedule", fires),
        Sample::record("schedule.least", schedule),
        Sample::record("schedule.full", fired),
        Sample::record("content-mark", mark.clone()),
        Sample::record("content-mark.of", ContentMark { of: Some((agent(), session())), ..mark }),
        Sample::record("swept-run", swept),
        Sample::record("manifest.least", manifest),
        Sample::record("manifest.full", full),
        Sample::record("manifest.listed", listed),
        Sample::record("session-list", SessionList { pages: vec![content, content] }),
        Sample::record("session-page", SessionPage { sessions: vec![long, empty] }),
        Sample::record("segment-index", SegmentIndex { segments }),
        Sample::record("segment", Segment { messages: vec![Bytes::from_static(b"one"), Bytes::new()] }),
        Sample::record("last-saved", LastSaved { state }),
        Sample::record("file-content.made", FileContent { hash: digest(), len: 300, media: None }),
        Sample::record(
            "file-content.text",
            FileContent { hash: digest(), len: 300, media: Some(Media::Text) },
        ),
    ]
}

fn mails() -> Vec<Sample> {
    let child = Child {
        tenant: Tenant::new("acme").expect("a good name"),
        agent: agent(),
        run: run(4),
        session: session(),
        input: blob(),
        parent: run(1),
        step: key("team/call#2"),
        deadline: Some(UnixMillis(1_764_000_060_000)),
        principal: Some("alice".to_owned()),
        trace: None,
    };
    let over = |result| Mail::Over { parent: run(1), step: key("call"), run: run(4), result, usage: usage() };
    let failure = StepFailure { kind: StepFailureKind::Work, message: "no luck".to_owned() };
    let mails = [
        ("start", Mail::Start(Box::new(child))),
        ("cancel", Mail::Cancel { run: run(4) }),
        ("over.output", over(Ok(text()))),
        ("over.failed", over(Err(failure))),
    ];
    let mut samples = vec![Sample::record("cursor", Cursor { done: 300 })];
    samples.extend(events());
    for (name, mail) in mails {
        let sent = OutboxMail { to: partition(), mail: mail.clone() };
        samples.push(Sample::record(&format!("outbox.{name}"), sent));
        let come = InboxMail { from: partition(), number: 300, mail };
        samples.push(Sample::record(&format!("inbox.{name}"), come));
    }
    samples
}

fn events() -> Vec<Sample> {
    let least = EventRecord {
        at: UnixMillis(1_764_000_000_123),
        id: [7; 16],
        topic: "orders/new".to_owned(),
        tenant: Tenant::default(),
        source: "shop".to_owned(),
        run: None,
        causation: None,
        correlation: None,
        time: UnixMillis(1_764_000_000_000),
        hops: 0,
        reply_to: None,
        content_type: "application/json".to_owned(),
        headers: BTreeMap::new(),
        data: Bytes::from_static(b"7"),
    };
    let full = EventRecord {
        tenant: Tenant::new("acme").expect("a good name"),
        run: Some(run(4)),
        causation: Some([8; 16]),
        correlation: Some([9; 16]),
        hops: 3,
        reply_to: Some("replies/1".to_owned()),
        headers: BTreeMap::from([("colour".to_owned(), "r\u{f6}d".to_owned())]),
        ..least.clone()
    };
    let cursor = CursorRecord {
        writer: [6; 16],
        group: true,
        attempts: 5,
        first_pause: 200,
        longest_pause: 30_000,
        done: 300,
        ahead: vec![(302, 310), (400, 400)],
        failed: vec![(301, 2)],
    };
    vec![
        Sample::record("announced", AnnouncedRecord { events: vec![least.clone(), full.clone()] }),
        Sample::record("event.least", least),
        Sample::record("event.full", full),
        Sample::record("subscription", cursor),
    ]
}
