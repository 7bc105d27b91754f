//! What a runtime is made of, its bus with it.

use std::sync::Arc;

use runtime_core::Config;
use runtime_events::catalogue::Announcements;
use runtime_events::{EventBusBuilder, InProcessBus, Retention};
use runtime_health::DeclaredRecovery;
use runtime_resources::AgentMeter;
use runtime_resources::ResourceManager;
use runtime_state::{Scrubber, StateManager};
use runtime_traits::agent::AgentKind;
use runtime_traits::bus::{Bus, BusError, Pattern};
use runtime_traits::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use runtime_traits::meter::PollMeter;
use runtime_traits::recovery::RecoveryPolicy;
use runtime_traits::scrub::Scrub;
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::{Durability, StateStore};
use runtime_traits::{Pool, ResourceGovernor, RuntimeError, Tenant};

use crate::guards::Guards;
use crate::health::{HealthSettings, Wiring};

/// Puts a runtime together: [`runtime_core::Builder`], with snapshots, an eye on damage, a bus over the same store, and a meter of
/// what agents take of the process.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use agent_runtime::events::Retention;
/// use agent_runtime::{MemoryStore, RuntimeManager};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = RuntimeManager::builder(Arc::new(MemoryStore::new()));
/// // What happens to agents is kept, for durable subscriptions.
/// let builder = builder.keep("agents/**", Retention::default())?;
/// let runtime: RuntimeManager = builder.open().await?.into();
/// let following = runtime.bus().durable("agents/docs/run.completed", "mailer")?.open().await?;
/// # drop(following);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    core: runtime_core::Builder,
    store: Arc<dyn StateStore>,
    durability: Durability,
    bus: WhichBus,
    clock: Option<Arc<dyn Clock>>,
    entropy: Option<Arc<dyn Entropy>>,
    governor: Arc<dyn ResourceGovernor>,
    guards: Guards,
    tenant: Tenant,
    health: HealthSettings,
}

/// Where the events of a runtime go.
#[derive(Debug)]
enum WhichBus {
    /// Within the process, what is kept in the runtime's store.
    Own(EventBusBuilder),
    /// Where somebody else made it.
    Given(Arc<dyn Bus>),
}

impl Builder {
    pub(crate) fn new(store: Arc<dyn StateStore>) -> Self {
        let best = store.profile().best;
        let snapshots = Arc::new(StateManager::new(Arc::clone(&store)));
        let mut core = runtime_core::RuntimeManager::builder(Arc::clone(&store)).snapshots(snapshots);
        core = core.meter(Arc::new(AgentMeter::default())).recovery(Arc::new(DeclaredRecovery));
        // What is in memory has no disk under it.
        if best > Durability::Memory {
            core = core.scrub(Arc::new(Scrubber::new(Arc::clone(&store))));
        }
        let bus = WhichBus::Own(EventBusBuilder::default());
        let governor = Arc::new(ResourceManager::default());
        let (guards, tenant) = (Guards::of_process(), Tenant::default());
        let health = HealthSettings::default();
        Self {
            core,
            store,
            durability: best,
            bus,
            clock: None,
            entropy: None,
            governor,
            guards,
            tenant,
            health,
        }
    }

