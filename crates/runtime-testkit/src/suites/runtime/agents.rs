//! Agents: their names, their snapshots, and what is not there.

use std::time::Duration;

use runtime_traits::log::StepKey;
use runtime_traits::resource::{Limit, LimitsBy, LimitsError, ResourceLimits, UsageHistory, UsedIn};
use runtime_traits::runtime::{AgentRef, Decision, RunRequest, Want};
use runtime_traits::schedule::{Schedule, ScheduledBy, Timing};
use runtime_traits::snapshot::Retention;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, AgentSpec, Name, Partition, Pool, RunId, RuntimeError, StateId, UnixMillis};
use uuid::Uuid;

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

const SOMEWHERE: Partition = Partition { pool: Pool::MAIN, index: 3 };
const NEVER_MINTED: Uuid = Uuid::from_u128(0x0193_571c_8a2f_7c3e_9d1a_5b6c_7d8e_9f00);

/// `one-agent-per-name`: registering a name again attaches to the agent that has it; a changed spec is its next revision.
pub async fn one_agent_per_name(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let spec = AgentSpec::new("echo", "Scribe").expect("names");
    let agent = runtime.register(spec.clone()).await.expect("it is registered");
    let by_id = AgentRef::Id(agent);
    assert_eq!(runtime.agent(&by_id).await.expect("it is there").want, Want::Stopped);
    runtime.start(&by_id).await.expect("it starts");

    assert_eq!(runtime.register(spec.clone()).await, Ok(agent));
    let status = runtime.agent(&by_id).await.expect("it is there");
    assert_eq!((status.revision, status.want), (1, Want::Active), "an unchanged spec changes nothing");

    assert_eq!(runtime.register(spec.clone().described("writes")).await, Ok(agent));
    let status = runtime.agent(&by_id).await.expect("it is there");
    assert_eq!((status.revision, status.description.as_str()), (2, "writes"));

    let other_case = AgentRef::Name(Name::new("sCRIBE").expect("a name"));
    assert_eq!(runtime.agent(&other_case).await.map(|status| status.id), Ok(agent));

    let taken = runtime.register(AgentSpec::new("shout", "scribe").expect("names")).await;
    assert!(matches!(&taken, Err(RuntimeError::NameTaken { kind, .. }) if kind == "echo"), "{taken:?}");
    let agents = runtime.agents(None, 0).await.expect("agents are listed");
    assert_eq!(agents.items.len(), 1);
    assert_eq!(scene.run(&by_id, "still here").await, "still here");
}

