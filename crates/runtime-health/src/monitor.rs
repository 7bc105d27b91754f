//! [`HealthMonitor`]: looks at what is watched, shows how it is, and does what was registered for it.

mod builder;
mod checks;
mod error;
mod keeper;
mod own_thread;
mod rule;
mod seen;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_traits::health::{
    CheckReport, Health, HealthCheck, HealthReport, HealthSource, Recovery, Watched,
};
use runtime_traits::name::Name;
use runtime_traits::{AgentId, AgentRef, Runtime};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::policy::RecoveryRule;
pub use builder::HealthMonitorBuilder;
use checks::{Checks, Registered};
pub use error::HealthError;
use own_thread::OwnThread;
pub use rule::{CheckRule, Only};
use seen::Seen;
use watch::{Around, How, Watch, look_once};

/// The most that is watched at once.
const MOST_WATCHED: usize = 100_000;

/// Looks at what is watched, shows how it is, and does what was registered for it.
///
/// A cheap handle: clones are the same monitor. When the last one is dropped, nothing is watched any more.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
/// use std::time::Duration;
///
/// use runtime_health::{HealthMonitor, Name, Verdict, Watched};
///
/// # runtime_testkit::block_on(async {
/// let connected = Arc::new(AtomicBool::new(false));
/// let health = HealthMonitor::default();
///
/// let seen = Arc::clone(&connected);
/// health.register_check("connection", move || {
///     let seen = Arc::clone(&seen);
///     async move { seen.load(SeqCst) }
/// })?;
/// health.register_recovery("connection", move || {
///     let connected = Arc::clone(&connected);
///     async move { connected.store(true, SeqCst) }
/// })?;
///
/// let mail = Watched::Other(Name::new("mail")?);
/// assert_eq!(health.check_now(&mail, "connection").await?.health.verdict, Verdict::Unhealthy);
/// health.monitor(mail, Duration::from_secs(60))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct HealthMonitor {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    runtime: Option<Arc<dyn Runtime>>,
    /// The task that looks; it ends with this.
    keeper: Mutex<JoinSet<()>>,
    /// Where it looks, if that is a thread of its own.
    executor: Option<OwnThread>,
}

/// What the monitor's handles and its task share.
struct Shared {
    around: Around,
    checks: Mutex<Checks>,
    watches: Mutex<BTreeMap<Watched, Arc<Watch>>>,
    /// Those that the keeper does not know yet.
    arrivals: Mutex<Vec<Arc<Watch>>>,
    bell: Notify,
    /// How often it is looked at those that come to be.
    newcomers: Mutex<Option<Duration>>,
}

impl HealthMonitor {
    /// A monitor with other parts than the system's clock: of a runtime's agents, say, or one that tells somebody.
    pub fn builder() -> HealthMonitorBuilder {
        HealthMonitorBuilder::default()
    }

    /// Registers a check of all that is monitored, by the default [`CheckRule`].
    ///
    /// A check or a recovery that blocks its thread blocks a thread of the executor: use `spawn_blocking` in it. What is not looked at
    /// because of that is soon shown as unknown.
    ///
    /// # Errors
    /// [`HealthError::Name`], [`HealthError::CheckTaken`].
    pub fn register_check(&self, name: &str, check: impl HealthCheck) -> Result<(), HealthError> {
        self.register_check_with(name, CheckRule::default(), check)
    }

    /// Registers a check.
    ///
    /// # Errors
    /// [`HealthError::Name`], [`HealthError::CheckTaken`], [`HealthError::TooShort`].
    pub fn register_check_with(
        &self,
        name: &str,
        rule: CheckRule,
        check: impl HealthCheck,
    ) -> Result<(), HealthError> {
        lock(&self.owner.shared.checks).add(name, rule, Arc::new(check))
    }

