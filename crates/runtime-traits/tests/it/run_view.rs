//! What a log says of its run: written by hand, phase by phase.

use std::collections::BTreeMap;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::log::{
    Accepted, AttemptEnded, AttemptEnding, CancelRequested, DecidedBy, Effect, Ended, Entry, EntryKind,
    Outcome, Phase, Price, RunView, Started, StateSet, StepDecided, StepDispatched, StepKey, StepOpened,
    StepPhase, StepSettled, StepSort, StepUnknown, UnknownCause, Usage, Verdict, WaitClosed, WaitId, WaitOn,
    WaitOpened,
};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, NodeId, Partition, Pool, RunId, SessionName};
use uuid::Uuid;

const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 3 };
const USED: Usage =
    Usage { input_tokens: 3, output_tokens: 2, model_calls: 1, tool_calls: 0, estimated_tokens: 0 };

fn run() -> RunId {
    RunId::from_parts(PARTITION, Uuid::from_u128(1))
}

fn key(text: &str) -> StepKey {
    text.parse().expect("a good key")
}

fn text(text: &str) -> Payload {
    Payload::of(&Content::text(text))
}

fn digest(step: &str) -> Digest {
    Digest::of(step.as_bytes())
}

fn accepted() -> EntryKind {
    EntryKind::Accepted(Box::new(Accepted {
        agent: AgentId::from_parts(PARTITION, Uuid::from_u128(2)),
        spec_rev: 1,
        session: SessionName::default(),
        policy: SessionPolicy::Enqueue,
        input: text("input"),
        digest: digest("input"),
        idempotency_key: None,
        parent: None,
        copied_from: None,
        principal: None,
        trace: None,
        deadline: None,
        priority: 0,
        chain: None,
        labels: BTreeMap::new(),
    }))
}

fn started() -> EntryKind {
    let node = NodeId(Uuid::nil());
    EntryKind::Started(Started { kind_version: 1, build: String::new(), node, suspects: 0 })
}

fn opened(step: &str, dispatched: bool) -> EntryKind {
    EntryKind::StepOpened(StepOpened {
        key: key(step),
        sort: StepSort::Tool,
        effect: Effect::AtMostOnce,
        request: text("request"),
        digest: digest(step),
        reserved: 0,
        reserved_usage: Usage::default(),
        dispatched,
    })
}

fn settled(step: &str) -> EntryKind {
    EntryKind::StepSettled(StepSettled {
        key: key(step),
        try_no: 1,
        result: Ok(text("1")),
        digest: digest(step),
        usage: USED,
        price: Price::default(),
        messages: None,
    })
}

fn dispatched(step: &str, try_no: u32) -> EntryKind {
    EntryKind::StepDispatched(StepDispatched::of(key(step), try_no))
}

fn unknown(step: &str, cause: UnknownCause) -> EntryKind {
    EntryKind::StepUnknown(StepUnknown {
        key: key(step),
        try_no: 1,
        cause,
        usage: Usage::default(),
        price: None,
    })
}

fn decided(step: &str, verdict: Verdict) -> EntryKind {
    let by = DecidedBy::Policy;
    EntryKind::StepDecided(StepDecided { key: key(step), by, verdict, digest: digest(step) })
}

fn waits(wait: u64, on: WaitOn, wake_at: Option<u64>) -> EntryKind {
    let wake_at = wake_at.map(UnixMillis);
    EntryKind::WaitOpened(WaitOpened {
        wait: WaitId(wait),
        on,
        digest: digest("w"),
        wake_at,
        holds_session: true,
    })
}

fn waited(wait: u64) -> EntryKind {
    EntryKind::WaitClosed(WaitClosed { wait: WaitId(wait), by: DecidedBy::Policy, answer: text("") })
}

fn parked() -> EntryKind {
    EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Parked, counted: false })
}

fn ended() -> EntryKind {
    let outcome = Outcome::Completed(text("42"));
    EntryKind::Ended(Ended { outcome, usage: USED, price: Price::default() })
}

/// A log of these entries after `Accepted`, one every millisecond; each `Started` begins an attempt.
fn log(kinds: impl IntoIterator<Item = EntryKind>) -> Vec<Entry> {
    let mut attempt = 0;
    let entry = |(seq, kind): (u64, EntryKind)| {
        attempt += u32::from(matches!(kind, EntryKind::Started(_)));
        Entry { seq: Seq(seq), at: UnixMillis(1_000 + seq), attempt, epoch: 1, kind }
    };
    (1..).zip([accepted()].into_iter().chain(kinds)).map(entry).collect()
}

