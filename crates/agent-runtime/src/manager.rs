//! `RuntimeManager`, with the constructors that span crates.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use runtime_events::{EventBus, EventBusBuilder};
use runtime_health::{HealthError, HealthMonitor};
use runtime_state::{MemoryStore, OpenError};
use runtime_traits::bus::{Bus, Who};
use runtime_traits::{
    AgentRef, HealthCheck, Recovery, ResourceUsage, Runtime, RuntimeError, StateStore, SystemClock,
    SystemEntropy, Watched,
};
use thiserror::Error;

use crate::builder::Builder;
use crate::health::{HealthSettings, Wiring};
use crate::kinds::kinds;

/// Keeps agents alive: registers, starts, runs, saves and restores them.
///
/// It is [`runtime_core::RuntimeManager`] with the constructors that span crates; everything that it does is there. A
/// clone is the same runtime.
#[derive(Clone, Debug)]
pub struct RuntimeManager {
    core: runtime_core::RuntimeManager,
    bus: Arc<dyn Bus>,
    health: HealthMonitor,
}

/// Why a runtime could not be opened.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be taken over.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl RuntimeManager {
    /// A runtime in memory: fast, and gone with the process.
    ///
    /// # Errors
    /// [`RuntimeError`], which nothing in memory causes.
    pub async fn new() -> Result<Self, RuntimeError> {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    /// The runtime of the store that `uri` names: `redb:PATH`, `sled:PATH`, `memory:`, or `encrypted:KEYS,STORE`.
    /// Goes on with every run that is open in it.
    ///
    /// # Errors
    /// [`StartError`], which names the store and the remedy.
    pub async fn open(uri: &str) -> Result<Self, StartError> {
        Ok(Self::over(runtime_state::open(uri).await?).await?)
    }

    /// Puts a runtime together by hand: store, kinds, durability, clock, limits, and what is kept of its events.
    pub fn builder(store: Arc<dyn StateStore>) -> Builder {
        Builder::new(store)
    }

    /// The runtime's bus, for the tenant that this handle acts for: what happens to agents is told there, and everybody may
    /// publish to topics of their own.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use agent_runtime::RuntimeManager;
    /// use agent_runtime::Event;
    ///
    /// let runtime = RuntimeManager::new().await?;
    /// let mut results = runtime.bus().listen("search_result").await?;
    /// runtime.bus().publish(Event::new("search_result", "three papers")?).await?;
    /// assert_eq!(results.next_event().await.expect("the bus is there").json::<String>()?, "three papers");
    /// # Ok(())
    /// # }
    /// ```
    pub fn bus(&self) -> EventBus {
        EventBus::over(Arc::clone(&self.bus), Who::tenant(self.core.tenant().clone()))
    }

    /// What an agent uses: measured figures, each beside its limit where it has one.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownAgent`].
    pub async fn get_resource_usage(
        &self,
        agent: impl Into<AgentRef>,
    ) -> Result<ResourceUsage, RuntimeError> {
        Ok(self.core.agent(&agent.into()).await?.usage)
    }

    /// The monitor of this runtime and its agents: checks now, what was found, what is tried.
    pub fn health_monitor(&self) -> &HealthMonitor {
        &self.health
    }

    /// Registers a check of all that is monitored: [`HealthMonitor::register_check`].
    ///
    /// # Errors
    /// As there.
    pub fn register_check(&self, name: &str, check: impl HealthCheck) -> Result<(), HealthError> {
        self.health.register_check(name, check)
    }

    /// Registers what is done when a check finds something unhealthy: [`HealthMonitor::register_recovery`].
    ///
    /// # Errors
    /// As there.
    pub fn register_recovery(&self, check: &str, recovery: impl Recovery) -> Result<(), HealthError> {
        self.health.register_recovery(check, recovery)
    }

    /// Looks at an agent from now on, at once and then every `interval`, by the checks that the runtime came with and those that
    /// were registered. It ends when the agent is deleted.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use agent_runtime::{AgentRef, Librarian, Runtime, RuntimeManager, Verdict};
    ///
    /// let runtime = RuntimeManager::new().await?;
    /// # let docs = std::env::temp_dir();
    /// let agent = runtime.register_agent(Librarian::new(docs)).await?;
    /// runtime.register_check("connection", || async { true })?;
    /// runtime.monitor_agent(agent, Duration::from_millis(1)).await?;
    /// while runtime.agent_health(&AgentRef::from(agent)).await?.health.verdict != Verdict::Healthy {
    ///     tokio::task::yield_now().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`HealthError::Runtime`] with [`RuntimeError::UnknownAgent`]; [`HealthError::TooShort`] and [`HealthError::Monitored`] as
    /// for [`HealthMonitor::monitor`].
    pub async fn monitor_agent(
        &self,
        agent: impl Into<AgentRef>,
        interval: Duration,
    ) -> Result<(), HealthError> {
        let agent = self.core.agent(&agent.into()).await?.id;
        self.health.monitor(Watched::Agent(agent), interval)
    }

    /// The runtime, as everything takes it that knows the contract only.
    pub fn as_runtime(&self) -> &dyn Runtime {
        &self.core
    }

    /// The runtime, to share with what knows the contract only.
    pub fn shared(&self) -> Arc<dyn Runtime> {
        Arc::new(self.core.clone())
    }

    /// The runtime's bus, for everybody.
    #[cfg(feature = "http")]
    pub(crate) fn contract_bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.bus)
    }

    async fn over(store: Arc<dyn StateStore>) -> Result<Self, RuntimeError> {
        let builder = Self::builder(store);
        let builder = kinds("").into_iter().fold(builder, Builder::kind);
        Ok(builder.open().await?.into())
    }
}

impl Deref for RuntimeManager {
    type Target = runtime_core::RuntimeManager;

    fn deref(&self) -> &Self::Target {
        &self.core
    }
}

impl From<runtime_core::RuntimeManager> for RuntimeManager {
    fn from(core: runtime_core::RuntimeManager) -> Self {
        // One that was put together without a bus has one that nobody else has.
        let bus =
            core.bus().map_or_else(|| Arc::new(EventBusBuilder::default().in_process()) as _, Arc::clone);
        let own = core.watched_by().map(|source| Arc::clone(source) as Arc<dyn Any + Send + Sync>);
        let own = own.and_then(|source| source.downcast::<HealthMonitor>().ok());
        let health = own.map_or_else(
            || {
                // One that was put together without a monitor is watched from here on.
                let wiring = Wiring {
                    core: core.clone(),
                    bus: Arc::clone(&bus),
                    store: None,
                    clock: Arc::new(SystemClock::default()),
                    entropy: Arc::new(SystemEntropy::default()),
                    settings: HealthSettings::default(),
                };
                wiring.connect()
            },
            Arc::unwrap_or_clone,
        );
        Self { core, bus, health }
    }
}
