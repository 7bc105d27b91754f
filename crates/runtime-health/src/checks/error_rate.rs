//! How many runs of an agent fail.

use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};

use super::agent_of;
use super::recent_runs::{EndedRun, RecentRuns};

/// From which part of failed runs on an agent is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBounds {
    /// It is degraded from this part on, in percent.
    pub degraded_percent: u32,
    /// It is unhealthy from this part on, in percent.
    pub unhealthy_percent: u32,
    /// Of fewer runs than this nothing is concluded.
    pub least: usize,
    /// How far back it is looked.
    pub window: Duration,
}

impl Default for ErrorBounds {
    /// Degraded from 10 %, unhealthy from 50 %, of 5 runs or more within 5 minutes.
    fn default() -> Self {
        let window = Duration::from_secs(300);
        Self { degraded_percent: 10, unhealthy_percent: 50, least: 5, window }
    }
}

impl ErrorBounds {
    /// Unhealthy from this part on, degraded from a fifth of it.
    pub fn from_percent(unhealthy_percent: u32) -> Self {
        Self { degraded_percent: (unhealthy_percent / 5).max(1), unhealthy_percent, ..Self::default() }
    }
}

/// How many of the last runs of an agent failed.
#[derive(Debug)]
pub struct ErrorRate {
    runs: RecentRuns,
    bounds: ErrorBounds,
}

impl ErrorRate {
    /// Looks at these runs.
    pub fn of(runs: RecentRuns, bounds: ErrorBounds) -> Self {
        Self { runs, bounds }
    }
}

#[async_trait]
impl HealthCheck for ErrorRate {
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

fn judge(runs: &[EndedRun], bounds: ErrorBounds) -> Health {
    let failed: Vec<_> = runs.iter().filter_map(|run| run.failed.as_deref()).collect();
    let (Some(last), true) = (failed.last(), runs.len() >= bounds.least.max(1)) else {
        return Health::HEALTHY;
    };
    let percent = failed.len() * 100 / runs.len();
    let verdict = if percent >= bounds.unhealthy_percent as usize {
        Verdict::Unhealthy
    } else if percent >= bounds.degraded_percent as usize {
        Verdict::Degraded
    } else {
        return Health::HEALTHY;
    };
    let (failed, all, window) = (failed.len(), runs.len(), bounds.window);
    Health::new(
        verdict,
        format!("{failed} of {all} runs failed within {window:?}; the last one said: {last}"),
    )
}