fn view(kinds: impl IntoIterator<Item = EntryKind>) -> RunView {
    RunView::of(run(), &log(kinds)).expect("the log begins with `Accepted`")
}

fn operator() -> WaitOn {
    WaitOn::Operator { why: "it died".to_owned() }
}

#[test]
fn a_log_that_does_not_begin_with_its_acceptance_is_no_runs() {
    assert_eq!(RunView::of(run(), &[]), None);
    assert_eq!(RunView::of(run(), &log([started()])[1..]), None);
}

#[test]
fn a_run_is_queued_until_its_first_attempt() {
    let view = view([]);
    assert_eq!((view.phase, view.attempt, view.entries), (Phase::Queued, 0, 1));
    assert_eq!((view.accepted_at, view.last_at), (UnixMillis(1_001), UnixMillis(1_001)));
    assert_eq!((view.input, view.outcome, view.cancel), (text("input"), None, None));
}

#[test]
fn a_run_is_running_while_something_moves_it() {
    let view = view([started(), opened("a", true)]);
    assert_eq!((view.phase, view.attempt, view.entries), (Phase::Running, 1, 3));
    assert_eq!(view.last_at, UnixMillis(1_003));
    assert_eq!(view.step(&key("a")).map(|step| (step.tries, &step.phase)), Some((1, &StepPhase::Dispatched)));
}

#[test]
fn a_run_is_waiting_when_it_waits_and_no_step_is_under_way() {
    let wait = || waits(4, WaitOn::Decision(key("b")), None);
    assert_eq!(view([started(), opened("a", true), wait()]).phase, Phase::Running);
    assert_eq!(view([started(), opened("a", true), wait(), settled("a")]).phase, Phase::Waiting);
    assert_eq!(view([started(), opened("a", false), wait()]).phase, Phase::Waiting);
    assert_eq!(view([started(), wait(), waited(4)]).phase, Phase::Running);
    assert_eq!(view([wait()]).phase, Phase::Queued, "a run that has not begun does not wait");
}

#[test]
fn a_run_is_parked_from_the_end_of_an_attempt_to_the_begin_of_the_next() {
    let time = waits(3, WaitOn::Time(key("sleep")), Some(5_000));
    let kinds = [started(), time, parked(), waited(3)];
    assert_eq!(view(kinds.clone()).phase, Phase::Parked);
    let again = view(kinds.into_iter().chain([started()]));
    assert_eq!((again.phase, again.attempt), (Phase::Running, 2));
}

#[test]
fn a_run_that_ended_waits_for_nothing() {
    let view = view([started(), waits(3, operator(), None), ended()]);
    assert_eq!((view.phase, view.waits.len()), (Phase::Ended, 0));
    assert_eq!(view.outcome, Some(Outcome::Completed(text("42"))));
}

#[test]
fn a_run_is_in_quarantine_until_somebody_ends_its_wait_for_an_operator() {
    let aside = [started(), parked(), waits(4, operator(), None)];
    assert!(view(aside.clone()).is_quarantined());
    assert!(!view(aside.clone().into_iter().chain([waited(4)])).is_quarantined());
    assert!(!view(aside.into_iter().chain([ended()])).is_quarantined());
    assert!(!view([started(), waits(3, WaitOn::Decision(key("a")), None)]).is_quarantined());
}

#[test]
fn open_waits_are_listed_with_what_ends_them() {
    let view = view([
        started(),
        waits(3, WaitOn::Time(key("sleep")), Some(5_000)),
        waits(4, WaitOn::Decision(key("a")), None),
        waits(5, WaitOn::Decision(key("b")), None),
        waited(4),
        waited(99),
    ]);
    let waits: Vec<_> = view.waits.iter().map(|wait| (wait.wait.0, wait.since.0, wait.wake_at)).collect();
    assert_eq!(waits, [(3, 1_003, Some(UnixMillis(5_000))), (5, 1_005, None)]);
    assert!(view.decision_on(&key("a")).is_none());
    assert_eq!(view.decision_on(&key("b")).map(|wait| wait.wait), Some(WaitId(5)));
    assert_eq!(view.waits[0].on.step(), Some(&key("sleep")));
    assert_eq!(operator().step(), None);
}

