//! What a monitor is made of.

use std::fmt;
use std::sync::{Arc, Mutex};

use runtime_traits::health::HealthTurn;
use runtime_traits::{Clock, Entropy, Runtime, SystemClock, SystemEntropy};
use tokio::sync::Notify;

use super::own_thread::OwnThread;
use super::watch::Around;
use super::{HealthMonitor, Owner, Shared};

/// Builds a [`HealthMonitor`].
pub struct HealthMonitorBuilder {
    around: Around,
    runtime: Option<Arc<dyn Runtime>>,
    executor: Option<OwnThread>,
}

impl Default for HealthMonitorBuilder {
    fn default() -> Self {
        let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy::default()));
        Self { around: Around { clock, entropy, told: None }, runtime: None, executor: None }
    }
}

impl HealthMonitorBuilder {
    /// Tells the time; otherwise the system's clock does.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.around.clock = clock;
        self
    }

    /// Draws pauses; otherwise the system's entropy does.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.around.entropy = entropy;
        self
    }

    /// Knows which agents there are: others are refused.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Looks on a thread of its own, so that it goes on while every other one is blocked. Otherwise, and where the system gives it
    /// none, it looks on the executor on which something is monitored first.
    #[must_use]
    pub fn on_own_thread(mut self) -> Self {
        self.executor = Some(OwnThread::default());
        self
    }

    /// Is told when what is shown of something turns, by whoever looked; it should not take long.
    #[must_use]
    pub fn on_turn(mut self, told: impl Fn(&HealthTurn) + Send + Sync + 'static) -> Self {
        self.around.told = Some(Box::new(told));
        self
    }

    /// The monitor. It watches nothing yet.
    pub fn build(self) -> HealthMonitor {
        let shared = Shared {
            around: self.around,
            checks: Mutex::default(),
            watches: Mutex::default(),
            arrivals: Mutex::default(),
            bell: Notify::new(),
            newcomers: Mutex::default(),
        };
        let owner = Owner {
            shared: Arc::new(shared),
            runtime: self.runtime,
            keeper: Mutex::default(),
            executor: self.executor,
        };
        HealthMonitor { owner: Arc::new(owner) }
    }
}

impl fmt::Debug for HealthMonitorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthMonitorBuilder").finish_non_exhaustive()
    }
}
