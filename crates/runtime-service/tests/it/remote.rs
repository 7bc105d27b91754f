//! Each method of the contract, through the client and the service to a runtime and back.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use runtime_service::RemoteRuntime;
use runtime_testkit::fakes::runtime::{Answer, Call};
use runtime_traits::health::HealthOverview;
use runtime_traits::log::{Receipt, StepKey, Stopped};
use runtime_traits::resource::{LimitsBy, LimitsChange, ResourceLimits};
use runtime_traits::runtime::{
    CancelReceipt, Decision, Joined, Page, RunFilter, SessionPolicy, SnapshotFilter, StreamItem,
};
use runtime_traits::schedule::{ScheduleFilter, ScheduledBy};
use runtime_traits::snapshot::Retention;
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentRef, AgentSpec, Content, IdempotencyKey, Name, RunRequest, Runtime, RuntimeError, SessionName,
};
use tokio::time::timeout;

use crate::support::{LONG, Place, scribe};

fn request() -> RunRequest {
    let mut request = RunRequest::new(Content::text("ü \u{0} \"x\"\r\n"))
        .in_session(SessionName::new("s-1").expect("a name"))
        .with_key(IdempotencyKey::new("k/1").expect("a key"))
        .when_busy(SessionPolicy::Reject)
        .within(Duration::from_micros(1500));
    request.labels = BTreeMap::from([("a b".to_owned(), "c".to_owned())]);
    request
}

fn step() -> StepKey {
    "branch-a/fetch#2".parse().expect("a step")
}

