//! `RuntimeManager`: the runtime of one process.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use runtime_traits::agent::{Agent, AgentKind, AgentSpec};
use runtime_traits::bus::Bus;
use runtime_traits::id::{AgentId, NodeId, RunId, StateId};
use runtime_traits::log::AttemptEnding;
use runtime_traits::meter::PollMeter;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RunRequest, RunResult, Runtime, RuntimeError};
use runtime_traits::store::StateStore;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agent_locks::AgentLocks;
use super::announce::Announcing;
use super::commit::Backlog;
use super::config::Builder;
use super::control::Control;
use super::counters::DamagedBooks;
use super::govern::Governing;
use super::inner::{Inner, OwnedPartition, PartitionState};
use super::polls::Polls;
use super::post::Post;
use super::recovering::Recovering;
use super::run_slot::{RunSlot, lock};
use super::scrub::Scrubbing;
use super::sweep::Ended;
use super::ticks::Ticks;
use super::trials::Trials;
use super::wake::Timers;
use super::watched::Alive;

/// How long tasks may take to end after the runtime told them to.
const TASKS_END_WITHIN: Duration = Duration::from_secs(5);

/// The runtime of one process: it owns the store's partitions and works the runs.
///
/// A cheap handle, for one tenant. It implements [`Runtime`]; the inherent methods are the same under the names of
/// everyday use.
#[derive(Clone, Debug)]
pub struct RuntimeManager {
    pub(super) inner: Arc<Inner>,
    pub(super) tenant: Tenant,
    pub(super) alive: Arc<Alive>,
}

impl RuntimeManager {
    /// Puts a runtime together over a store.
    pub fn builder(store: Arc<dyn StateStore>) -> Builder {
        Builder::new(store)
    }

    pub(super) async fn open(builder: Builder) -> Result<Self, RuntimeError> {
        let Builder {
            store,
            kinds,
            config,
            clock,
            entropy,
            tenant,
            pool,
            snapshots,
            scrub,
            bus,
            governor,
            meter,
            recovery,
            breakers,
        } = builder;
        let (announcing, heard) = bus.map(|(bus, announcer)| Announcing::new(bus, announcer)).unzip();
        let mut prefix = [0; 8];
        entropy.fill(&mut prefix);
        let partitions = (0..Partition::COUNT).map(|index| OwnedPartition {
            partition: Partition { pool, index },
            owner: OnceCell::new(),
            state: Mutex::new(PartitionState::default()),
            admin: AgentLocks::default(),
            names: tokio::sync::RwLock::new(()),
            marks: tokio::sync::RwLock::new(()),
        });
        let inner = Arc::new(Inner {
            durability: config.durability.unwrap_or(store.profile().best),
            node: NodeId::mint(clock.as_ref(), entropy.as_ref()),
            since: clock.now(),
            kinds: RwLock::new(kinds.into_iter().map(|kind| (kind.name(), kind)).collect()),
            attached: Mutex::new(HashMap::new()),
            names: Mutex::new(HashMap::new()),
            partitions: partitions.collect(),
            tasks: TaskTracker::new(),
            control: Control::begin(),
            ending: CancellationToken::new(),
            draining: AtomicBool::new(false),
            open_runs: AtomicU64::new(0),
            last_progress: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            batch_prefix: u64::from_le_bytes(prefix),
            store_failed: Mutex::new(None),
            backlog: Mutex::new(Backlog::default()),
            timers: Timers::default(),
            ticks: Ticks::default(),
            post: Post::default(),
            ended: Mutex::new(Ended::default()),
            sweep: Notify::new(),
            snapshots,
            sweeping: Mutex::default(),
            moving_mail: tokio::sync::RwLock::new(()),
            warned: Mutex::new(HashSet::new()),
            // Whoever only looks needs no other eyes.
            scrub: scrub
                .filter(|_| !config.at_rest)
                .map(|scrub| Arc::new(Scrubbing::new(scrub, config.scrub))),
            announcing: announcing.map(Arc::new),
            governing: governor.map(Governing::new),
            damaged_books: DamagedBooks::default(),
            meter,
            recovering: recovery.map(Recovering::new),
            breakers,
            polls: Polls::default(),
            trials: Trials::default(),
            store,
            clock,
            entropy,
            config,
            pool,
        });
        if let Err(error) = inner.recover().await {
            // Runs that were started already are parked again.
            inner.shutdown(Duration::ZERO).await?;
            return Err(error);
        }
        inner.keep_going("waking runs", Inner::keep_time);
        inner.keep_going("doing what fell due", Inner::keep_due);
        inner.keep_going("letting ended runs go", Inner::keep_sweeping);
        inner.keep_going("watching polls", Inner::keep_watch);
        inner.keep_going("trying suspects", Inner::keep_trials);
        if let Some(scrub) = inner.scrub.clone() {
            // Beside the runs, not on the control thread: it hashes what it reads.
            inner.tasks.spawn(scrub.keep_looking(Arc::clone(&inner.clock), inner.ending.clone()));
        }
        if !inner.config.at_rest {
            inner.keep_going("finding schedules", Inner::keep_finding_ticks);
            inner.keep_going("firing schedules", Inner::keep_ticks);
            inner.spawn_control(Arc::clone(&inner).keep_post());
            inner.spawn_work(Arc::clone(&inner).keep_couriers());
        }
        if let Some(heard) = heard {
            inner.spawn_work(Arc::clone(&inner).keep_telling(heard));
        }
        let alive = Alive::new(inner.ending.clone());
        Ok(Self { inner, tenant, alive })
    }