#[test]
fn a_step_is_where_its_last_entry_left_it() {
    let phase = |kinds: Vec<EntryKind>| {
        let view = view([started(), opened("a", true)].into_iter().chain(kinds));
        let step = view.step(&key("a")).expect("it was opened");
        (step.phase.clone(), step.tries)
    };
    let crash = || unknown("a", UnknownCause::Crash);
    assert_eq!(phase(vec![crash()]), (StepPhase::Unknown(UnknownCause::Crash), 1));
    assert_eq!(phase(vec![crash(), dispatched("a", 2)]), (StepPhase::Dispatched, 2));
    assert_eq!(phase(vec![crash(), dispatched("a", 2), settled("a")]), (StepPhase::Settled, 2));
    let verdict = || Verdict::Assume(text("1"));
    assert_eq!(phase(vec![crash(), decided("a", verdict())]), (StepPhase::Decided(verdict()), 1));
    let dropped = UnknownCause::Dropped;
    assert_eq!(phase(vec![unknown("a", dropped)]), (StepPhase::Unknown(dropped), 1));
    assert_eq!(
        phase(vec![dispatched("nowhere", 7), unknown("nowhere", dropped)]),
        (StepPhase::Dispatched, 1)
    );
}

#[test]
fn a_pure_step_is_known_by_its_result_alone() {
    let view = view([started(), settled("p"), opened("a", true), settled("a")]);
    let steps: Vec<_> =
        view.steps.iter().map(|step| (step.key.to_string(), step.effect, step.opened_at.0)).collect();
    assert_eq!(steps, [("p".to_owned(), Effect::Pure, 1_003), ("a".to_owned(), Effect::AtMostOnce, 1_004)]);
    assert_eq!(view.usage, USED.plus(USED));
    assert_eq!(view.step(&key("p")).map(|step| step.digest), Some(digest("p")));
}

#[test]
fn usage_is_summed_and_never_overflows() {
    let most = Usage {
        input_tokens: u64::MAX,
        output_tokens: 1,
        model_calls: u32::MAX,
        tool_calls: 0,
        estimated_tokens: 0,
    };
    let sum = most.plus(USED);
    assert_eq!((sum.input_tokens, sum.output_tokens), (u64::MAX, 3));
    assert_eq!((sum.model_calls, sum.tool_calls), (u32::MAX, 0));
}

#[test]
fn the_last_wish_to_end_the_run_is_shown() {
    let wish =
        |reason: &str| CancelRequested { by: DecidedBy::Policy, reason: reason.to_owned(), within_millis: 9 };
    let kinds = [started(), EntryKind::CancelRequested(wish("a")), EntryKind::CancelRequested(wish("b"))];
    assert_eq!(view(kinds).cancel, Some(wish("b")));
}

#[test]
fn every_prefix_of_any_log_has_a_view_and_taking_entries_one_by_one_gives_it() {
    let state = EntryKind::StateSet(StateSet { cell: String::new(), value: text("{}") });
    // Not all of this can happen; a fold stands it all the same.
    let kinds = [
        dispatched("a", 3),
        settled("a"),
        started(),
        state,
        waited(4),
        opened("a", true),
        opened("a", false),
        EntryKind::Unrecognised { tag: 99 },
        decided("b", Verdict::Fail),
        ended(),
        started(),
        accepted(),
        parked(),
        waits(3, operator(), None),
    ];
    let log = log(kinds);
    let mut view = RunView::of(run(), &log[..1]).expect("the log begins with `Accepted`");
    for (end, entry) in log.iter().enumerate().skip(1) {
        view.apply(entry);
        assert_eq!(RunView::of(run(), &log[..=end]), Some(view.clone()), "{end} entries");
        assert_eq!(view.entries, end as u64 + 1);
    }
}

#[test]
fn a_view_comes_back_from_json_and_still_finds_its_steps() {
    let view = view([started(), opened("a", true), waits(4, WaitOn::Decision(key("a")), None)]);
    let json = serde_json::to_string(&view).expect("a view is JSON");
    let back: RunView = serde_json::from_str(&json).expect("it was one");
    assert_eq!((back.phase, &back.steps, &back.waits), (view.phase, &view.steps, &view.waits));
    assert_eq!(back.step(&key("a")), view.step(&key("a")));
}