    /// Keeps the events of these topics in the runtime's store, for durable subscriptions. Of several rules about a topic the
    /// first one holds.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad pattern; [`BusError::Malformed`] when the bus was given, which has its own rules.
    pub fn keep<P>(mut self, topics: P, retention: Retention) -> Result<Self, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        self.bus = match self.bus {
            WhichBus::Own(bus) => WhichBus::Own(bus.keep(topics, retention)?),
            WhichBus::Given(_) => {
                return Err(BusError::malformed("the rules of a bus are set where it is made"));
            }
        };
        Ok(self)
    }

    /// Keeps what these webhooks need in the runtime's store. What [`keep`](Self::keep) says before this holds first.
    ///
    /// # Errors
    /// [`BusError::Malformed`] when the bus was given, which has its own rules: those of
    /// [`topic_rules`](crate::webhooks::topic_rules) belong to them.
    #[cfg(feature = "http")]
    pub fn keep_for_webhooks<'a>(
        mut self,
        webhooks: impl IntoIterator<Item = &'a crate::webhooks::Webhook>,
    ) -> Result<Self, BusError> {
        for rule in crate::webhooks::topic_rules(webhooks) {
            let keep = rule.keep.unwrap_or_default();
            self = self.keep(rule.pattern, keep)?;
        }
        Ok(self)
    }

    /// Sets the bus over the runtime's store: limits, rights, rules. What was set of it before does not hold any more.
    #[must_use]
    pub fn events(mut self, bus: EventBusBuilder) -> Self {
        self.bus = WhichBus::Own(bus);
        self
    }

    /// Takes this bus, one over Redis say, instead of one over the runtime's store.
    #[must_use]
    pub fn bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = WhichBus::Given(bus);
        self
    }

    /// Holds agents to their limits with this: a [`ResourceManager`] that knows prices, say. Without it there is one that knows
    /// none.
    #[must_use]
    pub fn governor(mut self, governor: Arc<dyn ResourceGovernor>) -> Self {
        self.governor = governor;
        self
    }

    /// Shows in `status` how these guards stand, and tells the bus when one changes. Without it they are those of the process, which
    /// guard what [`kinds`](crate::kinds) makes.
    #[must_use]
    pub fn guards(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// Sets the checks that the runtime's monitor has. It watches what it is asked to:
    /// [`RuntimeManager::monitor_agent`](crate::RuntimeManager::monitor_agent).
    #[must_use]
    pub fn health(mut self, health: HealthSettings) -> Self {
        self.health = health;
        self
    }

    /// Hosts a kind: agents whose spec names it are built by it.
    #[must_use]
    pub fn kind(self, kind: Arc<dyn AgentKind>) -> Self {
        self.with(|core| core.kind(kind))
    }

    /// Makes and restores snapshots with this instead of [`StateManager`].
    #[must_use]
    pub fn snapshots(self, snapshots: Arc<dyn Snapshots>) -> Self {
        self.with(|core| core.snapshots(snapshots))
    }

    /// Looks for damage with this instead of [`Scrubber`].
    #[must_use]
    pub fn scrub(self, scrub: Arc<dyn Scrub>) -> Self {
        self.with(|core| core.scrub(scrub))
    }

    /// Measures with this instead of [`AgentMeter`].
    #[must_use]
    pub fn meter(self, meter: Arc<dyn PollMeter>) -> Self {
        self.with(|core| core.meter(meter))
    }

    /// Decides with this what is done about failures, instead of by what each agent declares.
    #[must_use]
    pub fn recovery(self, policy: Arc<dyn RecoveryPolicy>) -> Self {
        self.with(|core| core.recovery(policy))
    }

    /// Changes the settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        let mut durability = None;
        self.core = self.core.configure(|config| {
            change(config);
            durability = config.durability;
        });
        self.durability = durability.unwrap_or(self.durability);
        self
    }

    /// Acts for this tenant instead of `default`.
    #[must_use]
    pub fn tenant(self, tenant: Tenant) -> Self {
        Self { tenant: tenant.clone(), ..self }.with(|core| core.tenant(tenant))
    }

    /// Asks this of every commit.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }.with(|core| core.durability(durability))
    }

    /// Reads this clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(Arc::clone(&clock)), ..self }.with(|core| core.clock(clock))
    }

    /// Draws from this entropy.
    #[must_use]
    pub fn entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy: Some(Arc::clone(&entropy)), ..self }.with(|core| core.entropy(entropy))
    }

    /// Takes the store over and goes on with every run that is open in it.
    ///
    /// # Errors
    /// What kept the store from being read or claimed.
    pub async fn open(self) -> Result<runtime_core::RuntimeManager, RuntimeError> {
        let bus = match self.bus {
            WhichBus::Given(bus) => bus,
            WhichBus::Own(mut bus) => {
                if let Some(clock) = &self.clock {
                    bus = bus.clock(Arc::clone(clock));
                }
                if let Some(entropy) = &self.entropy {
                    bus = bus.entropy(Arc::clone(entropy));
                }
                let store = Arc::clone(&self.store);
                let bus: InProcessBus = bus.in_process_over(store, Pool::MAIN, self.durability);
                Arc::new(bus) as Arc<dyn Bus>
            }
        };
        self.guards.tell(&bus, self.tenant);
        let core = self.core.breakers(Arc::new(self.guards)).governor(self.governor);
        let core = core.bus(Arc::clone(&bus), Arc::new(Announcements::default())).open().await?;
        let wiring = Wiring {
            core: core.clone(),
            bus,
            store: Some(self.store),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::default())),
            entropy: self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy::default())),
            settings: self.health,
        };
        // The runtime keeps it.
        wiring.connect();
        Ok(core)
    }

    fn with(mut self, change: impl FnOnce(runtime_core::Builder) -> runtime_core::Builder) -> Self {
        self.core = change(self.core);
        self
    }
}