/// Calls every method, and says what the runtime behind the service should have been asked.
async fn call_everything(place: &Place, remote: &RemoteRuntime) -> Vec<Call> {
    let samples = place.runtime.samples();
    let (agent, run, state) = (scribe(), samples.run, samples.state);
    let by_id = AgentRef::Id(samples.agent);
    let second = Duration::from_secs(1);
    let spec = AgentSpec::new("echo", "scribe").expect("names");
    let spec = spec.configured(&[1.5]).expect("JSON");
    let as_sent = serde_json::to_string(&spec).expect("JSON");
    let after = Some("a&b=c d".to_owned());
    let filter = RunFilter { agent: Some(samples.agent), open: true, quarantined: true, after, limit: 7 };
    let name = Some(Name::new("twin").expect("a name"));

    assert_eq!(remote.register(spec).await, Ok(samples.agent));
    assert_eq!(remote.unregister(&by_id).await, Ok(()));
    let limits = ResourceLimits { max_queued: Some(3), ..ResourceLimits::default() };
    assert_eq!(remote.set_limits(&agent, limits).await, Ok(()));
    let together = ResourceLimits { max_tokens_total: Some(90_000), ..ResourceLimits::default() };
    for by in [LimitsBy::FleetFile, LimitsBy::Hand] {
        assert_eq!(remote.set_tenant_limits(together, by).await, Ok(()));
    }
    let change: LimitsChange =
        serde_json::from_str(r#"{"max_queued": null, "max_cost_per_day": "2.50"}"#).expect("JSON");
    assert_eq!(remote.change_limits(&agent, change.clone()).await, Ok(()));
    assert_eq!(remote.change_tenant_limits(change.clone()).await, Ok(()));
    assert_eq!(remote.tenant_limits().await, Ok(samples.tenant_limits()));
    let (schedule, morning) = (samples.schedule_view().schedule, samples.schedule_view().schedule.name);
    for by in [ScheduledBy::FleetFile, ScheduledBy::Hand] {
        assert_eq!(remote.put_schedule(&agent, schedule.clone(), by).await, Ok(samples.schedule_view()));
    }
    assert_eq!(remote.pause_schedule(&agent, &morning, true).await, Ok(samples.schedule_view()));
    assert_eq!(remote.delete_schedule(&by_id, &morning).await, Ok(()));
    assert_eq!(remote.schedule(&agent, &morning).await, Ok(samples.schedule_view()));
    let which = ScheduleFilter { agent: Some(samples.agent), after: Some("a&b".to_owned()), limit: 7 };
    let page = remote.schedules(which.clone()).await.expect("a page");
    assert_eq!(page.items, [samples.schedule_view()]);
    assert_eq!(remote.start(&agent).await, Ok(()));
    assert_eq!(remote.stop(&agent).await, Ok(()));
    assert_eq!(remote.pause(&agent).await, Ok(()));
    assert_eq!(remote.resume(&agent).await, Ok(()));
    assert_eq!(remote.submit(&agent, request()).await.map(|s| s.run), Ok(run));
    let ended = Joined::Ended(samples.finished());
    assert_eq!(remote.join(&run, second).await, Ok(ended));
    assert_eq!(remote.run(&agent, "hello".into()).await, Ok(samples.finished()));
    let stream = remote.stream(&run, Seq(2)).await.expect("a stream");
    let items: Result<Vec<StreamItem>, _> = stream.try_collect().await;
    assert_eq!(items, Ok(samples.items(Seq(2))));
    let receipt = CancelReceipt::Cancelled(Receipt {
        stopped: Stopped::Dropped,
        unknown: vec![StepKey::first(Name::new("fetch").expect("a name"))],
    });
    assert_eq!(remote.cancel(&run, "enough", second).await, Ok(receipt));
    let assumed = Decision::Assume(Content::json(&[1, 2]).expect("JSON"));
    assert_eq!(remote.decide(&run, &step(), assumed.clone()).await, Ok(()));
    assert_eq!(remote.requeue(&run).await, Ok(()));
    let agents = remote.agents(Some("a/b"), 3).await.expect("a page");
    assert_eq!(agents.items, [samples.agent_status()]);
    assert_eq!(remote.agents(None, 0).await.map(|page| page.next), Ok(None));
    assert_eq!(remote.agent(&agent).await, Ok(samples.agent_status()));
    assert_eq!(remote.usage_history(&agent).await, Ok(samples.usage_history()));
    let runs = remote.runs(filter.clone()).await.expect("a page");
    assert_eq!(runs.next.as_deref(), Some("next"));
    assert_eq!(remote.runs(RunFilter::default()).await.map(|page| page.items.len()), Ok(1));
    let view = remote.run_status(&run).await.expect("a run");
    assert_eq!(view.entries, samples.view().entries);
    let overview = HealthOverview::of(vec![samples.health_report()]);
    assert_eq!(remote.health().await, Ok(overview));
    assert_eq!(remote.agent_health(&agent).await, Ok(samples.health_report()));
    assert_eq!(remote.status().await, Ok(samples.node_status()));
    assert_eq!(remote.save_state(&agent).await, Ok(state));
    assert_eq!(remote.restore_agent(&state, None).await, Ok(samples.agent));
    assert_eq!(remote.restore_agent(&state, name.clone()).await, Ok(samples.agent));
    let of = SnapshotFilter { agent: Some(samples.agent), after: Some("a&b".to_owned()), limit: 7 };
    let retention = Retention { newest: Some(3), within: Some(Duration::from_millis(1500)) };
    assert_eq!(remote.restore_in_place(&state, &agent).await, Ok(()));
    let page = Page { items: vec![samples.snapshot_info()], next: None };
    assert_eq!(remote.snapshots(of.clone()).await, Ok(page.clone()));
    assert_eq!(remote.snapshots(SnapshotFilter::default()).await, Ok(page));
    assert_eq!(remote.snapshot(&state).await, Ok(samples.snapshot_view()));
    assert_eq!(remote.diff_snapshots(&state, &state).await, Ok(samples.snapshot_diff()));
    assert_eq!(remote.delete_snapshot(&state).await, Ok(()));
    assert_eq!(remote.retain_snapshots(&agent, retention).await, Ok(vec![state]));
    let file = remote.export_snapshot(&state).await.expect("a file");
    let pieces: Vec<_> = file.try_collect().await.expect("a whole file");
    assert_eq!(pieces.concat(), samples.file);
    let pieces: Vec<Result<Bytes, RuntimeError>> = pieces.into_iter().map(Ok).collect();
    assert_eq!(remote.import_snapshot(Box::pin(futures_util::stream::iter(pieces))).await, Ok(state));
    assert_eq!(remote.shutdown(second).await, Ok(()));

    vec![
        Call::Register(as_sent),
        Call::Unregister(by_id.clone()),
        Call::SetLimits(agent.clone(), limits),
        Call::SetTenantLimits(together, LimitsBy::FleetFile),
        Call::SetTenantLimits(together, LimitsBy::Hand),
        Call::ChangeLimits(agent.clone(), change.clone()),
        Call::ChangeTenantLimits(change),
        Call::TenantLimits,
        Call::PutSchedule(agent.clone(), schedule.clone(), ScheduledBy::FleetFile),
        Call::PutSchedule(agent.clone(), schedule, ScheduledBy::Hand),
        Call::PauseSchedule(agent.clone(), morning.clone(), true),
        Call::DeleteSchedule(by_id, morning.clone()),
        Call::Schedule(agent.clone(), morning),
        Call::Schedules(which),
        Call::Start(agent.clone()),
        Call::Stop(agent.clone()),
        Call::Pause(agent.clone()),
        Call::Resume(agent.clone()),
        Call::Submit(agent.clone(), request()),
        Call::Join(run, second),
        Call::Submit(agent.clone(), "hello".into()),
        Call::Join(run, Duration::from_secs(30)),
        Call::Stream(run, Seq(2)),
        Call::Cancel(run, "enough".to_owned(), second),
        Call::Decide(run, step(), assumed),
        Call::Requeue(run),
        Call::Agents(Some("a/b".to_owned()), 3),
        Call::Agents(None, 0),
        Call::Agent(agent.clone()),
        Call::UsageHistory(agent.clone()),
        Call::Runs(filter),
        Call::Runs(RunFilter::default()),
        Call::RunStatus(run),
        Call::Health,
        Call::AgentHealth(agent.clone()),
        Call::Status,
        Call::SaveState(agent.clone()),
        Call::RestoreAgent(state, None),
        Call::RestoreAgent(state, name),
        Call::RestoreInPlace(state, agent.clone()),
        Call::Snapshots(of),
        Call::Snapshots(SnapshotFilter::default()),
        Call::Snapshot(state),
        Call::DiffSnapshots(state, state),
        Call::DeleteSnapshot(state),
        Call::RetainSnapshots(agent, retention),
        Call::ExportSnapshot(state),
        Call::ImportSnapshot(samples.file.clone()),
        Call::Shutdown(second),
    ]
}

#[tokio::test]
async fn every_method_arrives_as_it_was_called_over_tcp() {
    let place = Place::new().await;

    let expected = call_everything(&place, &place.over_tcp()).await;

    assert_eq!(place.runtime.calls(), expected);
}

#[tokio::test]
async fn every_method_arrives_as_it_was_called_over_a_socket() {
    let place = Place::new().await;

    let expected = call_everything(&place, &place.over_unix()).await;

    assert_eq!(place.runtime.calls(), expected);
}

#[tokio::test]
async fn an_open_run_is_joined_until_the_time_is_up() {
    let place = Place::with(|service| service.wait_limit(Duration::from_millis(10))).await;
    let samples = place.runtime.samples();
    let open = || Answer::Joined(Box::new(Joined::Open(Box::new(samples.open_view()))));
    place.runtime.answer(open()).answer(open());

    let joined = place.over_tcp().join(&samples.run, Duration::from_secs(5)).await;

    assert_eq!(joined, Ok(Joined::Ended(samples.finished())));
    assert_eq!(place.runtime.calls().len(), 3);
}

#[tokio::test]
async fn a_join_without_time_asks_once() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let open = Joined::Open(Box::new(samples.open_view()));
    place.runtime.answer(Answer::Joined(Box::new(open)));

    let joined = place.over_unix().join(&samples.run, Duration::ZERO).await;

    assert!(matches!(joined, Ok(Joined::Open(view)) if view.entries == 2));
    assert_eq!(place.runtime.calls(), [Call::Join(samples.run, Duration::ZERO)]);
}

