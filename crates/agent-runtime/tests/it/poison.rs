//! Real processes that die of runs in them, restarted by their parent: these tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agent_runtime::log::{Outcome, Phase, WaitOn};
use agent_runtime::prelude::*;
use agent_runtime::runtime::{RunFilter, RunRequest};
use agent_runtime::{IdempotencyKey, Payload, RunView, open_store};

/// Names the store to the process that serves it.
const STORE: &str = "AGENT_RUNTIME_POISON_STORE";
const TEST: &str = "poison::runs_that_kill_their_process_are_set_aside_and_all_others_finish";

const GOOD: usize = 64;
const POISON: [&str; 3] = ["abort", "overflow", "abort-in-a-step"];

/// Does what its input says.
#[derive(Debug)]
struct Worker;

/// Uses up the stack of its thread.
fn overflow(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 512]);
    if std::hint::black_box(depth) == u64::MAX {
        return room[0];
    }
    overflow(std::hint::black_box(depth + 1)) + room[usize::try_from(depth % 512).unwrap_or(0)]
}

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("worker", "worker").expect("names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        match input.as_text()? {
            "abort" => std::process::abort(),
            "overflow" => return Ok(Content::text(overflow(0).to_string())),
            _ => {}
        }
        for nth in 0..3 {
            let work = ctx.step("work", Effect::Repeatable, &nth, |_| async {
                if input.as_text()? == "abort-in-a-step" {
                    std::process::abort();
                }
                tokio::task::yield_now().await;
                Ok(nth)
            });
            work.await?;
        }
        Ok(input)
    }
}

fn inputs() -> Vec<String> {
    // Poison is among the others, not behind them.
    let mut inputs: Vec<String> = (0..GOOD).map(|nth| format!("good {nth}")).collect();
    for (nth, poison) in POISON.into_iter().enumerate() {
        inputs.insert((nth + 1) * GOOD / 4, poison.to_owned());
    }
    inputs
}

/// A process of its own: takes all runs, and ends when none is left that goes on.
async fn serve(store: &Path) {
    let store = open_store(&format!("redb:{}", store.display())).await.expect("the store opens");
    let runtime: RuntimeManager =
        RuntimeManager::builder(store).open().await.expect("the runtime opens").into();
    let agent = runtime.register_agent(Worker).await.expect("it is registered");
    runtime.start_agent(agent).await.expect("it starts");
    for (nth, input) in inputs().into_iter().enumerate() {
        let session = format!("s{nth}").parse().expect("a name");
        let key = IdempotencyKey::new(format!("k{nth}")).expect("a key");
        let request = RunRequest::new(input).in_session(session).with_key(key);
        runtime.as_runtime().submit(&agent.into(), request).await.expect("it is accepted");
    }
    // It ends, or kills this process, or is set aside by the next one.
    while let Some(run) = open_runs(&runtime).await.iter().find(|run| !run.is_quarantined()) {
        runtime.as_runtime().join(&run.run, Duration::from_millis(50)).await.expect("it is there");
    }
    runtime.shutdown(Duration::from_secs(5)).await.expect("it ends");
}

async fn open_runs(runtime: &RuntimeManager) -> Vec<RunView> {
    let filter = RunFilter { open: true, limit: 1_000, ..RunFilter::default() };
    runtime.as_runtime().runs(filter).await.expect("runs are listed").items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_kill_their_process_are_set_aside_and_all_others_finish() {
    if let Some(store) = env::var_os(STORE) {
        return serve(&PathBuf::from(store)).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let bound = (4.0 + ((GOOD + POISON.len()) as f64).log2()) * POISON.len() as f64;
    let mut deaths = 0.0;
    loop {
        let program = env::current_exe().expect("this program has a path");
        let mut child = Command::new(program);
        child
            .args([TEST, "--exact", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if child.status().expect("it runs").success() {
            break;
        }
        deaths += 1.0;
        assert!(deaths <= bound, "{deaths} deaths, and {bound} are the most");
    }
    assert!(deaths >= 3.0, "each kills its process when it is alone");

    let store = open_store(&format!("redb:{}", path.display())).await.expect("the store opens");
    let builder = RuntimeManager::builder(store).configure(|config| config.at_rest = true);
    let runtime: RuntimeManager = builder.open().await.expect("it opens").into();
    let filter = RunFilter { limit: 1_000, ..RunFilter::default() };
    let runs = runtime.as_runtime().runs(filter).await.expect("runs are listed").items;
    assert_eq!(runs.len(), GOOD + POISON.len(), "each was taken once");
    for run in &runs {
        let Payload::Inline(input) = &run.input else { unreachable!("it is small") };
        let input = input.as_text().expect("text");
        let is_poison = POISON.contains(&input);
        assert_eq!(run.is_quarantined(), is_poison, "{input}: {run:?}");
        let completed = matches!(run.outcome, Some(Outcome::Completed(_)));
        assert_eq!(completed, !is_poison, "{input}: {run:?}");
        assert_eq!(run.phase == Phase::Ended, !is_poison, "{input}: {run:?}");
        assert!(run.waits.iter().all(|wait| matches!(wait.on, WaitOn::Operator { .. })));
    }
}
