//! What it costs to look at ten thousand agents every second.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::{MemoryStore, RuntimeManager};
use runtime_core::SystemClock;
use runtime_traits::Clock;
use tokio::time::sleep;

use super::agents::{NoopKind, noop};
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::plan::Plan;
use super::spread::Spread;
use super::watch::processor_time;

const AGENTS: u64 = 10_000;
const INTERVAL: Duration = Duration::from_secs(1);

/// Percent of one core, with the checks that a runtime has unless it is told otherwise; beside it what the same runtime takes
/// while nobody looks.
pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let store = Arc::new(MemoryStore::new());
    let runtime: RuntimeManager =
        RuntimeManager::builder(store).kind(Arc::new(NoopKind)).open().await?.into();
    let mut agents = Vec::new();
    for nth in 0..plan.sized(AGENTS) {
        let agent = runtime.register_spec(noop(nth)?).await?;
        runtime.start_agent(agent).await?;
        agents.push(agent);
    }
    let turn = plan.turn.max(2 * INTERVAL);
    let baseline = shares(plan.rounds, turn).await;
    for agent in agents {
        let monitored = runtime.monitor_agent(agent, INTERVAL).await;
        monitored.map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    }
    // By then each was looked at twice, and they are spread over the interval.
    sleep(3 * INTERVAL).await;
    let value = shares(plan.rounds, turn).await;
    let overview = runtime.as_runtime().health().await?;
    if overview.watched.healthy != overview.watched.all() {
        return Err(FiguresError::Unexpected(format!("an agent is {}", overview.health)));
    }
    Ok(vec![Figure {
        name: "monitored",
        value: Spread::of(value),
        unit: "% of a core",
        baseline: Some(Spread::of(baseline)),
        against: "the same 10,000 idle agents while nobody looks at them every second",
        bar: Bar::AtMost(10.0),
        n: plan.rounds,
    }])
}

/// How much of a core this process takes, in percent, again and again.
async fn shares(rounds: u32, turn: Duration) -> Vec<f64> {
    let clock = SystemClock::default();
    let mut shares = Vec::new();
    for _ in 0..rounds {
        let (began, before) = (clock.now(), processor_time());
        sleep(turn).await;
        let (took, worked) = (clock.now().since(began), processor_time().saturating_sub(before));
        shares.push(100.0 * worked.as_secs_f64() / took.as_secs_f64());
    }
    shares
}
