//! The open runs of all agents, read once for all who look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::runtime::RunFilter;
use runtime_traits::{AgentId, Clock, RunView, Runtime, RuntimeError, UnixMillis};
use tokio::sync::Mutex;

/// How old what was read may be, at the least.
const FRESH: Duration = Duration::from_millis(500);
/// What was read may be so many times as old as it took to read it: most of the time nobody reads.
const PART: u32 = 20;
/// The most runs that are read for all agents together; of agents whose runs are not among them they are read one by one.
const MOST: usize = 10_000;
/// How many runs are asked for at once.
const PAGE: u32 = 1_000;

/// The open runs of all agents, read once for all checks that look within half a second, or within twenty times as long as reading them
/// took. A cheap handle.
#[derive(Clone, Debug)]
pub struct OpenRuns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    read: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    /// It is read again from then on.
    until: UnixMillis,
    by_agent: HashMap<AgentId, Arc<[RunView]>>,
    is_whole: bool,
}

impl OpenRuns {
    /// Those of this runtime.
    pub fn of(runtime: Arc<dyn Runtime>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { runtime, clock, read: Mutex::default() }) }
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.shared.runtime
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Those of one agent.
    pub(super) async fn of_agent(&self, agent: AgentId) -> Result<Arc<[RunView]>, RuntimeError> {
        let Shared { runtime, clock, read } = &*self.shared;
        // Whoever comes while somebody reads waits for what that one reads.
        let mut read = read.lock().await;
        let now = clock.now();
        let fresh = read.take().filter(|read| now < read.until);
        let read = match fresh {
            Some(fresh) => read.insert(fresh),
            None => {
                let all = read_all(runtime.as_ref()).await?;
                let (then, took) = (clock.now(), clock.now().since(now));
                read.insert(Read { until: then.after(FRESH.max(took.saturating_mul(PART))), ..all })
            }
        };
        if let Some(runs) = read.by_agent.get(&agent) {
            return Ok(Arc::clone(runs));
        }
        if read.is_whole {
            return Ok(Arc::new([]));
        }
        let filter =
            RunFilter { agent: Some(agent), open: true, limit: PAGE, after: None, ..RunFilter::default() };
        let runs: Arc<[RunView]> = runtime.runs(filter).await?.items.into();
        read.by_agent.insert(agent, Arc::clone(&runs));
        Ok(runs)
    }
}

async fn read_all(runtime: &dyn Runtime) -> Result<Read, RuntimeError> {
    let mut all: HashMap<AgentId, Vec<RunView>> = HashMap::new();
    let (mut count, mut after) = (0, None);
    // Where no run is open, there is nothing to be read.
    let mut is_whole = runtime.status().await?.open_runs == 0;
    while !is_whole && count < MOST {
        let page = runtime
            .runs(RunFilter { agent: None, open: true, after, limit: PAGE, ..RunFilter::default() })
            .await?;
        count += page.items.len();
        for run in page.items {
            all.entry(run.agent).or_default().push(run);
        }
        after = page.next;
        is_whole = after.is_none();
    }
    if !is_whole {
        // Some of an agent's runs may be on the pages that were not read.
        all.clear();
    }
    let by_agent = all.into_iter().map(|(agent, runs)| (agent, runs.into())).collect();
    Ok(Read { until: UnixMillis::default(), by_agent, is_whole })
}
