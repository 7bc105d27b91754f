//! One interleaving, from its seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_runtime::log::{Author, Outcome, Receipt, Stopped, WaitOn};
use agent_runtime::model::{ChatMessage, NO_RESULT, Spoken, project};
use agent_runtime::runtime::{
    CancelReceipt, Decision, ForkRequest, Joined, Reply, RunFilter, RunRequest, SessionPolicy, StreamItem,
};
use agent_runtime::store::{Seq, StateStore};
use agent_runtime::{
    AgentRef, Builder, Content, Digest, Effect, EntryKind, LlmAgent, RunId, RunView, Runtime, RuntimeError,
    RuntimeManager,
};
use futures_util::StreamExt;
use runtime_testkit::fakes::{Chance, MapStore, SeededEntropy};
use runtime_testkit::suites::transcript::{Rules, check};
use tokio::time::{Instant, sleep, timeout};

use super::world::{Deed, Life, Seen, Simulated, Talker, World};

/// Longer than anything takes that ends at all, on a clock that costs nothing.
const LONG: Duration = Duration::from_secs(3_600);

/// A process with the agent.
struct Process {
    runtime: RuntimeManager,
    life: Life,
    agent: AgentRef,
}

/// Plays an interleaving, and says what happened in it.
pub(super) fn play(seed: u64) -> Seen {
    let executor =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = World::new(seed);
    let playing = AssertUnwindSafe(|| executor.block_on(played_from(seed, Arc::clone(&world))));
    if let Err(panic) = catch_unwind(playing) {
        eprintln!("the seed is {seed}");
        resume_unwind(panic);
    }
    world.seen()
}

async fn open(world: &Arc<World>, store: &Arc<dyn StateStore>, begun: Instant, seed: u64) -> Process {
    let life = Life::new(world);
    let core: Builder = RuntimeManager::builder(Arc::clone(store));
    let core = core.clock(Arc::new(Simulated(begun))).entropy(Arc::new(SeededEntropy::new(seed)));
    let runtime: RuntimeManager =
        core.configure(|config| config.park_after = Duration::from_millis(150)).open().await.unwrap().into();
    let model = agent_runtime::Retrying::new(Talker(life.clone()), 2);
    let agent = LlmAgent::new("clerk", model)
        .tool(Deed::new(&life, "look", Effect::Repeatable, false))
        .tool(Deed::new(&life, "pay", Effect::AtMostOnce, false))
        .tool(Deed::new(&life, "ask_first", Effect::AtMostOnce, true))
        .window(12)
        .build()
        .unwrap();
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    Process { runtime, life, agent: AgentRef::Id(agent) }
}

