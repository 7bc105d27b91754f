//! How long the runs of an agent take.

use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Watched};

use super::agent_of;
use super::lag::LagBounds;
use super::recent_runs::{EndedRun, RecentRuns};

/// From when on the runs of an agent take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseBounds {
    /// What 19 of 20 runs may take, from their acceptance to their output.
    pub times: LagBounds,
    /// How far back it is looked.
    pub window: Duration,
}

impl ResponseBounds {
    /// Degraded when the slowest of 20 takes longer than this, unhealthy when it takes four times as long; within 5 minutes.
    pub fn of(degraded: Duration) -> Self {
        let times = LagBounds { degraded, unhealthy: degraded.saturating_mul(4) };
        Self { times, window: Duration::from_secs(300) }
    }
}

/// How long the last runs of an agent took, from acceptance to output: 19 of 20 of those that completed took at most so long.
#[derive(Debug)]
pub struct ResponseTime {
    runs: RecentRuns,
    bounds: ResponseBounds,
}

impl ResponseTime {
    /// Looks at these runs.
    pub fn of(runs: RecentRuns, bounds: ResponseBounds) -> Self {
        Self { runs, bounds }
    }
}

#[async_trait]
impl HealthCheck for ResponseTime {
    async fn check(&self, of: &Watched) -> Health {
        let agent = match agent_of(of) {
            Ok(agent) => agent,
            Err(unknown) => return unknown,
        };
        match self.runs.of_agent(agent, self.bounds.window).await {
            Ok(runs) => judge(&runs, self.bounds),
            Err(unknown) => unknown,
        }
    }
}

fn judge(runs: &[EndedRun], bounds: ResponseBounds) -> Health {
    let mut times: Vec<_> = runs.iter().filter(|run| run.failed.is_none()).map(|run| run.took).collect();
    times.sort_unstable();
    // The nearest rank: of fewer than 20 it is the slowest.
    let Some(slow) = (times.len() * 95).div_ceil(100).checked_sub(1).map(|rank| times[rank]) else {
        return Health::HEALTHY;
    };
    let what = format!("of {} runs 19 of 20 took up to", times.len());
    bounds.times.judge(&what, slow)
}
