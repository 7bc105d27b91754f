//! Who is idle, who waits rightly and who declared silence is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use agent_runtime::events::catalogue::HealthChanged;
use agent_runtime::health::checks::PhaseBounds;
use agent_runtime::health::{Health, Verdict};
use agent_runtime::prelude::*;
use agent_runtime::{HealthSettings, MemoryStore};
use tokio::time::sleep;

use super::scene::{Hanging, builder, health, is, look, runtime, started, submit};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_agents_and_thirty_minutes_of_declared_silence_raise_no_alarm() {
    let silent = PhaseBounds { tool: 31 * MINUTE, ..PhaseBounds::default() };
    let of_agents = [(Name::new("silent").unwrap(), silent)].into();
    let settings = HealthSettings { of_agents, ..HealthSettings::default() };
    let runtime: RuntimeManager =
        builder(Arc::new(MemoryStore::new())).health(settings).open().await.unwrap().into();
    let restarts = Arc::new(AtomicUsize::new(0));
    for check in ["progress", "error_rate", "pressure", "blocked_threads"] {
        let restarts = Arc::clone(&restarts);
        let restart = move || {
            restarts.fetch_add(1, SeqCst);
            async {}
        };
        runtime.register_recovery(check, restart).unwrap();
    }
    let mut turns = runtime.bus().listen("health/**").await.unwrap();
    // A tool that says nothing for half an hour, an agent that sleeps as long, and one that waits for an answer.
    for (name, input) in [("silent", "tool"), ("sleeper", "sleep"), ("asker", "answer")] {
        let agent = started(&runtime, name).await;
        submit(&runtime, agent, input).await;
        runtime.monitor_agent(agent, MINUTE).await.unwrap();
    }
    for nth in 0..10_000 {
        let name: &'static str = Box::leak(format!("idle-{nth}").into_boxed_str());
        let agent = runtime.register_agent(Hanging(name)).await.unwrap();
        runtime.monitor_agent(agent, 5 * MINUTE).await.unwrap();
    }

    sleep(30 * MINUTE).await;

    let overview = runtime.as_runtime().health().await.unwrap();
    assert_eq!((overview.watched.healthy, overview.watched.all()), (10_003, 10_003), "{}", overview.health);
    assert_eq!(restarts.load(SeqCst), 0);
    // All that turned is what nobody had looked at before.
    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(1), turns.next_event()).await {
        let turn: HealthChanged = event.json().unwrap();
        assert_eq!((turn.before.as_str(), turn.now.as_str()), ("unknown", "healthy"), "{turn:?}");
        told += 1;
    }
    assert!(told > 0, "turns are told");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_somebody_may_wait_as_long_as_it_takes() {
    let runtime = runtime().await;
    let agent = started(&runtime, "asker").await;
    submit(&runtime, agent, "answer").await;

    sleep(24 * 60 * MINUTE).await;

    assert_eq!(look(&runtime, agent, "progress").await, Health::HEALTHY);
}

#[tokio::test(start_paused = true)]
async fn what_a_pause_or_a_stop_holds_up_does_not_hang() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let run = submit(&runtime, agent, "tool").await;
    submit(&runtime, agent, "next").await;
    sleep(9 * MINUTE).await;
    is(&look(&runtime, agent, "progress").await, Verdict::Degraded, "waits for its turn");

    runtime.stop_agent(agent).await.unwrap();
    assert_eq!(look(&runtime, agent, "progress").await, Health::HEALTHY, "what has not begun stays queued");
    sleep(2 * MINUTE).await;
    is(&look(&runtime, agent, "progress").await, Verdict::Unhealthy, "a step gives no sign of life");
    runtime.as_runtime().cancel(&run, "enough", Duration::ZERO).await.unwrap();
    sleep(MINUTE).await;
    assert_eq!(look(&runtime, agent, "progress").await, Health::HEALTHY);
    runtime.start_agent(agent).await.unwrap();
    sleep(MINUTE).await;
    is(&health(&runtime, agent).await, Verdict::Unknown, "nobody monitors it");
    is(&look(&runtime, agent, "progress").await, Verdict::Healthy, "idle");
}
