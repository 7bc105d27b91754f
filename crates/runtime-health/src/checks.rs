//! The checks that ship.

mod blocked_threads;
mod bounds;
mod bus_lag;
mod disk_space;
mod error_rate;
mod executor_lag;
mod lag;
mod model_available;
mod model_breakers;
mod model_calls;
mod open_runs;
mod pressure;
mod progress;
mod readiness;
mod recent_runs;
mod response_time;
mod standing;
mod store_latency;

pub use blocked_threads::BlockedThreads;
pub use bounds::PhaseBounds;
pub use bus_lag::BusLag;
pub use disk_space::{DiskBounds, DiskSpace};
pub use error_rate::{ErrorBounds, ErrorRate};
pub use executor_lag::ExecutorLag;
pub use lag::LagBounds;
pub use model_available::ModelAvailable;
pub use model_breakers::ModelBreakers;
pub use model_calls::ModelCalls;
pub use open_runs::OpenRuns;
pub use pressure::{Pressure, PressureBounds};
pub use progress::Progress;
pub use readiness::Readiness;
pub use recent_runs::RecentRuns;
pub use response_time::{ResponseBounds, ResponseTime};
pub use store_latency::StoreLatency;

use runtime_traits::AgentId;
use runtime_traits::health::{Health, Verdict, Watched};

/// The agent that a check of agents is to look at.
fn agent_of(watched: &Watched) -> Result<AgentId, Health> {
    match watched {
        Watched::Agent(agent) => Ok(*agent),
        Watched::Runtime | Watched::Other(_) => {
            Err(Health::new(Verdict::Unknown, format!("`{watched}` is no agent; this check looks at agents")))
        }
    }
}