    /// Offers a check that gives way to one that is registered under the same name, before or later.
    ///
    /// # Errors
    /// [`HealthError::Name`], [`HealthError::TooShort`].
    pub fn offer_check(
        &self,
        name: &str,
        rule: CheckRule,
        check: impl HealthCheck,
    ) -> Result<(), HealthError> {
        lock(&self.owner.shared.checks).offer(name, rule, Arc::new(check))
    }

    /// Registers what is done when a check finds something unhealthy, by the default [`RecoveryRule`]: twice with a pause, and
    /// then no more until it was healthy in between or a person calls [`release`](Self::release).
    ///
    /// # Errors
    /// [`HealthError::UnknownCheck`], [`HealthError::RecoveryTaken`].
    pub fn register_recovery(&self, check: &str, recovery: impl Recovery) -> Result<(), HealthError> {
        self.register_recovery_with(check, RecoveryRule::default(), recovery)
    }

    /// Registers what is done when a check finds something unhealthy: how often and after which pauses says the rule.
    ///
    /// # Errors
    /// [`HealthError::UnknownCheck`], [`HealthError::RecoveryTaken`].
    pub fn register_recovery_with(
        &self,
        check: &str,
        rule: RecoveryRule,
        recovery: impl Recovery,
    ) -> Result<(), HealthError> {
        lock(&self.owner.shared.checks).recover(check, rule, Arc::new(recovery))
    }

    /// Looks at an agent from now on, at once and then every `interval`.
    ///
    /// # Errors
    /// As [`monitor`](Self::monitor); [`HealthError::Runtime`] when the monitor has a runtime and that does not know the agent.
    pub async fn monitor_agent(&self, agent: AgentId, interval: Duration) -> Result<(), HealthError> {
        if let Some(runtime) = &self.owner.runtime {
            runtime.agent(&AgentRef::from(agent)).await?;
        }
        self.monitor(Watched::Agent(agent), interval)
    }

    /// Looks at something from now on, at once and then every `interval`, by all checks that look at it, also by those that
    /// are registered later.
    ///
    /// # Errors
    /// [`HealthError::TooShort`], [`HealthError::Monitored`], [`HealthError::Full`], [`HealthError::NoExecutor`].
    pub fn monitor(&self, watched: Watched, interval: Duration) -> Result<(), HealthError> {
        if interval.as_millis() == 0 {
            return Err(HealthError::TooShort { what: "the interval" });
        }
        let own = self.owner.executor.as_ref().and_then(OwnThread::handle).cloned();
        let executor = own.map_or_else(Handle::try_current, Ok).map_err(|_| HealthError::NoExecutor)?;
        let shared = &self.owner.shared;
        let watch = {
            let mut watches = lock(&shared.watches);
            if watches.contains_key(&watched) {
                return Err(HealthError::Monitored { watched });
            }
            if watches.len() >= MOST_WATCHED {
                return Err(HealthError::Full { most: MOST_WATCHED });
            }
            let watch = Arc::new(Watch::new(watched.clone(), interval, shared.around.clock.now()));
            watches.insert(watched, Arc::clone(&watch));
            watch
        };
        let mut keeper = lock(&self.owner.keeper);
        // One whose executor ended is over, and whoever comes after it knows nothing of what it kept.
        while keeper.try_join_next().is_some() {}
        if keeper.is_empty() {
            *lock(&shared.arrivals) = lock(&shared.watches).values().cloned().collect();
            keeper.spawn_on(keeper::keep(Arc::clone(shared)), &executor);
        } else {
            lock(&shared.arrivals).push(watch);
        }
        shared.bell.notify_one();
        Ok(())
    }

    /// Looks from now on, every `interval`, at whatever its runtime says has come to be: agents that are registered or restored
    /// later. `None`: at nothing that nobody asked for.
    ///
    /// # Errors
    /// [`HealthError::TooShort`].
    pub fn monitor_newcomers(&self, interval: Option<Duration>) -> Result<(), HealthError> {
        if interval.is_some_and(|interval| interval.as_millis() == 0) {
            return Err(HealthError::TooShort { what: "the interval" });
        }
        *lock(&self.owner.shared.newcomers) = interval;
        Ok(())
    }