async fn played_from(seed: u64, world: Arc<World>) {
    let mut chance = Chance::new(seed);
    let begun = begin();
    let store: Arc<dyn StateStore> = Arc::new(MapStore::new());
    let mut process = open(&world, &store, begun, seed).await;
    let mut runs: Vec<(RunId, String)> = Vec::new();
    let mut receipts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..3 + chance.below(8) {
        sleep(Duration::from_millis(chance.below(300))).await;
        match chance.below(12) {
            0..=4 => submit(&process, &mut chance, &mut runs).await,
            5 | 6 => cancel(&process, &mut chance, &runs, &world, &mut receipts).await,
            7 => {
                process.life.dead.store(true, Ordering::SeqCst);
                world.seen.lock().unwrap().crashes += 1;
                process = open(&world, &store, begun, seed.wrapping_add(chance.bits())).await;
            }
            8 | 9 => people(&process, &mut chance, &world).await,
            10 => fork(&process, &mut chance, &runs).await,
            _ => tokio::task::yield_now().await,
        }
    }
    end_all(&process, &mut chance, &world).await;
    for (who, sent) in &receipts {
        assert_eq!(world.sent_by(who), *sent, "something was sent for {who} after its receipt");
    }
    assert_eq!(world.doubled(), [""; 0], "done twice");
    for run in process.runtime.runs(RunFilter { limit: 1_000, ..RunFilter::default() }).await.unwrap().items {
        ended_well(&process, &run, &world).await;
    }
    process.runtime.shutdown(Duration::ZERO).await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the simulated clock begins where the executor's does")]
fn begin() -> Instant {
    Instant::now()
}

async fn submit(process: &Process, chance: &mut Chance, runs: &mut Vec<(RunId, String)>) {
    let who = format!("run-{}", runs.len());
    let policies =
        [SessionPolicy::Enqueue, SessionPolicy::Interrupt, SessionPolicy::Rollback, SessionPolicy::Reject];
    let policy = *chance.pick(&policies).unwrap();
    let request = RunRequest::new(who.clone()).when_busy(policy);
    match process.runtime.submit(&process.agent, request).await {
        Ok(submitted) => runs.push((submitted.run, who)),
        Err(RuntimeError::SessionBusy { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn cancel(
    process: &Process,
    chance: &mut Chance,
    runs: &[(RunId, String)],
    world: &Arc<World>,
    receipts: &mut BTreeMap<String, usize>,
) {
    let Some((run, who)) = chance.pick(runs) else { return };
    let within = Duration::from_millis(chance.below(100));
    let receipt = process.runtime.cancel(run, "by chance", within).await;
    if let Ok(CancelReceipt::Cancelled(Receipt { stopped: Stopped::Complete | Stopped::Dropped, .. })) =
        receipt
    {
        world.seen.lock().unwrap().receipts += 1;
        // A copy of the run names itself like the original: then nobody can tell.
        receipts.entry(who.clone()).or_insert_with(|| world.sent_by(who));
    }
}

/// Somebody looks at what waits, and says something.
async fn people(process: &Process, chance: &mut Chance, world: &Arc<World>) {
    let open = RunFilter { open: true, limit: 1_000, ..RunFilter::default() };
    for view in process.runtime.runs(open).await.unwrap().items {
        let view = process.runtime.run_status(&view.run).await.unwrap();
        for wait in &view.waits {
            match &wait.on {
                WaitOn::Approval(step) => {
                    let other = Reply::Approve { digest: Digest::of(b"another call") };
                    let refused = process.runtime.answer(&view.run, step, other).await;
                    assert!(refused.is_err(), "consent to another call is none");
                    let yes = chance.once_in(2);
                    let reply = if yes {
                        Reply::Approve { digest: wait.digest }
                    } else {
                        Reply::Deny { reason: "no".to_owned() }
                    };
                    if process.runtime.answer(&view.run, step, reply).await.is_ok() {
                        let mut seen = world.seen.lock().unwrap();
                        seen.consents += u64::from(yes);
                        seen.denials += u64::from(!yes);
                    }
                }
                WaitOn::Decision(step) => {
                    let decision = match chance.below(3) {
                        0 => Decision::Repeat,
                        1 => Decision::Assume(Content::json("assumed").unwrap()),
                        _ => Decision::Fail,
                    };
                    if process.runtime.decide(&view.run, step, decision).await.is_ok() {
                        world.seen.lock().unwrap().decisions += 1;
                    }
                }
                _ => {}
            }
        }
    }
}

async fn fork(process: &Process, chance: &mut Chance, runs: &[(RunId, String)]) {
    let Some((run, _)) = chance.pick(runs) else { return };
    // Another name, so that what it sends is its own.
    let request = ForkRequest {
        input: Some(format!("run-{}", 1_000 + chance.below(4)).into()),
        ..ForkRequest::default()
    };
    let forked = process.runtime.fork(run, request).await;
    // What was said before a run that was rolled back, or never began, is not known.
    assert!(matches!(forked, Ok(_) | Err(RuntimeError::CannotFork { .. })), "{forked:?}");
}

/// Sees every run to its end: nothing is left that nobody can end.
async fn end_all(process: &Process, chance: &mut Chance, world: &Arc<World>) {
    let all = async {
        while process.runtime.status().await.unwrap().open_runs > 0 {
            people(process, chance, world).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(LONG, all).await.is_err() {
        let open = RunFilter { open: true, ..RunFilter::default() };
        panic!("these do not end: {:#?}", process.runtime.runs(open).await.unwrap().items);
    }
}

/// What a run's log says can be sent to every provider, at every point of it.
async fn ended_well(process: &Process, view: &RunView, world: &Arc<World>) {
    let joined = process.runtime.join(&view.run, Duration::ZERO).await.unwrap();
    let Joined::Ended(finished) = joined else { panic!("{joined:?}") };
    {
        let mut seen = world.seen.lock().unwrap();
        match finished.outcome {
            Outcome::Completed(_) => seen.completed += 1,
            Outcome::Cancelled(_) => seen.cancelled += 1,
            Outcome::RolledBack => seen.rolled_back += 1,
            Outcome::Failed(_) | Outcome::Continued(_) => {}
        }
    }
    let completed = matches!(finished.outcome, Outcome::Completed(_));
    let mut spoken: Vec<Spoken> = Vec::new();
    let mut items = process.runtime.stream(&view.run, Seq::FIRST).await.unwrap();
    while let Some(item) = items.next().await {
        let StreamItem::Entry { entry, content } = item.unwrap() else { continue };
        match (&entry.kind, content) {
            (EntryKind::Accepted(accepted), None) => {
                let agent_runtime::Payload::Inline(content) = &accepted.input else { panic!("it is small") };
                spoken.push(Spoken { author: Author::Caller, run: view.run, content: content.clone() });
            }
            (EntryKind::StepSettled(settled), Some(content)) if settled.messages.is_some() => {
                let author = if settled.key.name.as_str() == "model" { Author::Model } else { Author::Tool };
                spoken.push(Spoken { author, run: view.run, content });
            }
            _ => {}
        }
        let sent = project(&spoken);
        for rules in [Rules::OpenAi, Rules::Anthropic] {
            assert!(check(&sent, rules).is_ok(), "{rules:?}: {:?}\n{sent:#?}", check(&sent, rules));
        }
    }
    let unanswered =
        |message: &ChatMessage| matches!(message, ChatMessage::Tool { text, .. } if text == NO_RESULT);
    assert!(
        !completed || !project(&spoken).iter().any(unanswered),
        "a run that completed has told all: {spoken:#?}"
    );
}
