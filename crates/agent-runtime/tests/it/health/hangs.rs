//! Every kind of hang is found within its bound and one interval, and not before its bound.

use std::sync::{Arc, Condvar, Mutex};

use agent_runtime::health::checks::LagBounds;
use agent_runtime::health::{Verdict, Watched};
use agent_runtime::prelude::*;
use agent_runtime::{HealthSettings, MemoryStore};
use runtime_testkit::fakes::{Fault, FaultyStore};
use tokio::time::{sleep, timeout};

use super::scene::{bounds, builder, health, is, runtime, started, submit};

const INTERVAL: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);

/// What hangs where, for how long that may be, and what is said of it.
fn hangs() -> [(&'static str, Duration, &'static str); 4] {
    let bounds = bounds();
    [
        ("first_byte", bounds.first_byte, "its model has no first byte"),
        ("between_tokens", bounds.between_tokens, "its model says nothing more"),
        ("tool", bounds.tool, "a step gives no sign of life"),
        ("step", bounds.step, "its agent's own code is at work"),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_hangs_is_found_within_its_bound_and_an_interval_and_not_before() {
    for (hang, bound, says) in hangs() {
        let runtime = runtime().await;
        let agent = started(&runtime, "agent").await;
        runtime.monitor_agent(agent, INTERVAL).await.unwrap();
        sleep(3 * INTERVAL).await;
        is(&health(&runtime, agent).await, Verdict::Healthy, "idle");
        let run = submit(&runtime, agent, hang).await;

        sleep(bound - TICK).await;
        let early = health(&runtime, agent).await;
        assert_eq!(early.verdict, Verdict::Healthy, "{hang}: {early}");
        sleep(INTERVAL + TICK).await;
        is(&health(&runtime, agent).await, Verdict::Unhealthy, says);
        is(&health(&runtime, agent).await, Verdict::Unhealthy, &run.to_string());

        // It is seen well again after two looks.
        runtime.as_runtime().cancel(&run, "enough", Duration::ZERO).await.unwrap();
        sleep(2 * INTERVAL + TICK).await;
        is(&health(&runtime, agent).await, Verdict::Healthy, "idle");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_move_is_told_beside_what_holds_it_up() {
    let runtime = runtime().await;
    let agent = started(&runtime, "agent").await;
    let bounds = bounds();
    runtime.monitor_agent(agent, INTERVAL).await.unwrap();
    submit(&runtime, agent, "tool").await;
    for _ in 0..20 {
        submit(&runtime, agent, "next").await;
    }

    sleep(bounds.queued + INTERVAL + TICK).await;
    is(&health(&runtime, agent).await, Verdict::Degraded, "waits for its turn");
    sleep(bounds.tool - bounds.queued).await;
    is(&health(&runtime, agent).await, Verdict::Unhealthy, "a step gives no sign of life");
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_is_found_by_its_latency_and_by_readiness() {
    let inner: Arc<dyn agent_runtime::StateStore> = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(inner, |_| Fault::Pass));
    let runtime: RuntimeManager = builder(Arc::clone(&store) as _).open().await.unwrap().into();
    let agent = started(&runtime, "agent").await;
    let (monitor, second) = (runtime.health_monitor(), Duration::from_secs(1));
    monitor.monitor(Watched::Runtime, second).unwrap();
    sleep(3 * second).await;
    assert_eq!(runtime.as_runtime().health().await.unwrap().health.verdict, Verdict::Healthy);

    store.decide_by(|_| Fault::Unavailable);
    store.fail_reads(true);
    let agent = AgentRef::from(agent);
    let mut asked = runtime.as_runtime().submit(&agent, "next".into());
    assert!(timeout(2 * second, &mut asked).await.is_err(), "whoever asks waits for the store");

    let found = runtime.health_monitor().health(&Watched::Runtime).unwrap();
    let of = |name: &str| found.checks.iter().find(|check| check.name == name).unwrap().health.clone();
    is(&of("readiness"), Verdict::Unhealthy, "its store fails");
    is(&of("store_latency"), Verdict::Unhealthy, "not available");
    assert!(runtime.as_runtime().status().await.unwrap().health.unwrap().reason.starts_with("runtime: "));
}

/// A door in a thread's way.
#[derive(Debug, Default)]
struct Door {
    open: Mutex<bool>,
    opens: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Blocking(Arc<Door>);

#[async_trait]
impl Agent for Blocking {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("blocking", "blocking").expect("names")
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        let open = self.0.open.lock().expect("nobody panics with it");
        drop(self.0.opens.wait_while(open, |open| !*open).expect("nobody panics with it"));
        Ok(input)
    }
}

/// On the only thread of its executor, so that nothing else there can go on.
#[test]
fn a_blocked_thread_is_found_while_it_is_blocked() {
    let executor =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (door, watcher) =
        (Blocking::default(), tokio::runtime::Builder::new_current_thread().enable_all().build());
    let second = Duration::from_secs(1);
    let (runtime, agent) = executor.block_on(async {
        let settings = HealthSettings {
            blocked_threads: Some(LagBounds { degraded: Duration::ZERO, unhealthy: second / 4 }),
            executor_lag: Some(LagBounds { degraded: second / 20, unhealthy: second / 4 }),
            ..HealthSettings::default()
        };
        let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).health(settings);
        let builder = builder.configure(|config| config.long_poll = second / 10);
        let runtime: RuntimeManager = builder.open().await.unwrap().into();
        let agent = runtime.register_agent(door.clone()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        runtime.monitor_agent(agent, second / 20).await.unwrap();
        runtime.health_monitor().monitor(Watched::Runtime, second / 20).unwrap();
        runtime.as_runtime().submit(&AgentRef::from(agent), "block".into()).await.unwrap();
        (runtime, agent)
    });
    let found = watcher.unwrap().block_on(async {
        let both = async {
            loop {
                let found = [Watched::Agent(agent), Watched::Runtime]
                    .map(|watched| runtime.health_monitor().health(&watched).unwrap());
                if found.iter().all(|report| report.health.verdict == Verdict::Unhealthy) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(20 * second, both).await
    });
    *door.0.open.lock().unwrap() = true;
    door.0.opens.notify_all();

    let [of_agent, of_runtime] = found.expect("both are found while the thread is blocked");
    is(&of_agent.health, Verdict::Unhealthy, "blocks its thread for");
    let lag = of_runtime.checks.iter().find(|check| check.name == "executor_lag").unwrap();
    is(&lag.looked.as_ref().unwrap().found, Verdict::Unhealthy, "the executor has not come to a task");
    drop(runtime);
    executor.shutdown_background();
}
