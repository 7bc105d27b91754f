//! What all handles of a runtime share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use runtime_traits::agent::{Agent, AgentKind, StorageLimits};
use runtime_traits::clock::{Clock, Entropy, UnixMillis};
use runtime_traits::error::Cause;
use runtime_traits::id::{AgentId, NodeId, RunId};
use runtime_traits::log::{Entry, EntryKind, Started};
use runtime_traits::meter::PollMeter;
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::{Breakers, Want};
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::{Durability, Seq, StateStore, Token};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::agent_locks::AgentLocks;
use super::announce::Announcing;
use super::commit::Backlog;
use super::config::Config;
use super::control::Control;
use super::counters::DamagedBooks;
use super::govern::Governing;
use super::id_map::IdMap;
use super::polls::Polls;
use super::post::Post;
use super::recovering::{Care, Recovering};
use super::run_slot::RunSlot;
use super::scrub::Scrubbing;
use super::sweep::Ended;
use super::ticks::Ticks;
use super::trials::Trials;
use super::wake::Timers;
use crate::engine::session::Session;

/// The build that a run's log names.
pub(super) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// After a panic of what has to go on.
const BEGINS_ANEW_AFTER: Duration = Duration::from_secs(1);

/// What all handles of a runtime share.
pub(super) struct Inner {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) config: Config,
    pub(super) durability: Durability,
    pub(super) pool: Pool,
    pub(super) node: NodeId,
    pub(super) since: UnixMillis,
    pub(super) kinds: RwLock<HashMap<Name, Arc<dyn AgentKind>>>,
    /// Agents that were registered as values.
    pub(super) attached: Mutex<HashMap<AgentId, Arc<dyn Agent>>>,
    /// Which agent has a name; a copy of what the store says.
    pub(super) names: Mutex<HashMap<(Tenant, String), AgentId>>,
    pub(super) partitions: Vec<OwnedPartition>,
    pub(super) tasks: TaskTracker,
    pub(super) control: Control,
    pub(super) ending: CancellationToken,
    pub(super) draining: AtomicBool,
    pub(super) open_runs: AtomicU64,
    pub(super) last_progress: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) batch_prefix: u64,
    pub(super) store_failed: Mutex<Option<Cause>>,
    pub(super) backlog: Mutex<Backlog>,
    pub(super) timers: Timers,
    pub(super) ticks: Ticks,
    pub(super) post: Post,
    pub(super) ended: Mutex<Ended>,
    pub(super) sweep: Notify,
    pub(super) snapshots: Option<Arc<dyn Snapshots>>,
    /// Where contents without names are being looked for.
    pub(super) sweeping: Mutex<HashSet<(Partition, Tenant)>>,
    /// Shared by whoever sends or takes mail; held alone by whoever looks through all of it.
    pub(super) moving_mail: tokio::sync::RwLock<()>,
    /// Agents and sessions whose soft limits are reached, and were warned of.
    pub(super) warned: Mutex<HashSet<(AgentId, Option<SessionName>)>>,
    pub(super) scrub: Option<Arc<Scrubbing>>,
    pub(super) announcing: Option<Arc<Announcing>>,
    pub(super) governing: Option<Governing>,
    pub(super) damaged_books: DamagedBooks,
    pub(super) meter: Arc<dyn PollMeter>,
    pub(super) recovering: Option<Recovering>,
    pub(super) breakers: Option<Arc<dyn Breakers>>,
    pub(super) polls: Polls,
    pub(super) trials: Trials,
}

/// A partition and what is in memory of it.
#[derive(Debug)]
pub(super) struct OwnedPartition {
    pub(super) partition: Partition,
    /// Claimed at its first use.
    pub(super) owner: OnceCell<Owner>,
    pub(super) state: Mutex<PartitionState>,
    /// Held by whoever changes or loads what somebody wants of an agent, for this agent.
    pub(super) admin: AgentLocks,
    /// Shared by whoever takes names of contents away, or carries them from one place to another; held alone by whoever
    /// looks for contents without names. Taken before `admin`, and never twice.
    pub(super) names: tokio::sync::RwLock<()>,
    /// Shared by whoever writes contents for runs; held alone by whoever writes them for snapshots.
    pub(super) marks: tokio::sync::RwLock<()>,
}

