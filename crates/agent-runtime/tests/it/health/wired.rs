//! The monitor of a runtime: what is monitored, who is told, and how long it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use agent_runtime::events::catalogue::HealthChanged;
use agent_runtime::fleet::Fleet;
use agent_runtime::health::{HealthError, Verdict, Watched};
use agent_runtime::prelude::*;
use agent_runtime::{MemoryStore, Tenant};
use tokio::time::{sleep, timeout};

use super::scene::{Hanging, builder, health, is, report, runtime, started, submit};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_agent_nobody_knows_is_not_monitored_and_one_that_is_deleted_no_longer() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let nobody = Name::new("nobody").unwrap();
    let unknown = runtime.monitor_agent(nobody.clone(), SECOND).await.unwrap_err();
    assert!(matches!(unknown, HealthError::Runtime(RuntimeError::UnknownAgent { .. })), "{unknown}");
    let zero = runtime.monitor_agent(agent, Duration::ZERO).await.unwrap_err();
    assert!(matches!(zero, HealthError::TooShort { .. }), "{zero}");
    is(&health(&runtime, agent).await, Verdict::Unknown, "nobody monitors it");

    runtime.monitor_agent(agent, SECOND).await.unwrap();
    let twice = runtime.monitor_agent(agent, SECOND).await.unwrap_err();
    assert!(matches!(twice, HealthError::Monitored { .. }), "{twice}");
    sleep(3 * SECOND).await;
    is(&health(&runtime, agent).await, Verdict::Healthy, "idle");

    runtime.stop_agent(agent).await.unwrap();
    runtime.as_runtime().unregister(&agent.into()).await.unwrap();
    assert!(runtime.health_monitor().all().is_empty());
    let gone = runtime.as_runtime().agent_health(&agent.into()).await.unwrap_err();
    assert!(matches!(gone, RuntimeError::UnknownAgent { .. }), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn turns_are_told_on_the_bus_and_recoveries_are_tried() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let is_well = Arc::new(AtomicBool::new(true));
    let (seen, again) = (Arc::clone(&is_well), Arc::clone(&is_well));
    runtime
        .register_check("connection", move || {
            let is_well = seen.load(SeqCst);
            async move { is_well }
        })
        .unwrap();
    runtime
        .register_recovery("connection", move || {
            again.store(true, SeqCst);
            async {}
        })
        .unwrap();
    let mut turns = runtime.bus().listen("health/connection/health.changed").await.unwrap();
    runtime.monitor_agent(agent, SECOND).await.unwrap();
    let mut next = async || {
        let event = timeout(60 * SECOND, turns.next_event()).await.expect("it is told").unwrap();
        let HealthChanged { watched, before, now, .. } = event.json().unwrap();
        assert_eq!(watched, agent.to_string());
        (before, now)
    };
    assert_eq!(next().await, ("unknown".into(), "healthy".into()));
    is_well.store(false, SeqCst);
    assert_eq!(next().await, ("healthy".into(), "unhealthy".into()));
    assert_eq!(next().await, ("unhealthy".into(), "healthy".into()));
    let report = report(&runtime, agent).await;
    let check = report.checks.iter().find(|check| check.name == "connection").unwrap();
    assert_eq!(check.recovery.as_ref().unwrap().last.as_ref().unwrap().failed, None);
}

#[tokio::test(start_paused = true)]
async fn a_check_of_ones_own_takes_the_place_of_the_one_that_ships_under_its_name() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    runtime.register_check("progress", || async { false }).unwrap();
    assert!(matches!(
        runtime.register_check("progress", || async { false }),
        Err(HealthError::CheckTaken { .. })
    ));
    runtime.monitor_agent(agent, SECOND).await.unwrap();
    sleep(SECOND).await;
    is(&health(&runtime, agent).await, Verdict::Unhealthy, "the check says no");
}

