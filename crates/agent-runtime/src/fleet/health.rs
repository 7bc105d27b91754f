//! What a fleet file says of health, and watching as it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use runtime_health::Phase;
use runtime_health::checks::{DiskBounds, PhaseBounds};
use runtime_traits::health::Watched;
use runtime_traits::{Name, Runtime, RuntimeError};

use super::Fleet;
use crate::RuntimeManager;
use crate::health::HealthSettings;

/// How the agents of a fleet, and the runtime itself, are watched while somebody serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetHealth {
    /// How often each is looked at.
    pub interval: Duration,
    /// The checks.
    pub settings: HealthSettings,
    /// How much room there has to be on the store's disk; `None`: nobody looks.
    pub disk_space: Option<DiskBounds>,
}

/// How an agent of the file is watched, where that differs from the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentHealth {
    /// It is not.
    pub off: bool,
    /// How often it is looked at.
    pub interval: Option<Duration>,
    /// How long its runs may stand in some phases.
    pub bounds: BTreeMap<Phase, Duration>,
}

impl Default for FleetHealth {
    /// Every 10 s, with the default checks.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            settings: HealthSettings::default(),
            disk_space: Some(DiskBounds::default()),
        }
    }
}

impl AgentHealth {
    fn bounds(&self, of_all: PhaseBounds) -> PhaseBounds {
        self.bounds.iter().fold(of_all, |bounds, (phase, bound)| bounds.with(*phase, *bound))
    }
}

impl Fleet {
    /// The checks that the file asks for; `store` is the store's path, if it has one.
    pub fn health_settings(&self, store: Option<&Path>) -> HealthSettings {
        let health = self.health.clone().unwrap_or_default();
        let mut settings = health.settings;
        if let Some(of_all) = settings.progress {
            let own = self.agents.iter().filter(|agent| !agent.health.bounds.is_empty());
            settings.of_agents =
                own.map(|agent| (agent.spec.name.clone(), agent.health.bounds(of_all))).collect();
        }
        settings.disk_space = store.map(Path::to_owned).zip(health.disk_space);
        settings
    }

    /// Watches the runtime and all of its agents as the file says, also those that are registered later. What is watched already
    /// stays as it is.
    ///
    /// # Errors
    /// What kept the runtime from listing its agents.
    pub async fn watch(&self, runtime: &RuntimeManager) -> Result<(), RuntimeError> {
        let Some(health) = &self.health else { return Ok(()) };
        let monitor = runtime.health_monitor();
        // What is watched already stays so, and beyond the most nothing more is watched: neither keeps anybody from serving.
        let _ = monitor.monitor(Watched::Runtime, health.interval);
        let mut after: Option<String> = None;
        loop {
            let page = runtime.agents(after.as_deref(), 100).await?;
            for status in page.items {
                let own = self.health_of(&status.name);
                let interval = own.and_then(|own| own.interval).unwrap_or(health.interval);
                if own.is_none_or(|own| !own.off) {
                    let _ = monitor.monitor(Watched::Agent(status.id), interval);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let _ = monitor.monitor_newcomers(Some(health.interval));
        Ok(())
    }

    fn health_of(&self, name: &Name) -> Option<&AgentHealth> {
        let named = self.agents.iter().find(|agent| agent.spec.name.folded() == name.folded());
        named.map(|agent| &agent.health)
    }
}
