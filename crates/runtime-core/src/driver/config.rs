//! What a runtime is made of, and how it is set.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::agent::AgentKind;
use runtime_traits::bus::{Announcer, Bus};
use runtime_traits::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use runtime_traits::meter::{NoMeter, PollMeter};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Pool;
use runtime_traits::recovery::{RecoveryPolicy, StallBounds};
use runtime_traits::resource::ResourceGovernor;
use runtime_traits::runtime::{Breakers, RuntimeError};
use runtime_traits::scrub::Scrub;
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::{Durability, StateStore};

use super::manager::RuntimeManager;
use crate::engine::scrub::ScrubRate;

/// The settings of a runtime. Every one has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What every commit asks of the store; what it gave is in its answer. `None`: the best that the store has.
    pub durability: Option<Durability>,
    /// A run that waits this long gives its memory back and is replayed when it goes on.
    pub park_after: Duration,
    /// A replay that moves no further for this long, with recorded results left, has diverged.
    pub replay_stall: Duration,
    /// An agent that does nothing for this long is no longer kept in memory.
    pub idle_after: Duration,
    /// The most runs that wait for their turn in one session.
    pub max_queued: usize,
    /// The most runs that are accepted and not over.
    pub max_open: u64,
    /// The most mails that wait in a partition's inbox; until some are taken, more are not sent.
    pub max_mail: u32,
    /// The most batches whose events wait for the bus; while it is away and so many wait, further events are left out, and
    /// the runtime's log says so. Runs go on all the same.
    pub max_announced: u64,
    /// The most bytes of an input.
    pub max_input: usize,
    /// How many ended runs are kept. `None`: all of them.
    pub max_ended: Option<usize>,
    /// How long the log of a run is kept after its outcome; then only a stub of it is. `None`: for ever.
    pub keep_runs: Option<Duration>,
    /// How many messages a session keeps when ended runs are let go.
    pub keep_messages: u64,
    /// How the store is looked over for damage while runs are worked. `None`: not at all.
    pub scrub: Option<ScrubRate>,
    /// How long a poll of an agent may last before the agent is named as one that blocks its thread: in the runtime's log, as an
    /// event, and in its status.
    pub long_poll: Duration,
    /// How long a run may stand still in each phase, where its agent declares nothing else.
    pub stall: StallBounds,
    /// How long a run has to live that was in flight when a process died, until it is no longer suspected of that. Nothing else begins
    /// meanwhile, unless it settles a step, waits or ends before.
    pub clear_after: Duration,
    /// Nothing is worked: runs stay where they are, and none is accepted. Everything else is done as ever, so that
    /// somebody can look, decide or cancel without setting anything off.
    pub at_rest: bool,
}

/// Puts a runtime together.
#[derive(Debug)]
pub struct Builder {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) kinds: Vec<Arc<dyn AgentKind>>,
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) tenant: Tenant,
    pub(super) pool: Pool,
    pub(super) snapshots: Option<Arc<dyn Snapshots>>,
    pub(super) scrub: Option<Arc<dyn Scrub>>,
    pub(super) bus: Option<(Arc<dyn Bus>, Arc<dyn Announcer>)>,
    pub(super) governor: Option<Arc<dyn ResourceGovernor>>,
    pub(super) meter: Arc<dyn PollMeter>,
    pub(super) recovery: Option<Arc<dyn RecoveryPolicy>>,
    pub(super) breakers: Option<Arc<dyn Breakers>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            durability: None,
            park_after: Duration::from_secs(5),
            replay_stall: Duration::from_secs(2),
            idle_after: Duration::from_secs(60),
            max_queued: 1_000,
            max_open: 100_000,
            max_mail: 65_536,
            max_announced: 1_000_000,
            max_input: 16 * 1024 * 1024,
            max_ended: None,
            keep_runs: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            keep_messages: 256,
            scrub: Some(ScrubRate::default()),
            long_poll: Duration::from_secs(1),
            stall: StallBounds::default(),
            clear_after: Duration::from_secs(10),
            at_rest: false,
        }
    }
}

impl Builder {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        // In memory nothing else bounds what ended runs take; on disk they are kept.
        let max_ended = (store.profile().best == Durability::Memory).then_some(10_000);
        Self {
            store,
            kinds: Vec::new(),
            // What goes by number needs no cells to go by age.
            config: Config {
                keep_runs: Config::default().keep_runs.filter(|_| max_ended.is_none()),
                max_ended,
                ..Config::default()
            },
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy::default()),
            tenant: Tenant::default(),
            pool: Pool::MAIN,
            snapshots: None,
            scrub: None,
            bus: None,
            governor: None,
            meter: Arc::new(NoMeter),
            recovery: None,
            breakers: None,
        }
    }

    /// Hosts a kind: agents whose spec names it are built by it.
    #[must_use]
    pub fn kind(mut self, kind: Arc<dyn AgentKind>) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Makes and restores snapshots with this, over the same store. Without it there are none.
    #[must_use]
    pub fn snapshots(mut self, snapshots: Arc<dyn Snapshots>) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// Looks for damage with this, over the same store, as [`Config::scrub`] says. Without it nobody looks.
    #[must_use]
    pub fn scrub(mut self, scrub: Arc<dyn Scrub>) -> Self {
        self.scrub = Some(scrub);
        self
    }

    /// Tells this bus what happens to agents, in the words of `announcer`. What the bus keeps is told once, whatever crashes:
    /// it rides in the batch of its cause, and waits in the store as long as the bus is away.
    #[must_use]
    pub fn bus(mut self, bus: Arc<dyn Bus>, announcer: Arc<dyn Announcer>) -> Self {
        self.bus = Some((bus, announcer));
        self
    }

    /// Holds agents to their limits with this. Without it nothing is counted, and an agent with limits on what its calls take
    /// is not registered.
    #[must_use]
    pub fn governor(mut self, governor: Arc<dyn ResourceGovernor>) -> Self {
        self.governor = Some(governor);
        self
    }

    /// Measures with this what agents take of the process, and holds what is limited of it. Without it nothing is measured.
    #[must_use]
    pub fn meter(mut self, meter: Arc<dyn PollMeter>) -> Self {
        self.meter = meter;
        self
    }

    /// Asks this what is done about a failure of a run whose agent declares how it recovers. Without it no agent may declare that, and a
    /// failure ends its run.
    #[must_use]
    pub fn recovery(mut self, policy: Arc<dyn RecoveryPolicy>) -> Self {
        self.recovery = Some(policy);
        self
    }

    /// Shows in its status how these breakers stand.
    #[must_use]
    pub fn breakers(mut self, breakers: Arc<dyn Breakers>) -> Self {
        self.breakers = Some(breakers);
        self
    }

    /// Changes the settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Acts for this tenant instead of `default`.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }

    /// Asks this of every commit.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.config.durability = Some(durability);
        self
    }

    /// Reads this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws from this entropy.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Takes the store over and goes on with every run that is open in it.
    ///
    /// # Errors
    /// What kept the store from being read or claimed.
    pub async fn open(self) -> Result<RuntimeManager, RuntimeError> {
        RuntimeManager::open(self).await
    }
}