/// The proof that this process owns a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) token: Token,
    pub(super) epoch: u64,
}

/// What is in memory of a partition.
#[derive(Debug, Default)]
pub(super) struct PartitionState {
    /// By the part of their ids that is not the partition: half as large.
    pub(super) agents: IdMap<Uuid, Box<AgentSlot>>,
    pub(super) runs: IdMap<RunId, Arc<RunSlot>>,
}

/// An agent in memory. Small, because there may be a million of them.
#[derive(Debug)]
pub(super) struct AgentSlot {
    pub(super) tenant: Tenant,
    pub(super) want: Want,
    pub(super) revision: u32,
    pub(super) kind_version: u32,
    /// How much may be stored of it, where that is limited.
    pub(super) storage: Option<Box<StorageLimits>>,
    /// What it may use, where that is limited.
    pub(super) limits: Option<Box<ResourceLimits>>,
    /// What it declares of its recovery, and of how long its runs may stand still.
    pub(super) care: Option<Box<Care>>,
    /// What runs it here; `None`: its kind is not hosted.
    pub(super) agent: Option<Arc<dyn Agent>>,
    pub(super) used_at: UnixMillis,
    #[expect(
        clippy::box_collection,
        reason = "an empty map is six words, and there may be a million idle agents"
    )]
    pub(super) sessions: Option<Box<HashMap<SessionName, Session>>>,
}

impl Inner {
    pub(super) fn home(&self, partition: Partition) -> &OwnedPartition {
        // Ids name one of the 256 owned partitions; `checked` refuses the others where they come in.
        &self.partitions[usize::from(partition.index)]
    }

    /// Whether an id can be one of this pool's.
    pub(super) fn checked(&self, partition: Partition) -> bool {
        partition.pool == self.pool && partition.index < Partition::COUNT
    }

    pub(super) fn run_slot(&self, run: &RunId) -> Option<Arc<RunSlot>> {
        super::run_slot::lock(&self.home(run.partition()).state).runs.get(run).cloned()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Begins what may run an agent.
    pub(super) fn spawn_work(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, self.control.workers());
    }

    /// Begins what agents must not be able to stop, and runs none.
    pub(super) fn spawn_control(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, self.control.control());
    }

    /// Begins what has to go on until the runtime ends. A panic in it is told, and it begins anew.
    pub(super) fn keep_going<F>(self: &Arc<Self>, what: &'static str, work: fn(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(self);
        self.spawn_control(async move {
            while AssertUnwindSafe(work(Arc::clone(&inner))).catch_unwind().await.is_err() {
                tracing::error!("{what} panicked; it begins anew");
                tokio::select! {
                    () = tokio::time::sleep(BEGINS_ANEW_AFTER) => {}
                    () = inner.ending.cancelled() => return,
                }
            }
        });
    }

    /// Sees work through, also when its caller goes away: half of a change is none.
    pub(super) async fn whole<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.whole_on(self.control.workers(), work).await
    }

    /// The same, where no agent can stop it.
    pub(super) async fn whole_at_control<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.whole_on(self.control.control(), work).await
    }

    async fn whole_on<T: Send + 'static>(
        &self,
        executor: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.tasks.spawn_on(work, executor).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The executor is ending, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub(super) fn kind(&self, name: &Name) -> Option<Arc<dyn AgentKind>> {
        self.kinds.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }

    /// The entry with which an attempt begins.
    pub(super) fn started(&self, seq: Seq, attempt: u32, epoch: u64, kind_version: u32) -> Entry {
        self.tried(seq, attempt, epoch, kind_version, 0)
    }

    /// The entry with which an attempt begins of a run that is tried together with others.
    pub(super) fn tried(
        &self,
        seq: Seq,
        attempt: u32,
        epoch: u64,
        kind_version: u32,
        suspects: u32,
    ) -> Entry {
        let started = Started { kind_version, build: BUILD.to_owned(), node: self.node, suspects };
        Entry { seq, at: self.clock.now(), attempt, epoch, kind: EntryKind::Started(started) }
    }
}

impl AgentSlot {
    pub(super) fn session(&mut self, name: &SessionName) -> &mut Session {
        self.sessions.get_or_insert_default().entry(name.clone()).or_default()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sessions.as_ref().is_none_or(|sessions| sessions.values().all(Session::is_idle))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("node", &self.node)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
