//! What an agent with a model costs beside its model: a call, and a turn of a conversation that goes on and on.

use std::sync::Arc;

use agent_runtime::LlmAgent;
use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_state::MemoryStore;
use runtime_traits::id::AgentId;
use runtime_traits::model::{Deltas, ModelReply, TokenUsage};
use runtime_traits::store::{Batch, StateStore, Then};
use runtime_traits::{Model, ModelError, ModelRequest};

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::house;
use super::plan::Plan;
use super::rehearsed::Recorder;
use super::spread::Spread;
use super::watch::processor_time;

/// Messages that the agent is shown: those of so many turns before.
const WINDOW: usize = 50;
/// Runs of one turn of the contest.
const RUNS: u64 = 2_000;
/// Turns of the long conversation.
const TURNS: u64 = 2_000;
/// Turns that are taken together, around the one that the promise names.
const AROUND: u64 = 20;

/// Says the same to everything, at once.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Model for Silent {
    fn name(&self) -> &str {
        "figures/silent"
    }

    async fn reply(&self, _: &ModelRequest, _: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let usage = Some(TokenUsage { input: 10, output: 5 });
        Ok(ModelReply { text: "This is what there is to say.".to_owned(), usage, ..ModelReply::default() })
    }
}

async fn thinking(store: Arc<dyn StateStore>) -> Result<(RuntimeManager, AgentId), FiguresError> {
    let agent = LlmAgent::new("silent", Silent)
        .instructions("You say what there is to say.")
        .window(WINDOW)
        .build()
        .map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let runtime = RuntimeManager::builder(store).open().await?;
    let agent = runtime.register_agent(agent).await?;
    runtime.start_agent(agent).await?;
    Ok((runtime, agent))
}

/// What a call of a model costs: a run with one, against a run without any.
pub(crate) async fn one_call(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let recorder = Arc::new(Recorder::over(MemoryStore::new()));
    let (runtime, agent) = thinking(Arc::clone(&recorder) as Arc<_>).await?;
    runtime.run_agent(agent, "nothing").await?;
    recorder.take();
    runtime.run_agent(agent, "nothing").await?;
    // A run without steps is two.
    let commits = recorder.take().len() as f64 - 2.0;
    drop(runtime);

    let (runtime, agent) = thinking(Arc::new(MemoryStore::new())).await?;
    for _ in 0..WINDOW {
        runtime.run_agent(agent, "nothing").await?;
    }
    let (idle, agents) = house::with_agents(Arc::new(MemoryStore::new()), 1).await?;
    let Some(noop) = agents.first().copied() else { return Ok(Vec::new()) };
    let runs = plan.sized(RUNS * 10).clamp(20, RUNS);
    let ours = async || per_run(&runtime, agent, runs).await;
    let baseline = async || per_run(&idle, noop, runs).await;
    let (with, without) = take_turns(plan.rounds, ours, baseline).await?;
    let beside = |with: f64, without: f64| (with - without).max(0.0);
    let value = Spread {
        median: beside(with.median, without.median),
        min: beside(with.min, without.max),
        max: beside(with.max, without.min),
    };
    Ok(vec![
        Figure {
            name: "model-call",
            value,
            unit: "µs",
            baseline: Some(without),
            against: "processor time of a run without steps; the value is what a run with a call of a model takes more, \
                      in a conversation of more than 50 messages",
            bar: Bar::AtMost(50.0),
            n: plan.rounds,
        },
        Figure {
            name: "model-call-commits",
            value: Spread::one(commits),
            unit: "commits/call",
            baseline: None,
            against: "counted",
            bar: Bar::AtMost(3.0),
            n: 1,
        },
    ])
}

/// Processor time of a run, in microseconds.
async fn per_run(runtime: &RuntimeManager, agent: AgentId, runs: u64) -> Result<f64, FiguresError> {
    let before = processor_time();
    for _ in 0..runs {
        runtime.run_agent(agent, "nothing").await?;
    }
    Ok((processor_time() - before).as_secs_f64() * 1e6 / runs as f64)
}

/// What a conversation costs that goes on and on: its last turns against its first.
pub(crate) async fn conversation(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let turns = plan.sized(TURNS).max(4 * AROUND);
    let (mut late, mut early, mut late_bytes, mut early_bytes) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let (runtime, agent) = thinking(Arc::new(MemoryStore::new())).await?;
        let mut done = 0;
        for (upto, times) in [(AROUND, &mut early), (turns, &mut late)] {
            per_run(&runtime, agent, upto - AROUND / 2 - done).await?;
            times.push(per_run(&runtime, agent, AROUND).await?);
            done = upto + AROUND / 2;
        }
    }
    // Beside the times: a recorder keeps all batches, and what it lets go costs those who come then.
    let recorder = Arc::new(Recorder::over(MemoryStore::new()));
    let (runtime, agent) = thinking(Arc::clone(&recorder) as Arc<_>).await?;
    let mut done = 0;
    for (upto, sizes) in [(AROUND, &mut early_bytes), (turns, &mut late_bytes)] {
        per_run(&runtime, agent, upto - AROUND / 2 - done).await?;
        recorder.take();
        per_run(&runtime, agent, AROUND).await?;
        sizes.push(recorder.take().iter().map(bytes).sum::<usize>() as f64 / AROUND as f64);
        done = upto + AROUND / 2;
    }
    let figure = |name, value: Vec<f64>, unit, baseline, against, bar| Figure {
        name,
        n: value.len() as u32,
        value: Spread::of(value),
        unit,
        baseline: Some(Spread::of(baseline)),
        against,
        bar: Bar::RatioAtMost(bar),
    };
    Ok(vec![
        figure(
            "conversation-turn",
            late,
            "µs",
            early,
            "processor time of turn 20 of a conversation; the value is that of turn 2,000, beside the model",
            1.5,
        ),
        figure(
            "conversation-bytes",
            late_bytes,
            "B/turn",
            early_bytes,
            "what turn 20 of a conversation writes; the value is what turn 2,000 writes",
            1.2,
        ),
    ])
}

/// What a batch writes.
fn bytes(batch: &Batch) -> usize {
    let of = |then: &Then| match then {
        Then::Put(key, value) => key.path.as_bytes().len() + value.len(),
        Then::Append(log, entries) => {
            log.path.as_bytes().len() + entries.iter().map(bytes::Bytes::len).sum::<usize>()
        }
        Then::Add(key, _) | Then::Delete(key) => key.path.as_bytes().len(),
        Then::Trim(log, _) | Then::Drop(log) => log.path.as_bytes().len(),
    };
    batch.then.iter().map(of).sum()
}