#[tokio::test(start_paused = true)]
async fn agents_that_fail_are_told_by_their_rate_and_recover_with_it() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    runtime.monitor_agent(agent, SECOND).await.unwrap();
    sleep(2 * SECOND).await;
    for _ in 0..4 {
        let _ = runtime.run_agent(agent, "well").await.unwrap();
    }
    for _ in 0..2 {
        runtime.run_agent(agent, "fail").await.unwrap_err();
    }
    sleep(2 * SECOND).await;
    is(
        &health(&runtime, agent).await,
        Verdict::Degraded,
        "2 of 6 runs failed within 300s; the last one said: it fails",
    );
    for _ in 0..2 {
        runtime.run_agent(agent, "fail").await.unwrap_err();
    }
    sleep(2 * SECOND).await;
    is(&health(&runtime, agent).await, Verdict::Unhealthy, "4 of 8 runs failed");
    sleep(302 * SECOND).await;
    is(&health(&runtime, agent).await, Verdict::Healthy, "idle");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_watched_as_its_file_says_and_newcomers_with_it() {
    let runtime = runtime().await;
    let [slow, mute] = [started(&runtime, "slow").await, started(&runtime, "mute").await];
    let text = "[health]\ninterval = \"5s\"\n[agents.mute]\nkind = \"hanging\"\nhealth = \"off\"\n";
    let fleet = Fleet::parse(text).unwrap();
    fleet.watch(&runtime).await.unwrap();
    let late = started(&runtime, "late").await;
    sleep(20 * SECOND).await;

    for (agent, verdict) in [(slow, Verdict::Healthy), (mute, Verdict::Unknown), (late, Verdict::Healthy)] {
        assert_eq!(health(&runtime, agent).await.verdict, verdict);
    }
    let overview = runtime.as_runtime().health().await.unwrap();
    assert_eq!((overview.watched.all(), overview.watched.healthy), (3, 3), "{}", overview.health);
    assert_eq!(runtime.as_runtime().status().await.unwrap().health.unwrap().verdict, Verdict::Healthy);

    let off = super::scene::runtime().await;
    Fleet::parse("health = \"off\"").unwrap().watch(&off).await.unwrap();
    assert_eq!(off.as_runtime().status().await.unwrap().health, None);
}

#[tokio::test(start_paused = true)]
async fn another_tenant_is_told_of_the_runtime_and_of_nobodys_agents() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    runtime.monitor_agent(agent, SECOND).await.unwrap();
    runtime.health_monitor().monitor(Watched::Runtime, SECOND).unwrap();
    sleep(3 * SECOND).await;
    let other = runtime.for_tenant(Tenant::new("other").unwrap());

    let overview = other.health().await.unwrap();

    let watched: Vec<_> = overview.reports.iter().map(|report| report.watched.clone()).collect();
    assert_eq!(watched, [Watched::Runtime]);
    assert_eq!(runtime.as_runtime().health().await.unwrap().watched.all(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_nobody_holds_is_watched_no_more_and_its_store_is_let_go() {
    let store = Arc::new(MemoryStore::new());
    let runtime: RuntimeManager = builder(Arc::clone(&store) as _).open().await.unwrap().into();
    let agent = runtime.register_agent(Hanging("agent")).await.unwrap();
    runtime.monitor_agent(agent, SECOND).await.unwrap();
    sleep(3 * SECOND).await;
    assert!(Arc::strong_count(&store) > 1);
    // What only a watch holds does not keep it.
    let shared = runtime.shared();
    drop(runtime);
    sleep(3 * SECOND).await;
    assert_eq!(shared.agent_health(&agent.into()).await.unwrap().health.verdict, Verdict::Healthy);
    drop(shared);
    let gone = async {
        while Arc::strong_count(&store) > 1 {
            sleep(SECOND).await;
        }
    };
    timeout(120 * SECOND, gone).await.expect("nobody holds the store");
}

#[tokio::test(start_paused = true)]
async fn what_a_check_shows_names_its_run_also_over_its_phases() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let run = submit(&runtime, agent, "between_tokens").await;
    let view = runtime.as_runtime().run_status(&run).await.unwrap();
    let stands = view.stands.expect("it is worked here");
    assert_eq!(stands.phase, agent_runtime::recovery::Phase::BetweenTokens, "a piece was shown");
    assert!(stands.since >= view.steps[0].opened_at);
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_off_first_when_a_runtime_drains() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let run = submit(&runtime, agent, "sleep").await;
    let (shared, drained) = (runtime.clone(), runtime.clone());
    let draining = async { drained.shutdown(60 * SECOND).await.unwrap() };
    let looking = async {
        sleep(SECOND).await;
        let status = shared.as_runtime().status().await.unwrap();
        assert_eq!(status.readiness, agent_runtime::runtime::Readiness::Draining);
        let view = shared.as_runtime().run_status(&run).await.unwrap();
        assert!(view.outcome.is_none(), "its runs go on meanwhile");
    };
    tokio::join!(draining, looking);
}