    /// The same runtime, acting for another tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: Tenant) -> Self {
        Self { inner: Arc::clone(&self.inner), tenant, alive: Arc::clone(&self.alive) }
    }

    /// Whom this handle acts for.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The bus that the runtime was put together with. Whoever has it may act for anybody.
    pub fn bus(&self) -> Option<&Arc<dyn Bus>> {
        self.inner.announcing.as_ref().map(|announcing| &announcing.bus)
    }

    /// What measures the agents of this process, and holds what is limited of it.
    pub fn meter(&self) -> &Arc<dyn PollMeter> {
        &self.inner.meter
    }

    /// Hosts a kind from now on.
    pub fn register_kind(&self, kind: Arc<dyn AgentKind>) {
        let mut kinds = self.inner.kinds.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        kinds.insert(kind.name(), kind);
    }

    /// Registers an agent, stopped. A name that the store has attaches this value to the stored agent.
    ///
    /// # Errors
    /// [`RuntimeError::NameTaken`] when an agent of another kind has the name.
    pub async fn register_agent(&self, agent: impl Agent) -> Result<AgentId, RuntimeError> {
        let spec = agent.spec();
        let (inner, tenant) = (Arc::clone(&self.inner), self.tenant.clone());
        let register = async move { inner.register(&tenant, &spec, Some(Arc::new(agent))).await };
        let registered = self.inner.whole(register).await;
        registered.iter().for_each(|agent| self.may_be_watched(*agent));
        registered
    }

    /// Registers an agent by its declaration, stopped; its kind has to be hosted.
    ///
    /// # Errors
    /// As [`Runtime::register`].
    pub async fn register_spec(&self, spec: AgentSpec) -> Result<AgentId, RuntimeError> {
        self.register(spec).await
    }

    /// Lets an agent take runs.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn start_agent(&self, agent: impl Into<AgentRef>) -> Result<(), RuntimeError> {
        self.start(&agent.into()).await
    }

    /// Takes no more runs for an agent.
    ///
    /// # Errors
    /// As [`Runtime::stop`].
    pub async fn stop_agent(&self, agent: impl Into<AgentRef>) -> Result<(), RuntimeError> {
        self.stop(&agent.into()).await
    }

    /// Lets no step of an agent begin.
    ///
    /// # Errors
    /// As [`Runtime::pause`].
    pub async fn pause_agent(&self, agent: impl Into<AgentRef>) -> Result<(), RuntimeError> {
        self.pause(&agent.into()).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`Runtime::resume`].
    pub async fn resume_agent(&self, agent: impl Into<AgentRef>) -> Result<(), RuntimeError> {
        self.resume(&agent.into()).await
    }

    /// Runs an agent and waits for its output.
    ///
    /// # Errors
    /// As [`Runtime::submit`], and [`RuntimeError::RunFailed`] and its like for a run without an output.
    pub async fn run_agent(
        &self,
        agent: impl Into<AgentRef>,
        request: impl Into<RunRequest>,
    ) -> Result<RunResult, RuntimeError> {
        let (slot, _) = self.inner.submit(&self.tenant, &agent.into(), request.into(), true).await?;
        let finished = self.inner.outcome(&slot).await?;
        drop(slot);
        let finished = self.inner.last_outcome(&self.tenant, finished).await?;
        Arc::unwrap_or_clone(finished).into_result()
    }

    /// Puts a run into quarantine that has begun: its attempt is over, it waits for an operator, and its session goes on without it.
    /// One that is in quarantine stays there.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownRun`], [`RuntimeError::RunOver`], and what kept it from being recorded.
    pub async fn quarantine(&self, run: &RunId, why: &str) -> Result<(), RuntimeError> {
        let Some(slot) = self.inner.open_slot(&self.tenant, run)? else {
            self.inner.tenant_log(&self.tenant, run).await?;
            return Err(RuntimeError::RunOver { run: *run });
        };
        let (inner, why) = (Arc::clone(&self.inner), why.to_owned());
        self.inner.whole_at_control(async move { inner.quarantine(&slot, &why).await }).await
    }

    /// Freezes an agent's conversations and state.
    ///
    /// # Errors
    /// As [`Runtime::save_state`].
    pub async fn save_state(&self, agent: impl Into<AgentRef>) -> Result<StateId, RuntimeError> {
        self.inner.save(&self.tenant, &agent.into()).await
    }

    /// Makes a new, started agent of a snapshot.
    ///
    /// # Errors
    /// As [`Runtime::restore_agent`].
    pub async fn restore_agent(&self, state: &StateId) -> Result<AgentId, RuntimeError> {
        Runtime::restore_agent(self, state, None).await
    }

    /// Takes no more runs, lets what runs end within this time, parks the rest. Cancels nothing: who opens the store
    /// next goes on with what was parked.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use runtime_core::RuntimeManager;
    /// use runtime_testkit::fakes::MapStore; // here stands your store
    ///
    /// # runtime_testkit::block_on(async {
    /// let runtime = RuntimeManager::builder(Arc::new(MapStore::new())).open().await?;
    /// runtime.shutdown(Duration::from_secs(10)).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).expect("the example runs");
    /// ```
    ///
    /// # Errors
    /// As [`Runtime::shutdown`].
    pub async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.inner.shutdown(within).await
    }
}

