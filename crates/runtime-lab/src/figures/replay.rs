//! Runs whose process died: how long until they have gone on in the next one.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_state::RedbStore;
use runtime_traits::name::SessionName;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RunRequest, Runtime};
use runtime_traits::store::{Batch, BatchId, Durability, Log, LogExtent, Seq, StateStore, Then, When};
use tokio::task::JoinSet;

use super::agents::{Gate, StepsKind, steps};
use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::load::all;
use super::plan::Plan;
use super::stage::{self, Stage};
use super::watch::Stopwatch;

/// What is open when the process dies.
#[derive(Debug)]
pub(crate) struct Case {
    name: &'static str,
    /// Steps of each run that are settled; one more is under way.
    steps: u64,
    runs: u64,
    /// The bar, in milliseconds.
    bar: f64,
}

/// A run of a thousand steps.
pub(crate) const ONE_LONG_RUN: Case = Case { name: "replay", steps: 1_000, runs: 1, bar: 100.0 };
/// Ten thousand runs of a step.
pub(crate) const MANY_OPEN_RUNS: Case = Case { name: "resume", steps: 1, runs: 10_000, bar: 5_000.0 };

/// Agents; each has as many sessions as it takes.
const AGENTS: u64 = 1_000;
/// Commits under way at once.
const AT_ONCE: usize = 64;

pub(crate) async fn measure(plan: &Plan, case: &Case) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let steps = if case.steps > 1 { plan.sized(case.steps) } else { 1 };
    let runs = if case.runs > 1 { plan.sized(case.runs) } else { 1 };
    let dead = folder.path().join("dead.redb");
    stage::kill_when_ready(&Stage::Begin { store: dead.clone(), steps, runs }).await?;
    let ours = async || {
        let path = copy(&dead, "ours.redb")?;
        let watch = Stopwatch::start();
        let store = Arc::new(RedbStore::open(path)?);
        let gate = Arc::new(Gate::default());
        let kind = StepsKind { steps, gate: Arc::clone(&gate) };
        let runtime = RuntimeManager::builder(store).kind(Arc::new(kind)).open().await?;
        gate.until(runs).await;
        let took = watch.elapsed();
        runtime.shutdown(Duration::from_secs(60)).await?;
        Ok(in_millis(took))
    };
    let baseline = async || {
        let path = copy(&dead, "bare.redb")?;
        let watch = Stopwatch::start();
        let found = read_and_append(Arc::new(RedbStore::open(path)?)).await?;
        if found < runs {
            return Err(FiguresError::Unexpected(format!("{found} of {runs} runs are in the store")));
        }
        Ok(in_millis(watch.elapsed()))
    };
    let (value, baseline) = take_turns(plan.rounds, ours, baseline).await?;
    Ok(vec![Figure {
        name: case.name,
        value,
        unit: "ms",
        baseline: Some(baseline),
        against: "opening the same store, reading each run's log and committing an entry to it",
        bar: Bar::AtMost(case.bar),
        n: plan.rounds,
    }])
}

fn in_millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A copy of the store as its process left it, on disk.
fn copy(dead: &FilePath, name: &str) -> Result<PathBuf, FiguresError> {
    let path = dead.with_file_name(name);
    let copied = std::fs::copy(dead, &path).and_then(|_| std::fs::File::open(&path)?.sync_all());
    copied.map_err(|error| FiguresError::io(format!("`{}`", path.display()), error))?;
    Ok(path)
}

/// In a process that will be killed: brings runs to a step that does not end.
pub(crate) async fn begin(path: PathBuf, steps: u64, runs: u64) -> Result<(), FiguresError> {
    let gate = Arc::new(Gate::shut());
    let kind = StepsKind { steps, gate: Arc::clone(&gate) };
    let store = Arc::new(RedbStore::open(path)?);
    let runtime = RuntimeManager::builder(store).kind(Arc::new(kind)).open().await?;
    let mut tasks = JoinSet::new();
    for nth in 0..runs.min(AGENTS) {
        if tasks.len() >= AT_ONCE {
            tasks.join_next().await;
        }
        let runtime = runtime.clone();
        tasks.spawn(async move {
            let agent = runtime.register_spec(self::steps(nth)?).await?;
            runtime.start_agent(agent).await?;
            for session in (nth..runs).step_by(AGENTS as usize) {
                let session = SessionName::new(format!("session-{session}"))?;
                let request = RunRequest::new("nothing").in_session(session);
                runtime.submit(&AgentRef::Id(agent), request).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    gate.until(runs).await;
    stage::ready().await
}

/// The least that anybody has to do who takes these runs over. Answers how many there are.
async fn read_and_append(store: Arc<RedbStore>) -> Result<u64, FiguresError> {
    let mut found = 0;
    let mut tasks: JoinSet<Result<(), FiguresError>> = JoinSet::new();
    for partition in store.partitions().await? {
        for extent in run_logs(&store, partition).await? {
            if tasks.len() >= AT_ONCE
                && let Some(ended) = tasks.join_next().await
            {
                ended.map_err(|error| FiguresError::Unexpected(error.to_string()))??;
            }
            found += 1;
            tasks.spawn(take_over(Arc::clone(&store), extent, BatchId(u128::from(found))));
        }
    }
    all(tasks).await?;
    Ok(found)
}

async fn run_logs(store: &RedbStore, partition: Partition) -> Result<Vec<LogExtent>, FiguresError> {
    let under = Log::new(partition, "run/")?;
    let mut logs: Vec<LogExtent> = Vec::new();
    loop {
        let page = store.logs(&under, logs.last().map(|extent| &extent.log), 512).await?;
        if page.is_empty() {
            return Ok(logs);
        }
        logs.extend(page);
    }
}

async fn take_over(store: Arc<RedbStore>, extent: LogExtent, id: BatchId) -> Result<(), FiguresError> {
    let LogExtent { log, next, .. } = extent;
    let mut from = Seq::FIRST;
    while from < next {
        let tail = store.read(&log, from, 512).await?;
        from = Seq(from.0 + tail.entries.len() as u64);
    }
    let batch = Batch {
        id,
        partition: log.partition,
        fence: None,
        when: vec![When::Next(log.clone(), next)],
        then: vec![Then::Append(log, vec![vec![0; 64].into()])],
        durability: Durability::Disk,
    };
    store.commit(batch).await?;
    Ok(())
}
