//! How a runtime and its agents are looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runtime_health::checks::{
    BlockedThreads, BusLag, DiskBounds, ErrorBounds, ExecutorLag, LagBounds, ModelBreakers, PhaseBounds,
    PressureBounds, ResponseBounds, StoreLatency,
};
use runtime_traits::Name;

/// How a runtime and its agents are looked at: the checks that its monitor has, each with its bounds. `None` leaves a check out.
///
/// A check that is registered under the name of one of these takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// `progress`: how long runs may stand in each phase.
    pub progress: Option<PhaseBounds>,
    /// The same of single agents: of one whose tools are silent for long, say.
    pub of_agents: BTreeMap<Name, PhaseBounds>,
    /// `response_time`: how long runs may take. Left out by default: how long is too long, nobody knows but you.
    pub response_time: Option<ResponseBounds>,
    /// `error_rate`: how many runs may fail.
    pub error_rate: Option<ErrorBounds>,
    /// `pressure`: how near an agent may come to its limits.
    pub pressure: Option<PressureBounds>,
    /// How long after a look at limits, or at the disk, there is none at the least: these cost more than the others.
    pub pressure_every: Duration,
    /// `models`: for how long a model may be held off by its breaker.
    pub models: Option<Duration>,
    /// `store_latency`: how long the store may take to answer.
    pub store_latency: Option<LagBounds>,
    /// `bus_lag`: how long what happens may take to reach the bus.
    pub bus_lag: Option<LagBounds>,
    /// `executor_lag`: how long the executor may take to come to a task.
    pub executor_lag: Option<LagBounds>,
    /// `blocked_threads`: how long an agent may block a thread.
    pub blocked_threads: Option<LagBounds>,
    /// `disk_space`: how much room there has to be under a path.
    pub disk_space: Option<(PathBuf, DiskBounds)>,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            progress: Some(PhaseBounds::default()),
            of_agents: BTreeMap::new(),
            response_time: None,
            error_rate: Some(ErrorBounds::default()),
            pressure: Some(PressureBounds::default()),
            pressure_every: Duration::from_secs(30),
            models: Some(ModelBreakers::BOUND),
            store_latency: Some(StoreLatency::BOUNDS),
            bus_lag: Some(BusLag::BOUNDS),
            executor_lag: Some(ExecutorLag::BOUNDS),
            blocked_threads: Some(BlockedThreads::BOUNDS),
            disk_space: None,
        }
    }
}
