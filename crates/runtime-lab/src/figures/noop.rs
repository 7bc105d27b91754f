//! Runs of an agent that does nothing, in memory: what the engine itself costs.

use std::sync::Arc;

use runtime_state::MemoryStore;

use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::house;
use super::load::per_second;
use super::plan::Plan;
use super::spread::Spread;

/// Callers, and as many agents.
pub(crate) const AGENTS: u64 = 1_000;
const AGAINST: &str = "kameo 0.22: `ask` of actors that do nothing, as many callers and actors";

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let (runtime, agents) = house::with_agents(Arc::new(MemoryStore::new()), AGENTS).await?;
    let ours = async || per_second(house::callers(&runtime, &agents), plan.turn).await;
    let (value, baseline) = beside_peer(plan, ours).await?;
    Ok(vec![Figure {
        name: "noop-run",
        value,
        unit: "runs/s",
        baseline,
        against: AGAINST,
        bar: Bar::RatioAtLeast(0.15),
        n: plan.rounds,
    }])
}

#[cfg(feature = "peers")]
async fn beside_peer(
    plan: &Plan,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    let actors = super::peer::actors(AGENTS);
    let baseline = async || per_second(actors.iter().map(super::peer::Asks::of), plan.turn).await;
    let (value, baseline) = super::contest::take_turns(plan.rounds, ours, baseline).await?;
    Ok((value, Some(baseline)))
}

#[cfg(not(feature = "peers"))]
async fn beside_peer(
    plan: &Plan,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    let nobody = async || Ok(f64::NAN);
    let (value, _) = super::contest::take_turns(plan.rounds, ours, nobody).await?;
    Ok((value, None))
}