/// `restored-remembers`: an agent restored from a snapshot has the conversations and the state of the saved one.
pub async fn restored_remembers(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    let elsewhere = |input: &str| RunRequest::new(input).in_session(session("other"));
    scene.run(&agent, "one").await;
    scene.run(&agent, "two").await;
    scene.run(&agent, elsewhere("three")).await;

    let state = runtime.save_state(&agent).await.expect("it is saved");
    assert_eq!(scene.run(&agent, "late").await, r#"["one","two","late"]"#);
    runtime.stop(&agent).await.expect("it stops");
    let twin = Some(Name::new("twin").expect("a name"));
    let restored = runtime.restore_agent(&state, twin.clone()).await.expect("it is restored");
    let restored = AgentRef::Id(restored);

    assert_ne!(restored, agent);
    let status = runtime.agent(&restored).await.expect("it is there");
    assert_eq!((status.name.as_str(), status.want), ("twin", Want::Active));
    assert_eq!(scene.run(&restored, "four").await, r#"["one","two","four"]"#);
    assert_eq!(scene.run(&restored, elsewhere("five")).await, r#"["three","five"]"#);

    let taken = runtime.restore_agent(&state, twin).await;
    assert!(matches!(taken, Err(RuntimeError::NameTaken { .. })), "{taken:?}");
    let unnamed = runtime.restore_agent(&state, None).await.expect("it is restored");
    assert_eq!(scene.run(&AgentRef::Id(unnamed), "six").await, r#"["one","two","six"]"#);
    runtime.start(&agent).await.expect("it starts");
    assert_eq!(scene.run(&agent, "own").await, r#"["one","two","late","own"]"#);
}

/// `tenant-limits-are-kept`: what all agents may use together is shown with since when it holds and who set it, is there again after a
/// crash, and is refused where agents cannot share it.
pub async fn tenant_limits_are_kept(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let none = scene.runtime.tenant_limits().await.expect("they are shown");
    assert_eq!((none.limits, none.since, none.by), (ResourceLimits::default(), None, None), "nobody set any");
    let lower = ResourceLimits { max_tokens_per_minute: Some(9_000), ..ResourceLimits::default() };
    let limits = ResourceLimits { max_tokens_total: Some(1_000_000), ..lower };
    for (limits, by) in [(lower, LimitsBy::FleetFile), (limits, LimitsBy::Hand)] {
        assert_eq!(scene.runtime.set_tenant_limits(limits, by).await, Ok(()));
    }
    let set = scene.runtime.tenant_limits().await.expect("they are shown");
    assert_eq!((set.limits, set.by), (limits, Some(LimitsBy::Hand)), "they are those that were set last");
    assert!(set.since >= set.counted_since && set.counted_since.is_some(), "since when is said: {set:?}");

    let more = ResourceLimits { max_requests_per_minute: Some(90), ..limits };
    let change = |json| serde_json::from_str(json).expect("a change");
    for (json, expected) in
        [(r#"{ "max_requests_per_minute": 90 }"#, more), (r#"{ "max_requests_per_minute": null }"#, limits)]
    {
        assert_eq!(scene.runtime.change_tenant_limits(change(json)).await, Ok(()));
        let changed = scene.runtime.tenant_limits().await.expect("they are shown");
        assert_eq!((changed.limits, changed.by), (expected, Some(LimitsBy::Hand)), "the others stay");
    }
    let set = scene.runtime.tenant_limits().await.expect("they are shown");

    let limit = Limit::MaxRunSeconds;
    let of_a_run = ResourceLimits { max_run_seconds: Some(7), ..limits };
    let refused = scene.runtime.set_tenant_limits(of_a_run, LimitsBy::Hand).await;
    assert_eq!(refused, Err(RuntimeError::Limits(LimitsError::NotTogether { limit })));
    let limit = Limit::MaxTokensTotal;
    let zero = ResourceLimits { max_tokens_total: Some(0), ..lower };
    let refused = scene.runtime.set_tenant_limits(zero, LimitsBy::Hand).await;
    assert_eq!(refused, Err(RuntimeError::Limits(LimitsError::Zero { limit })));
    assert_eq!(scene.runtime.set_tenant_limits(limits, LimitsBy::Hand).await, Ok(()), "they are set already");
    let still = scene.runtime.tenant_limits().await.expect("they are shown");
    assert_eq!(
        (still.limits, still.since),
        (limits, set.since),
        "what is refused, or is so already, changes nothing"
    );

    if let Some(after) = scene.crash(fixture).await {
        let kept = after.runtime.tenant_limits().await.expect("they are shown");
        assert_eq!(
            (kept.limits, kept.since, kept.by),
            (limits, set.since, set.by),
            "a crash changes nothing"
        );
        let lifted = after.runtime.set_tenant_limits(ResourceLimits::default(), LimitsBy::Hand).await;
        assert_eq!(lifted, Ok(()));
        let lifted = after.runtime.tenant_limits().await.expect("they are shown");
        assert_eq!(
            (lifted.limits, lifted.counted_since),
            (ResourceLimits::default(), None),
            "they are lifted"
        );
    }
}

/// `usage-is-in-its-time`: what an agent used is told for each of the last 60 minutes and 24 hours, in their order, the last of
/// them under way, and is told after a crash as well; what has no known price is told apart, and not as 0. Where nobody counts,
/// nothing is told.
pub async fn usage_is_in_its_time(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let (idle, busy) = (scene.started("echo").await, scene.started("shout").await);
    scene.run(&idle, "nothing of a model").await;
    scene.run(&busy, "one call").await;

    let nothing = UsedIn { micros: Some(0), ..UsedIn::default() };
    let call = UsedIn { requests: 1, input_tokens: 1, output_tokens: 2, unpriced: 1, ..UsedIn::default() };
    let told = used_in_all(&scene, &idle).await;
    assert!(told.is_empty() || told == [nothing; 2], "{told:?}");
    let calls = vec![call; told.len()];
    assert_eq!(used_in_all(&scene, &busy).await, calls);
    if let Some(after) = scene.crash(fixture).await {
        assert_eq!(used_in_all(&after, &busy).await, calls, "a crash changes nothing");
    }
}

/// What was used in all minutes, and in all hours; nothing where nobody counts.
async fn used_in_all(scene: &Scene, agent: &AgentRef) -> Vec<UsedIn> {
    let UsageHistory { minutes, hours } = scene.runtime.usage_history(agent).await.expect("it is told");
    if minutes.is_empty() && hours.is_empty() {
        return Vec::new();
    }
    assert_eq!((minutes.len(), hours.len()), (60, 24));
    let sums = [(minutes, 60_000), (hours, 3_600_000)].map(|(spans, length)| {
        assert!(spans.windows(2).all(|two| two[0].from.0 + length == two[1].from.0), "{spans:?}");
        let is_honest = |used: &UsedIn| used.micros == UsedIn::cost(used.micros.unwrap_or(0), used.unpriced);
        assert!(spans.iter().all(is_honest), "0 for what nobody knows: {spans:?}");
        UsedIn { from: UnixMillis::default(), ..UsedIn::sum(&spans) }
    });
    sums.to_vec()
}

/// `unknown-is-said`: what does not exist is `Unknown…`, and names what was asked for.
pub async fn unknown_is_said(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    scene.started("echo").await;
    let by_name = AgentRef::Name(Name::new("nobody").expect("a name"));
    let by_id = AgentRef::Id(AgentId::from_parts(SOMEWHERE, NEVER_MINTED));
    for agent in [by_name, by_id] {
        unknown_agent(&scene, &agent).await;
    }
    unknown_run(&scene, RunId::from_parts(SOMEWHERE, NEVER_MINTED)).await;
    let elsewhere = Partition { pool: Pool::new("faraway").expect("a pool"), index: 3 };
    unknown_run(&scene, RunId::from_parts(elsewhere, NEVER_MINTED)).await;
    let state = StateId::from_parts(SOMEWHERE, NEVER_MINTED);
    let restored = scene.runtime.restore_agent(&state, None).await;
    let unknown = RuntimeError::UnknownState { state };
    assert_eq!(restored, Err(unknown.clone()));
    let echo = AgentRef::Name(Name::new("echo").expect("a name"));
    assert_eq!(scene.runtime.restore_in_place(&state, &echo).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.snapshot(&state).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.diff_snapshots(&state, &state).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.delete_snapshot(&state).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.export_snapshot(&state).await.err(), Some(unknown));
}

async fn unknown_agent(scene: &Scene, agent: &AgentRef) {
    let runtime = &scene.runtime;
    let unknown = RuntimeError::UnknownAgent { agent: agent.to_string() };
    assert_eq!(runtime.unregister(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.start(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.stop(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.pause(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.resume(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.agent(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.agent_health(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.usage_history(agent).await, Err(unknown.clone()));
    assert_eq!(runtime.save_state(agent).await, Err(unknown.clone()));
    let daily = Name::new("daily").expect("a name");
    let schedule = Schedule::new(daily.clone(), Timing::cron("@daily"), "x");
    let put = runtime.put_schedule(agent, schedule, ScheduledBy::Hand).await;
    assert_eq!(put, Err(unknown.clone()));
    assert_eq!(runtime.pause_schedule(agent, &daily, true).await, Err(unknown.clone()));
    assert_eq!(runtime.delete_schedule(agent, &daily).await, Err(unknown.clone()));
    assert_eq!(runtime.schedule(agent, &daily).await, Err(unknown.clone()));
    if matches!(agent, AgentRef::Name(_)) {
        // An id may be that of an agent that is gone, and has snapshots.
        let kept = runtime.retain_snapshots(agent, Retention::default()).await;
        assert_eq!(kept, Err(unknown.clone()));
    }
    assert_eq!(runtime.submit(agent, "x".into()).await, Err(unknown.clone()));
    assert_eq!(runtime.run(agent, "x".into()).await, Err(unknown));
}

async fn unknown_run(scene: &Scene, run: RunId) {
    let runtime = &scene.runtime;
    let unknown = RuntimeError::UnknownRun { run };
    let step = StepKey::first(Name::new("fetch").expect("a name"));
    assert_eq!(runtime.join(&run, Duration::ZERO).await, Err(unknown.clone()));
    assert_eq!(runtime.stream(&run, Seq(1)).await.err(), Some(unknown.clone()));
    assert_eq!(runtime.cancel(&run, "no reason", Duration::ZERO).await, Err(unknown.clone()));
    assert_eq!(runtime.decide(&run, &step, Decision::Fail).await, Err(unknown.clone()));
    assert_eq!(runtime.run_status(&run).await, Err(unknown));
}