#[tokio::test]
async fn a_join_that_is_never_answered_ends_with_its_deadline() {
    let place = Place::new().await;
    let samples = place.runtime.samples();
    let open = Joined::Open(Box::new(samples.open_view()));
    place.runtime.answer(Answer::Never).answer(Answer::Joined(Box::new(open)));

    let remote = place.over_tcp();
    let joining = timeout(LONG, remote.join(&samples.run, Duration::from_millis(20)));
    let joined = joining.await.expect("in time");

    assert!(matches!(joined, Ok(Joined::Open(_))), "{joined:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unreachable() {
    let place = Place::new().await;
    place.runtime.answer(Answer::Never);

    let remote = place.over_tcp().answer_within(Duration::from_millis(50));
    let starting = timeout(LONG, remote.start(&scribe())).await;
    let error = starting.expect("in time").expect_err("no answer");

    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains(&place.url("")), "{error}");
}

#[tokio::test]
async fn a_page_of_many_runs_arrives_whole() {
    let place = Place::new().await;
    let view = place.runtime.samples().view();
    let page = Page { items: vec![view; 500], next: None };
    place.runtime.answer(Answer::Runs(page));

    let page = place.over_unix().runs(RunFilter::default()).await;

    assert_eq!(page.map(|page| page.items.len()), Ok(500));
}
