//! Agents that are registered, started, and do nothing: what one takes in memory, and what it takes in none.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use runtime_core::{RuntimeManager, SystemClock, SystemEntropy};
use runtime_state::{RedbOptions, RedbStore};
use runtime_traits::id::AgentId;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::Runtime;
use runtime_traits::store::{Batch, BatchId, Durability, StateStore};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::agents::{NoopKind, noop};
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::load::all;
use super::memory::resident;
use super::plan::Plan;
use super::spread::Spread;
use super::stage::{self, Stage};

const AGENTS: u64 = 1_000_000;
/// How many are registered, or activated, at once.
const AT_ONCE: u64 = 16;
/// What is counted is the runtime's memory and not the store's pages.
const CACHE: usize = 16 * 1024 * 1024;

/// Resident bytes of a process with a store.
#[derive(Debug, Serialize, Deserialize)]
struct Reopened {
    /// With the store opened and no agent active.
    opened: u64,
    /// After a look at every agent, which fills the store's cache and activates none.
    listed: u64,
    /// With every agent active.
    active: u64,
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let agents = plan.sized(AGENTS);
    let (full, empty) = (folder.path().join("full.redb"), folder.path().join("empty.redb"));
    stage::ask::<u64>(&Stage::Register { store: full.clone(), agents }).await?;
    stage::ask::<u64>(&Stage::Register { store: empty.clone(), agents: 0 }).await?;
    let with: Reopened = stage::ask(&Stage::Reopen { store: full }).await?;
    let without: Reopened = stage::ask(&Stage::Reopen { store: empty }).await?;
    let map: u64 = stage::ask(&Stage::Map { agents }).await?;
    let each = |bytes: u64| Spread::one(bytes as f64 / agents as f64);
    let figure = Figure {
        name: "idle-active",
        value: each(with.active.saturating_sub(with.listed)),
        unit: "B/agent",
        baseline: Some(each(map)),
        against: "a `HashMap` from their ids to an `Arc<Mutex<u64>>` each",
        bar: Bar::AtMost(300.0),
        n: 1,
    };
    // The store's cache may be full; beyond that, less than a byte each is none.
    let opened = each(with.opened.saturating_sub(without.opened));
    let inactive = Figure {
        name: "idle-inactive",
        value: opened,
        baseline: Some(each(CACHE as u64)),
        against: "the store's cache, of which it may be all",
        bar: Bar::AtMost(CACHE as f64 / agents as f64 + 1.0),
        ..figure
    };
    Ok(vec![figure, inactive])
}

async fn open(store: Arc<RedbStore>) -> Result<RuntimeManager, FiguresError> {
    let builder = RuntimeManager::builder(store).kind(Arc::new(NoopKind)).durability(Durability::Memory);
    // Nobody is forgotten while the others come.
    Ok(builder.configure(|config| config.idle_after = std::time::Duration::from_secs(3_600)).open().await?)
}

/// In a process of its own: registers and starts agents.
pub(crate) async fn register(path: PathBuf, agents: u64) -> Result<(), FiguresError> {
    let options = RedbOptions { cache: 1024 * 1024 * 1024, ..RedbOptions::default() };
    let store = Arc::new(RedbStore::open_with(path, options)?);
    let runtime = open(Arc::clone(&store)).await?;
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let runtime = runtime.clone();
        tasks.spawn(async move {
            for nth in (first..agents).step_by(AT_ONCE as usize) {
                let agent = runtime.register_spec(noop(nth)?).await?;
                runtime.start_agent(agent).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    // What was committed at `Memory` is on disk with the next commit at `Disk`.
    let partition = Partition { pool: Pool::MAIN, index: 0 };
    let (when, then) = (Vec::new(), Vec::new());
    let sync = Batch { id: BatchId(0), partition, fence: None, when, then, durability: Durability::Disk };
    store.commit(sync).await?;
    stage::answer(&agents)
}

/// In a process of its own: opens the store again.
pub(crate) async fn reopen(path: PathBuf) -> Result<(), FiguresError> {
    let options = RedbOptions { cache: CACHE, ..RedbOptions::default() };
    let runtime = open(Arc::new(RedbStore::open_with(path, options)?)).await?;
    let opened = resident()?;
    let agents = list(&runtime).await?;
    let listed = resident()?;
    let agents = Arc::new(agents);
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE as usize {
        let (runtime, agents) = (runtime.clone(), Arc::clone(&agents));
        tasks.spawn(async move {
            for agent in agents.iter().skip(first).step_by(AT_ONCE as usize) {
                runtime.start_agent(agent).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    let status = runtime.status().await?;
    if status.active_agents != agents.len() as u64 {
        let what = format!("{} of {} agents are active", status.active_agents, agents.len());
        return Err(FiguresError::Unexpected(what));
    }
    stage::answer(&Reopened { opened, listed, active: resident()? })
}

async fn list(runtime: &RuntimeManager) -> Result<Vec<AgentId>, FiguresError> {
    let mut agents = Vec::new();
    let mut after = None;
    loop {
        let page = runtime.agents(after.as_deref(), 1_000).await?;
        agents.extend(page.items.iter().map(|agent| agent.id));
        after = page.next;
        if after.is_none() {
            return Ok(agents);
        }
    }
}

/// In a process of its own: the least that anybody could keep of each agent.
pub(crate) fn map(agents: u64) -> Result<(), FiguresError> {
    let (clock, entropy) = (SystemClock::default(), SystemEntropy::default());
    let before = resident()?;
    let mint = |nth: u64| {
        let partition = Partition { pool: Pool::MAIN, index: (nth % 256) as u16 };
        (AgentId::mint(partition, &clock, &entropy), Arc::new(Mutex::new(nth)))
    };
    let map: HashMap<AgentId, Arc<Mutex<u64>>> = (0..agents).map(mint).collect();
    let after = resident()?;
    drop(std::hint::black_box(map));
    stage::answer(&after.saturating_sub(before))
}
