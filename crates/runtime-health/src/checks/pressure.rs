//! How near an agent is to its limits.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::resource::Used;
use runtime_traits::runtime::AgentStatus;
use runtime_traits::{AgentRef, Runtime};

use super::agent_of;

/// From how much of a limit on an agent is under pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressureBounds {
    /// It is degraded from this part of a limit on, in percent.
    pub degraded_percent: u32,
}

impl Default for PressureBounds {
    /// 90 % of a limit.
    fn default() -> Self {
        Self { degraded_percent: 90 }
    }
}

/// How near an agent is to its limits: tokens, requests, money, memory, processor, queue, and what is stored of it.
///
/// Near a limit is degraded; above its memory, and where no room is left to store what it does, it is unhealthy.
#[derive(Debug)]
pub struct Pressure {
    runtime: Arc<dyn Runtime>,
    bounds: PressureBounds,
}

impl Pressure {
    /// Looks at the agents of this runtime.
    pub fn of(runtime: Arc<dyn Runtime>, bounds: PressureBounds) -> Self {
        Self { runtime, bounds }
    }
}

#[async_trait]
impl HealthCheck for Pressure {
    async fn check(&self, of: &Watched) -> Health {
        let agent = match agent_of(of) {
            Ok(agent) => agent,
            Err(unknown) => return unknown,
        };
        match self.runtime.agent(&AgentRef::from(agent)).await {
            Ok(status) => pressure(&status, self.bounds),
            Err(error) => Health::new(Verdict::Unknown, format!("the agent cannot be looked at: {error}")),
        }
    }
}

fn pressure(status: &AgentStatus, bounds: PressureBounds) -> Health {
    if status.process.as_ref().is_some_and(|process| process.over_memory) {
        return Health::new(Verdict::Unhealthy, "it is above its memory");
    }
    if status.stored.is_full() {
        return Health::new(Verdict::Unhealthy, "what is stored of it has reached its hard limit");
    }
    if let Some(damage) = &status.damage {
        return Health::new(Verdict::Degraded, format!("what it used is not known: {damage}"));
    }
    let percent = |used: &Used| used.max.map(|max| used.used.saturating_mul(100) / max.max(1));
    let nearest = status.usage.limits.iter().max_by_key(|used| percent(used));
    if let Some(used) = nearest
        && let Some(percent) = percent(used)
        && percent >= u64::from(bounds.degraded_percent)
    {
        return Health::new(Verdict::Degraded, format!("it is at {percent} % of `{}`", used.limit));
    }
    if status.stored.is_much() {
        return Health::new(Verdict::Degraded, "what is stored of it has reached its soft limit");
    }
    Health::HEALTHY
}
