//! The open runs of all agents, read once for all who look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::health::{Health, Verdict};
use runtime_traits::runtime::RunFilter;
use runtime_traits::{AgentId, Clock, RunView, Runtime, RuntimeError, UnixMillis};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How old what was read may be, at the least.
const FRESH: Duration = Duration::from_millis(500);
/// What was read may be so many times as old as it took to read it: most of the time nobody reads.
const PART: u32 = 20;
/// How long whoever looks waits: less than a look may take, for what is slow to be read says nothing of an agent.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most runs that are read for all agents together; where more are open, each agent's are read by themselves.
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

    /// Those of one agent; where they are not to be had in time, nobody can tell how it is.
    pub(super) async fn of_agent(&self, agent: AgentId) -> Result<Arc<[RunView]>, Health> {
        let unknown = |reason| Health::new(Verdict::Unknown, reason);
        match timeout(PATIENCE, self.read(agent)).await {
            Ok(runs) => runs.map_err(|error| unknown(format!("its open runs cannot be read: {error}"))),
            Err(_) => Err(unknown(format!("its open runs are not read within {PATIENCE:?}"))),
        }
    }

    async fn read(&self, agent: AgentId) -> Result<Arc<[RunView]>, RuntimeError> {
        let Shared { runtime, clock, read: shared } = &*self.shared;
        // Whoever comes while somebody reads waits for what that one reads.
        let mut read_by_all = shared.lock().await;
        let now = clock.now();
        let fresh = read_by_all.take().filter(|read| now < read.until);
        let read = match fresh {
            Some(fresh) => &*read_by_all.insert(fresh),
            None => {
                let all = read_all(runtime.as_ref()).await?;
                let (then, took) = (clock.now(), clock.now().since(now));
                &*read_by_all.insert(Read { until: then.after(FRESH.max(took.saturating_mul(PART))), ..all })
            }
        };
        if let Some(runs) = read.by_agent.get(&agent) {
            return Ok(Arc::clone(runs));
        }
        if read.is_whole {
            return Ok(Arc::new([]));
        }
        // Nobody waits for the runs of another agent.
        drop(read_by_all);
        let filter =
            RunFilter { agent: Some(agent), open: true, limit: PAGE, after: None, ..RunFilter::default() };
        let runs: Arc<[RunView]> = runtime.runs(filter).await?.items.into();
        if let Some(read) = shared.lock().await.as_mut() {
            read.by_agent.insert(agent, Arc::clone(&runs));
        }
        Ok(runs)
    }
}

async fn read_all(runtime: &dyn Runtime) -> Result<Read, RuntimeError> {
    let mut all: HashMap<AgentId, Vec<RunView>> = HashMap::new();
    let (mut count, mut after) = (0, None);
    let open = runtime.status().await?.open_runs;
    // Where no run is open, there is nothing to be read.
    let mut is_whole = open == 0;
    let is_much = open > MOST as u64;
    while !is_whole && !is_much && count < MOST {
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

#[cfg(test)]
mod tests {
    use runtime_testkit::fakes::ManualClock;
    use runtime_testkit::fakes::runtime::{Answer, Call, FakeRuntime};
    use runtime_traits::runtime::NodeStatus;

    use super::*;

    fn of(runtime: &Arc<FakeRuntime>) -> OpenRuns {
        OpenRuns::of(Arc::clone(runtime) as _, Arc::new(ManualClock::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_what_is_slow_to_be_read_can_tell_nothing() {
        let runtime = Arc::new(FakeRuntime::new());
        runtime.answer(Answer::Never).answer(Answer::Never);
        let (runs, agent) = (of(&runtime), runtime.samples().agent);

        let (reader, waiter) = tokio::join!(runs.of_agent(agent), runs.of_agent(agent));

        let unknown = Health::new(Verdict::Unknown, "its open runs are not read within 5s");
        assert_eq!((reader.unwrap_err(), waiter.unwrap_err()), (unknown.clone(), unknown));
    }

    #[tokio::test]
    async fn where_more_are_open_than_are_read_for_all_each_agents_are_read_by_themselves() {
        let runtime = Arc::new(FakeRuntime::new());
        let node = NodeStatus { open_runs: 10_001, ..runtime.samples().node_status() };
        runtime.answer(Answer::Node(Box::new(node)));
        let (runs, agent) = (of(&runtime), runtime.samples().agent);

        for _ in 0..2 {
            runs.of_agent(agent).await.unwrap();
        }

        let calls = runtime.calls();
        let filters: Vec<_> = calls
            .iter()
            .filter_map(|call| if let Call::Runs(filter) = call { Some(filter.agent) } else { None })
            .collect();
        assert_eq!(filters, [Some(agent)], "and once for all who look: {calls:?}");
    }
}
