//! Health: the monitor of a runtime, the checks that it has, and how it is told of.

mod settings;
mod teller;

use std::sync::Arc;

use runtime_health::checks::{
    BlockedThreads, BusLag, DiskSpace, ErrorRate, ExecutorLag, ModelBreakers, OpenRuns, Pressure, Progress,
    Readiness, RecentRuns, ResponseTime, StoreLatency,
};
use runtime_traits::bus::Bus;
use runtime_traits::{Clock, Entropy, Runtime, StateStore};
use tokio::runtime::{Handle, RuntimeFlavor};

pub use runtime_health::*;
pub use settings::HealthSettings;
use teller::Teller;

/// What a monitor is wired to.
pub(crate) struct Wiring {
    pub(crate) core: runtime_core::RuntimeManager,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) store: Option<Arc<dyn StateStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: HealthSettings,
}

impl Wiring {
    /// The monitor of the runtime, with the checks that the settings ask for. It watches nothing yet.
    pub(crate) fn connect(self) -> HealthMonitor {
        let tenant = self.core.tenant().clone();
        // It must not keep the runtime that keeps it.
        let runtime: Arc<dyn Runtime> = Arc::new(self.core.observer());
        let mut builder = HealthMonitor::builder()
            .clock(Arc::clone(&self.clock))
            .entropy(Arc::clone(&self.entropy))
            .runtime(Arc::clone(&runtime));
        if let Ok(executor) = Handle::try_current() {
            let teller = Teller::begin(&executor, Arc::clone(&self.bus), tenant);
            builder = builder.on_turn(move |turn| teller.tell(turn));
            // Where agents share one thread, time may be simulated, and another thread would not know.
            if executor.runtime_flavor() != RuntimeFlavor::CurrentThread {
                builder = builder.on_own_thread();
            }
        }
        let monitor = builder.build();
        self.offer_checks(&monitor, &runtime);
        self.core.watch_with(Arc::new(monitor.clone()));
        monitor
    }

    fn offer_checks(&self, monitor: &HealthMonitor, runtime: &Arc<dyn Runtime>) {
        let Self { settings, clock, .. } = self;
        let again = || (Arc::clone(runtime), Arc::clone(clock));
        let of_agents = || CheckRule { only: Only::Agents, ..CheckRule::default() };
        let of_all = || CheckRule { only: Only::Just(Watched::Runtime), ..CheckRule::default() };
        if let Some(bounds) = settings.progress {
            let (runtime, clock) = again();
            let progress = Progress::of(OpenRuns::of(runtime, clock), bounds);
            for (agent, bounds) in &settings.of_agents {
                progress.set_bounds_of(agent, *bounds);
            }
            offer(monitor, "progress", of_agents(), progress);
        }
        let (recent, clock_too) = again();
        let recent = RecentRuns::of(recent, Arc::clone(&self.bus), self.core.tenant().clone(), clock_too);
        if let Some(bounds) = settings.error_rate {
            offer(monitor, "error_rate", of_agents(), ErrorRate::of(recent.clone(), bounds));
        }
        if let Some(bounds) = settings.response_time {
            offer(monitor, "response_time", of_agents(), ResponseTime::of(recent, bounds));
        }
        if let Some(bounds) = settings.pressure {
            let rule = CheckRule { every: settings.pressure_every, ..of_agents() };
            offer(monitor, "pressure", rule, Pressure::of(Arc::clone(runtime), bounds));
        }
        offer(monitor, "readiness", of_all(), Readiness::of(Arc::clone(runtime)));
        if let Some(bound) = settings.models {
            let (runtime, clock) = again();
            offer(monitor, "models", of_all(), ModelBreakers::of(runtime, clock, bound));
        }
        if let (Some(bounds), Some(store)) = (settings.store_latency, &self.store) {
            let check = StoreLatency::of(Arc::clone(store), Arc::clone(clock), bounds);
            offer(monitor, "store_latency", of_all(), check);
        }
        if let Some(bounds) = settings.bus_lag {
            let (runtime, clock) = again();
            offer(monitor, "bus_lag", of_all(), BusLag::of(runtime, clock, bounds));
        }
        if let (Some(bounds), Ok(executor)) = (settings.executor_lag, Handle::try_current()) {
            let check = ExecutorLag::of(executor, Arc::clone(clock), bounds);
            offer(monitor, "executor_lag", of_all(), check);
        }
        if let Some(bounds) = settings.blocked_threads {
            let (runtime, clock) = again();
            // An agent that blocks its thread is at fault, and so is the runtime not well.
            offer(
                monitor,
                "blocked_threads",
                CheckRule::default(),
                BlockedThreads::of(runtime, clock, bounds),
            );
        }
        if let Some((path, bounds)) = &settings.disk_space {
            let rule = CheckRule { every: settings.pressure_every, ..of_all() };
            offer(monitor, "disk_space", rule, DiskSpace::of(path, *bounds));
        }
    }
}

fn offer(monitor: &HealthMonitor, name: &str, rule: CheckRule, check: impl HealthCheck) {
    monitor.offer_check(name, rule, check).expect("it is a name, and the rule has time");
}
