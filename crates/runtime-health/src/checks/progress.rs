//! Whether the runs of an agent get on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::runtime::Want;
use runtime_traits::{AgentId, AgentRef, Name, RunView, UnixMillis};

use super::agent_of;
use super::bounds::PhaseBounds;
use super::open_runs::OpenRuns;
use super::standing::{Standing, standings};
use runtime_traits::recovery::Phase;

/// Whether the open runs of an agent get on: none stands in a phase for longer than its bound.
///
/// An agent without open runs is idle, which is healthy and owes no sign of life. What rightly waits (for an answer, for consent, for
/// room, for another run, for a moment to come) may wait. A run in the queue beyond its bound, and one that somebody has to set right,
/// is degraded; one that stands still is unhealthy.
pub struct Progress {
    runs: OpenRuns,
    bounds: PhaseBounds,
    of_agents: Mutex<BTreeMap<String, PhaseBounds>>,
}

/// A run that stands still.
struct Stalled {
    verdict: Verdict,
    reason: String,
}

impl Progress {
    /// Looks at these runs.
    pub fn of(runs: OpenRuns, bounds: PhaseBounds) -> Self {
        Self { runs, bounds, of_agents: Mutex::default() }
    }

    /// Sets the bounds of one agent: one whose tools are silent for long, say.
    pub fn set_bounds_of(&self, agent: &Name, bounds: PhaseBounds) {
        self.own_bounds().insert(agent.folded(), bounds);
    }

    /// The bounds of an agent, and what is wanted of it; asked only where something may be amiss.
    async fn asked(&self, agent: AgentId) -> Result<(PhaseBounds, Want), Health> {
        match self.runs.runtime().agent(&AgentRef::from(agent)).await {
            Ok(status) => {
                let own = self.own_bounds().get(&status.name.folded()).copied();
                Ok((own.unwrap_or(self.bounds), status.want))
            }
            Err(error) => {
                Err(Health::new(Verdict::Unknown, format!("the agent cannot be looked at: {error}")))
            }
        }
    }

    /// The shortest of all bounds of each phase: what is within them is within its agent's own.
    fn shortest(&self) -> PhaseBounds {
        self.own_bounds().values().fold(self.bounds, |shortest, own| shortest.shorter(own))
    }

    fn own_bounds(&self) -> MutexGuard<'_, BTreeMap<String, PhaseBounds>> {
        // What is written under it are single values.
        self.of_agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, agent: AgentId) -> Result<Health, Health> {
        let runs = self.runs.of_agent(agent).await?;
        if runs.is_empty() {
            return Ok(Health::new(Verdict::Healthy, "idle: no run is open"));
        }
        let now = self.runs.clock().now();
        if worst(&runs, &self.shortest(), Want::Active, now).is_none() {
            return Ok(Health::HEALTHY);
        }
        let (bounds, want) = self.asked(agent).await?;
        let worst = worst(&runs, &bounds, want, now);
        Ok(worst.map_or(Health::HEALTHY, |Stalled { verdict, reason }| Health::new(verdict, reason)))
    }
}

/// The worst of what stands still; of equals the one that does so for the longest time beyond its bound.
fn worst(runs: &[RunView], bounds: &PhaseBounds, want: Want, now: UnixMillis) -> Option<Stalled> {
    let all = runs.iter().flat_map(|run| standings(run).into_iter().map(move |standing| (run, standing)));
    let stalled = all.filter(|(_, standing)| standing.is_stalled(bounds, want, now));
    let worst = stalled.max_by_key(|(_, standing)| {
        (verdict_of(standing), standing.age(now).saturating_sub(standing.bound(bounds)))
    });
    worst.map(|(run, standing)| {
        let (what, age, bound) = (&standing.what, standing.age(now), standing.bound(bounds));
        let reason = format!("{}: {what} for {age:?}; {bound:?} is its bound", run.run);
        Stalled { verdict: verdict_of(&standing), reason }
    })
}

/// Who waits for others is slow; who stands still is not well.
fn verdict_of(standing: &Standing) -> Verdict {
    if standing.needs_somebody || standing.phase == Phase::Queued {
        Verdict::Degraded
    } else {
        Verdict::Unhealthy
    }
}

#[async_trait]
impl HealthCheck for Progress {
    async fn check(&self, of: &Watched) -> Health {
        match agent_of(of) {
            Ok(agent) => self.look(agent).await.unwrap_or_else(|unknown| unknown),
            Err(unknown) => unknown,
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
