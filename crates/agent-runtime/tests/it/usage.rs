//! What a run is booked with whose calls nobody reports.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::path::Path;
use std::time::Duration;

use agent_runtime::error::Cause;
use agent_runtime::log::Usage;
use agent_runtime::prelude::*;
use agent_runtime::runtime::Joined;
use agent_runtime::{Gate, ModelError, Retrying, RuntimeManager, Turn};

/// The most that a call of the agent below may use: 30 bytes are 10 tokens, and a tenth more.
const RESERVED: Usage =
    Usage { input_tokens: 11, output_tokens: 100, model_calls: 1, tool_calls: 0, estimated_tokens: 111 };

fn times(count: u32) -> Usage {
    (0..count).fold(Usage::default(), |sum, _| sum.plus(RESERVED))
}

/// An agent whose calls break off `breaks` times, and then come to a gate before their end.
async fn held(store: &Path, breaks: usize, gate: &Gate) -> (RuntimeManager, AgentId) {
    let cut = || ModelError::Cut { model: "scripted/held".into(), cause: Cause::says("reset") };
    let mut turns: Vec<Turn> = (0..breaks).map(|_| Turn::from("It ").fails(cut())).collect();
    turns.push(Turn::from("It is ").waits(gate).used(5, 2));
    let model = Retrying::new(ScriptedModel::in_order("held", turns), 5);
    let runtime = RuntimeManager::open(&format!("redb:{}", store.join("a.redb").display())).await.unwrap();
    let agent = LlmAgent::new("held", model).max_tokens(100).build().unwrap();
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

async fn cancelled(runtime: &RuntimeManager, run: &RunId) -> Usage {
    runtime.cancel(run, "enough", Duration::ZERO).await.unwrap();
    used(runtime, run).await
}

async fn used(runtime: &RuntimeManager, run: &RunId) -> Usage {
    match runtime.join(run, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => finished.usage,
        Joined::Open(view) => panic!("{view:?}"),
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_half_way_is_booked_at_its_reservation_and_marked() {
    for breaks in [0, 2] {
        let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::new());
        let (runtime, agent) = held(folder.path(), breaks, &gate).await;
        let run = runtime.submit(&agent.into(), "y".repeat(30).into()).await.unwrap().run;
        gate.reached().await;
        let known = runtime.run_status(&run).await.unwrap().usage;
        assert_eq!(known, times(breaks as u32), "the last one is under way");

        let usage = cancelled(&runtime, &run).await;

        // With those that broke off inside of it.
        assert_eq!(usage, times(breaks as u32 + 1));
        assert_eq!(runtime.run_status(&run).await.unwrap().usage, usage);
    }
}

#[tokio::test]
async fn a_call_that_a_restart_cut_off_is_booked_beside_the_one_that_is_made_again() {
    let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::new());
    let (runtime, agent) = held(folder.path(), 0, &gate).await;
    let run = runtime.submit(&agent.into(), "y".repeat(30).into()).await.unwrap().run;
    gate.reached().await;
    runtime.shutdown(Duration::ZERO).await.unwrap();
    drop(runtime);

    let (runtime, _) = held(folder.path(), 0, &gate).await;
    gate.reached().await;
    gate.open();

    let reported = Usage { input_tokens: 5, output_tokens: 2, model_calls: 1, ..Usage::default() };
    assert_eq!(used(&runtime, &run).await, RESERVED.plus(reported));
}

#[tokio::test]
async fn a_call_that_a_restart_cut_off_is_booked_also_when_it_is_never_made_again() {
    let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::new());
    let (runtime, agent) = held(folder.path(), 0, &gate).await;
    let run = runtime.submit(&agent.into(), "y".repeat(30).into()).await.unwrap().run;
    gate.reached().await;
    runtime.stop_agent(agent).await.unwrap();
    runtime.shutdown(Duration::ZERO).await.unwrap();
    drop(runtime);

    let store = format!("redb:{}", folder.path().join("a.redb").display());
    let runtime = RuntimeManager::open(&store).await.unwrap();
    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    assert_eq!(used(&runtime, &run).await, RESERVED);
}
