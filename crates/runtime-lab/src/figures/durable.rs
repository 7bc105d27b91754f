//! Runs without steps that survive a loss of power, against the commits that they are made of.

use std::sync::{Arc, Mutex};

use runtime_core::RuntimeManager;
use runtime_state::RedbStore;
use runtime_traits::id::AgentId;
use runtime_traits::store::{Batch, StateStore, Then};

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::house;
use super::load::per_second;
use super::plan::Plan;
use super::rehearsed::{Recorder, Rehearsed, Repeats};
use super::spread::Spread;

/// Callers, and as many agents.
const AGENTS: u64 = 64;

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let open = |name: &str| RedbStore::open(folder.path().join(name));
    let recorder = Arc::new(Recorder::over(open("rehearsal.redb")?));
    let (runtime, agents) = house::with_agents(Arc::clone(&recorder) as Arc<_>, AGENTS).await?;
    let claims = claims(recorder.take());
    let mut rehearsed = Vec::new();
    for agent in agents {
        rehearsed.push(Arc::new(Mutex::new(rehearse(&runtime, &recorder, agent).await?)));
    }
    let commits = rehearsed.iter().map(|rehearsed| commits(rehearsed)).collect();
    drop(runtime);

    let (runtime, agents) = house::with_agents(Arc::new(open("runs.redb")?), AGENTS).await?;
    let bare = Arc::new(open("commits.redb")?);
    for claim in claims {
        bare.commit(claim).await?;
    }
    let ours = async || per_second(house::callers(&runtime, &agents), plan.turn).await;
    let baseline = async || {
        let repeats =
            |rehearsed: &Arc<_>| Repeats { store: Arc::clone(&bare), rehearsed: Arc::clone(rehearsed) };
        per_second(rehearsed.iter().map(repeats), plan.turn).await
    };
    let (value, baseline) = take_turns(plan.rounds, ours, baseline).await?;
    Ok(vec![
        Figure {
            name: "durable-run",
            value,
            unit: "runs/s",
            baseline: Some(baseline),
            against: "`StateStore::commit` of the same batches by as many writers, in commits/s; a run is two",
            bar: Bar::RatioAtLeast(0.35),
            n: plan.rounds,
        },
        Figure {
            name: "durable-commits",
            value: Spread::of(commits),
            unit: "commits/run",
            baseline: None,
            against: "counted",
            bar: Bar::AtMost(2.0),
            n: AGENTS as u32,
        },
    ])
}

fn commits(rehearsed: &Mutex<Rehearsed>) -> f64 {
    rehearsed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).commits() as f64
}

/// Those of `batches` that make the runtime the owner of partitions.
pub(crate) fn claims(batches: Vec<Batch>) -> Vec<Batch> {
    let claims = |write: &Then| matches!(write, Then::Put(key, _) if key.path.as_bytes() == b"own");
    batches.into_iter().filter(|batch| batch.then.iter().any(claims)).collect()
}

/// The commits of a run in the middle of a conversation.
pub(crate) async fn rehearse<S: StateStore + 'static>(
    runtime: &RuntimeManager,
    recorder: &Recorder<S>,
    agent: AgentId,
) -> Result<Rehearsed, FiguresError> {
    runtime.run_agent(agent, "nothing").await?;
    recorder.take();
    let result = runtime.run_agent(agent, "nothing").await?;
    Ok(Rehearsed::new(recorder.take(), result.run))
}