impl Inner {
    /// Takes no more runs, lets what runs end, parks the rest. Cancels nothing.
    pub(super) async fn shutdown(&self, within: Duration) -> Result<(), RuntimeError> {
        self.draining.store(true, Ordering::Release);
        let until = self.clock.now().after(within);
        let working = self.working();
        // An attempt that waits, or is held by a pause, sees that it is to park, now or when it comes to that.
        working.iter().for_each(|slot| slot.signal.raise());
        for slot in &working {
            let left = until.since(self.clock.now());
            // One that takes longer is parked below.
            let _ = tokio::time::timeout(left, slot.until(|stage| stage.is_still().then_some(()))).await;
        }
        self.drain();
        for slot in self.working() {
            let _ =
                tokio::time::timeout(TASKS_END_WITHIN, slot.until(|stage| stage.is_still().then_some(())))
                    .await;
        }
        self.until_delivered(until.since(self.clock.now())).await;
        // A process that lives for one command only has no later.
        if tokio::time::timeout(TASKS_END_WITHIN, self.let_all_use_go()).await.is_err() {
            tracing::warn!("counts that nobody needs any more stay until the agent is used again");
        }
        self.ending.cancel();
        self.tasks.close();
        if tokio::time::timeout(TASKS_END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks did not end in time; their threads are busy");
        }
        Ok(())
    }

    fn working(&self) -> Vec<Arc<RunSlot>> {
        let slots = self
            .partitions
            .iter()
            .flat_map(|home| lock(&home.state).runs.values().cloned().collect::<Vec<_>>());
        slots.filter(|slot| !slot.stage().is_still()).collect()
    }

    fn drain(&self) {
        for slot in self.working() {
            if let Some(machine) = slot.machine() {
                lock(&machine).end_attempt(AttemptEnding::Drained);
                slot.signal.raise();
            }
        }
    }
}