    /// Looks at something no more; a look or a recovery under way is dropped. Whether it was watched.
    pub fn stop_monitoring(&self, watched: &Watched) -> bool {
        let watch = lock(&self.owner.shared.watches).remove(watched);
        watch.is_some_and(|watch| {
            watch.stopped.close();
            true
        })
    }

    /// Looks at something now, by one check. If it is monitored, what is found counts like any look, and what is registered is
    /// done about it.
    ///
    /// # Errors
    /// [`HealthError::UnknownCheck`], [`HealthError::LooksElsewhere`].
    pub async fn check_now(&self, watched: &Watched, check: &str) -> Result<CheckReport, HealthError> {
        let shared = &self.owner.shared;
        let (name, registered) = lock(&shared.checks).one(check, watched)?;
        let watch = lock(&shared.watches).get(watched).cloned();
        if let Some(watch) = watch {
            for due in watch.look(&shared.around, vec![(name.clone(), registered)], How::Now).await {
                due.carry_out(&shared.around).await;
            }
            return Ok(watch.report_of(&name).expect("it was looked at just now"));
        }
        let mut seen = Seen::new(once(), shared.around.clock.now());
        seen.look(look_once(&shared.around, watched, &registered).await);
        Ok(seen.report(check))
    }

    /// How something is that is monitored.
    ///
    /// # Errors
    /// [`HealthError::NotMonitored`].
    pub fn health(&self, watched: &Watched) -> Result<HealthReport, HealthError> {
        let now = self.owner.shared.around.clock.now();
        self.watch(watched).map(|watch| watch.report(now))
    }

    /// How all is that is monitored.
    pub fn all(&self) -> Vec<HealthReport> {
        let watches: Vec<_> = lock(&self.owner.shared.watches).values().cloned().collect();
        let now = self.owner.shared.around.clock.now();
        watches.iter().map(|watch| watch.report(now)).collect()
    }

    /// The worst of all that is monitored, named in the reason.
    pub fn overall(&self) -> Health {
        self.worst().unwrap_or_else(|| Health::worst_of([]))
    }

    /// A person says that the recovery of a check may be tried again. Whether it was in quarantine.
    ///
    /// # Errors
    /// [`HealthError::NotMonitored`], [`HealthError::UnknownCheck`], [`HealthError::LooksElsewhere`].
    pub fn release(&self, watched: &Watched, check: &str) -> Result<bool, HealthError> {
        let (name, _) = lock(&self.owner.shared.checks).one(check, watched)?;
        Ok(self.watch(watched)?.release(&name))
    }

    /// Watches nothing any more; returns when nothing is looked at.
    pub async fn shutdown(&self) {
        lock(&self.owner.shared.watches).clear();
        let mut keeper = std::mem::take(&mut *lock(&self.owner.keeper));
        keeper.shutdown().await;
    }

    fn watch(&self, watched: &Watched) -> Result<Arc<Watch>, HealthError> {
        let watch = lock(&self.owner.shared.watches).get(watched).cloned();
        watch.ok_or_else(|| HealthError::NotMonitored { watched: watched.clone() })
    }
}

impl Default for HealthMonitor {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl Shared {
    /// What came since it was last asked.
    fn arrived(&self) -> Vec<Arc<Watch>> {
        std::mem::take(&mut *lock(&self.arrivals))
    }

    fn checks_of(&self, watched: &Watched) -> Vec<(Name, Registered)> {
        lock(&self.checks).of(watched)
    }
}

impl fmt::Debug for HealthMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = lock(&self.owner.shared.watches).len();
        f.debug_struct("HealthMonitor").field("watched", &watched).finish_non_exhaustive()
    }
}

/// One look is enough to show what it found.
fn once() -> crate::hysteresis::Thresholds {
    let one = std::num::NonZeroU32::MIN;
    crate::hysteresis::Thresholds { bad: one, good: one }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is written under these locks is whole after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
