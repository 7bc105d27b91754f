//! Copies of runs: what goes into them, what does not, and who is in their sessions.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore};
use runtime_traits::log::{Outcome, Phase};
use runtime_traits::runtime::{
    AgentRef, ForkRequest, Joined, RunRequest, Runtime, RuntimeError, SessionPolicy,
};
use runtime_traits::store::{Batch, BatchId, Durability, Log, Path, Seq, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, RunId, SessionName, Tenant};

use super::house::{House, output, submit, until_phase};

const LONG: Duration = Duration::from_secs(10);

fn session(name: &str) -> SessionName {
    SessionName::new(name).unwrap()
}

fn into(name: &str) -> ForkRequest {
    ForkRequest { session: Some(session(name)), ..ForkRequest::default() }
}

fn anew(input: &str) -> ForkRequest {
    ForkRequest { input: Some(input.into()), ..ForkRequest::default() }
}

/// Goes on where the original can.
async fn fork(runtime: &RuntimeManager, run: RunId) -> RunId {
    runtime.fork(&run, ForkRequest::default()).await.unwrap()
}

async fn refused(runtime: &RuntimeManager, run: RunId, request: ForkRequest) -> String {
    runtime.fork(&run, request).await.unwrap_err().code().to_owned()
}

async fn ended(runtime: &RuntimeManager, run: RunId) -> Outcome {
    match runtime.join(&run, LONG).await.unwrap() {
        Joined::Ended(finished) => finished.outcome,
        Joined::Open(view) => unreachable!("{view:?}"),
    }
}

async fn texts(runtime: &RuntimeManager, agent: AgentId, session: &SessionName) -> Vec<String> {
    let page = runtime.messages(&AgentRef::Id(agent), session, None, 100).await.unwrap();
    page.items.into_iter().map(|said| said.content.to_string()).collect()
}

fn faulty() -> (Arc<MapStore>, Arc<FaultyStore>, House) {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    (below, store, house)
}

fn opens_a_run(batch: &Batch) -> bool {
    let opens =
        |write: &Then| matches!(write, Then::Put(key, _) if key.path.to_string().starts_with("open/"));
    batch.then.iter().any(opens)
}

#[tokio::test]
async fn a_fork_of_a_cancelled_run_does_what_was_given_up() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    let fork = fork(&runtime, run).await;
    house.world.began("b").await;
    house.world.open("b");

    assert_eq!(output(&runtime, fork).await, "a! b!");
    assert_eq!(house.world.times("a"), 1, "what was settled stays done");
}

#[tokio::test]
async fn nobody_wants_a_copy_to_end() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "again:a cancelled again:b").await;
    house.world.began("a").await;
    runtime.cancel(&run, "enough", LONG).await.unwrap();

    let fork = fork(&runtime, run).await;

    let view = runtime.run_status(&fork).await.unwrap();
    assert_eq!((view.cancel, view.outcome), (None, None));
}

#[tokio::test]
async fn a_run_that_comes_while_its_session_is_copied_into_waits_for_the_copy() {
    let (_, store, house) = faulty();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    store.decide_by(|_| Fault::Hold);

    let mut forking = pin!(runtime.fork(&run, into("x")));
    assert!(forking.as_mut().now_or_never().is_none());
    store.until_held(1).await;
    let request = RunRequest::new("held:m").in_session(session("x"));
    let agent_ref = AgentRef::Id(agent);
    let mut coming = pin!(runtime.submit(&agent_ref, request));
    assert!(coming.as_mut().now_or_never().is_none());
    store.until_held(2).await;
    store.decide_by(|_| Fault::Pass);
    store.release().await;
    let (fork, coming) = futures_util::future::join(forking, coming).await;
    let (fork, coming) = (fork.unwrap(), coming.unwrap().run);
    house.world.began("b").await;

    assert_eq!(runtime.run_status(&coming).await.unwrap().phase, Phase::Queued);
    assert_eq!(refused(&runtime, run, into("x")).await, "cannot-fork", "the session is in use");
    house.world.open("b");
    house.world.open("b");
    house.world.open("m");
    assert_eq!(output(&runtime, fork).await, "a! b!");
    assert_eq!(output(&runtime, coming).await, "m!");
    let said = ["again:a held:b", "a! b!", "held:m", "m!"];
    assert_eq!(texts(&runtime, agent, &session("x")).await, said);
}

#[tokio::test]
async fn a_copy_goes_into_a_session_in_which_nothing_was_said_and_that_is_known() {
    let (_, store, house) = faulty();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "before").await.unwrap();
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    // A run there is rolled back for another one, which never has its turn.
    let agent_ref = AgentRef::Id(agent);
    let there = |input: &str| RunRequest::new(input).in_session(session("x"));
    let gone = runtime.submit(&agent_ref, there("held:r")).await.unwrap().run;
    house.world.began("r").await;
    store.decide_by(|batch| if opens_a_run(batch) { Fault::Hold } else { Fault::Pass });
    let rolling = there("y").when_busy(SessionPolicy::Rollback);
    let mut rolling = pin!(runtime.submit(&agent_ref, rolling));
    assert!(rolling.as_mut().now_or_never().is_none());
    store.until_held(1).await;
    store.decide_by(|_| Fault::Pass);
    let (stopped, _) = futures_util::future::join(runtime.stop_agent(agent), store.release()).await;
    stopped.unwrap();
    let rolling = rolling.await.unwrap().run;
    assert_eq!(ended(&runtime, gone).await, Outcome::RolledBack);
    runtime.cancel(&rolling, "enough", Duration::ZERO).await.unwrap();
    runtime.start_agent(agent).await.unwrap();

    let fork = runtime.fork(&run, into("x")).await.unwrap();
    house.world.open("b");
    house.world.open("b");

    assert_eq!(output(&runtime, fork).await, "a! b!");
    let said = ["before", "before", "again:a held:b", "a! b!"];
    assert_eq!(texts(&runtime, agent, &session("x")).await, said);
}

#[tokio::test]
async fn a_copy_that_is_open_is_worked_whatever_its_caller_would_have_been_told() {
    let (below, store, house) = faulty();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    // The revision that the run was accepted with has to be read.
    let spec = AgentSpec::new("scripted", "a").unwrap().described("changed");
    runtime.register_spec(spec).await.unwrap();
    let unreadable = Arc::clone(&below);
    store.decide_by(move |batch| {
        if opens_a_run(batch) {
            unreadable.fail_reads(true);
        }
        Fault::Pass
    });

    let fork = fork(&runtime, run).await;
    below.fail_reads(false);
    house.world.open("b");
    house.world.open("b");

    assert_eq!(output(&runtime, fork).await, "a! b!");
}

#[tokio::test]
async fn a_copy_that_the_store_refuses_leaves_its_session_as_it_was() {
    let (_, store, house) = faulty();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "before").await.unwrap();
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    store.decide_by(|batch| if opens_a_run(batch) { Fault::Unavailable } else { Fault::Pass });

    assert_eq!(refused(&runtime, run, into("x")).await, "store");
    store.decide_by(|_| Fault::Pass);
    assert_eq!(runtime.status().await.unwrap().open_runs, 1);
    let fork = runtime.fork(&run, into("x")).await.unwrap();
    house.world.open("b");
    house.world.open("b");

    assert_eq!(output(&runtime, fork).await, "a! b!");
    let said = ["before", "before", "again:a held:b", "a! b!"];
    assert_eq!(texts(&runtime, agent, &session("x")).await, said, "and nothing that was copied before");
}

#[tokio::test]
async fn a_copy_that_is_refused_leaves_nothing_in_the_store() {
    let (below, store, house) = faulty();
    let (runtime, agent) = house.with_agent().await;
    // Which logs hold something, and how much.
    let stored = async || {
        let messages = keys::messages_all(&Tenant::default(), &agent);
        let runs = Log { partition: agent.partition(), path: Path::new("run/").unwrap() };
        let mut held = Vec::new();
        for under in [messages, runs] {
            let extents = below.logs(&under, None, 100).await.unwrap().into_iter();
            let extents = extents.map(|extent| (extent.log, extent.next.0 - extent.first.0));
            held.extend(extents.filter(|(_, count)| *count > 0));
        }
        held
    };
    // What one batch takes, and what takes several: of messages, and of entries.
    let long = (0..40).map(|n| format!("again:n{n} ")).collect::<String>() + "held:e";
    for (turns, script) in [(1, "again:a held:b"), (40, "again:c held:d"), (0, &long)] {
        for _ in 0..turns {
            runtime.run_agent(agent, "before").await.unwrap();
        }
        let run = submit(&runtime, agent, script).await;
        let held = script.rsplit(':').next().unwrap();
        house.world.began(held).await;
        let before = stored().await;
        store.decide_by(|batch| if opens_a_run(batch) { Fault::TooLarge } else { Fault::Pass });

        assert_eq!(refused(&runtime, run, into("x")).await, "store");
        store.decide_by(|_| Fault::Pass);
        assert_eq!(stored().await, before, "{script}");
        let copy = runtime.fork(&run, into(held)).await.unwrap();
        house.world.began(held).await;
        house.world.open(held);
        house.world.open(held);
        output(&runtime, copy).await;
        output(&runtime, run).await;
    }
    let run = submit(&runtime, agent, "again:f").await;
    output(&runtime, run).await;
    let copy = runtime.fork(&run, into("x")).await.unwrap();
    assert_eq!(output(&runtime, copy).await, "f!", "where copies were refused one is taken");
    let said = texts(&runtime, agent, &SessionName::default()).await;
    assert_eq!(texts(&runtime, agent, &session("x")).await, said);
}

#[tokio::test]
async fn what_the_original_used_is_not_counted_again() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "used:7 dropped:4 held:b").await;
    house.world.began("b").await;

    let fork = fork(&runtime, run).await;
    house.world.open("b");
    house.world.open("b");

    for (run, used) in [(run, 11), (fork, 0)] {
        output(&runtime, run).await;
        assert_eq!(runtime.run_status(&run).await.unwrap().usage.input_tokens, used);
    }
    let sum = keys::usage(&Tenant::default(), &agent, "input-tokens");
    let sum = house.store.get(&[sum]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(sum.value, "11");
}

#[tokio::test]
async fn a_copy_sees_the_time_and_the_chance_of_its_original() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let script = "drawn sleep:5 drawn held:b drawn";
    let run = submit(&runtime, agent, script).await;
    house.world.began("b").await;

    let first = fork(&runtime, run).await;
    house.world.began("b").await;
    let second = fork(&runtime, first).await;
    house.world.began("b").await;
    for _ in 0..3 {
        house.world.open("b");
    }

    let drawn = |output: String| output.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    let original = drawn(output(&runtime, run).await);
    for copy in [first, second] {
        assert_eq!(drawn(output(&runtime, copy).await), original);
    }
    house.world.open("b");
    let afresh = runtime.fork(&run, anew(script)).await.unwrap();
    let (afresh, original) = (drawn(output(&runtime, afresh).await), &original[0]);
    let chance = |drawn: &str| drawn.split('-').nth(1).unwrap().to_owned();
    assert_ne!(chance(&afresh[0]), chance(original), "what begins anew draws for itself");
}

#[tokio::test]
async fn a_copy_has_the_state_that_its_original_began_with() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "state:one again:a").await;
    assert_eq!(output(&runtime, first).await, "one a!");
    assert_eq!(refused(&runtime, first, ForkRequest::default()).await, "cannot-fork", "it has set it");
    let second = submit(&runtime, agent, "state:two held:b").await;
    house.world.began("b").await;

    let open = fork(&runtime, second).await;
    house.world.open("b");
    house.world.open("b");
    assert_eq!(output(&runtime, open).await, "one,two b!");
    output(&runtime, second).await;
    assert_eq!(refused(&runtime, second, ForkRequest::default()).await, "cannot-fork");
    let afresh = runtime.fork(&second, anew("state:new")).await.unwrap();
    assert_eq!(output(&runtime, afresh).await, "new", "what it began with is not there any more");

    let third = submit(&runtime, agent, "again:c").await;
    output(&runtime, third).await;
    let last = runtime.fork(&third, into("x")).await.unwrap();
    assert_eq!(output(&runtime, last).await, "c!");
    let there = RunRequest::new("state:three").in_session(session("x"));
    let there = runtime.run(&AgentRef::Id(agent), there).await.unwrap();
    assert_eq!(there.into_result().unwrap().output.to_string(), "one,two,three");
}

#[tokio::test]
async fn a_copy_is_not_told_what_was_said_after_its_original() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "one").await.unwrap();
    let gone = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    let rolling = RunRequest::new("two").when_busy(SessionPolicy::Rollback);
    runtime.run(&AgentRef::Id(agent), rolling).await.unwrap();
    assert_eq!(ended(&runtime, gone).await, Outcome::RolledBack);
    let third = submit(&runtime, agent, "three").await;
    output(&runtime, third).await;
    runtime.run_agent(agent, "four").await.unwrap();

    let Err(RuntimeError::CannotFork { reason, .. }) = runtime.fork(&gone, ForkRequest::default()).await
    else {
        unreachable!("what was said before it is not known")
    };
    assert!(reason.contains("submit"), "{reason}");
    runtime.fork(&third, into("x")).await.unwrap();
    let fork = runtime.fork(&third, into("y")).await.unwrap();
    assert_eq!(output(&runtime, fork).await, "three");
    let said = ["one", "one", "two", "two", "three", "three"];
    assert_eq!(texts(&runtime, agent, &session("y")).await, said);
}

#[tokio::test]
async fn a_run_whose_conversation_was_let_go_cannot_be_copied() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "one").await;
    output(&runtime, run).await;
    runtime.run_agent(agent, "two").await.unwrap();
    let log = keys::messages(&Tenant::default(), &agent, &SessionName::default());
    let (partition, fence, when) = (agent.partition(), None, Vec::new());
    // The run's own last message is the first that is left.
    let then = vec![Then::Trim(log, Seq(2))];
    let trim = Batch { id: BatchId(1), partition, fence, when, then, durability: Durability::Memory };
    house.store.commit(trim).await.unwrap();

    assert_eq!(refused(&runtime, run, ForkRequest::default()).await, "cannot-fork");
    assert_eq!(refused(&runtime, run, anew("three")).await, "cannot-fork");
}

#[tokio::test]
async fn a_fork_is_refused_where_a_new_run_is() {
    let house = House::new();
    let runtime = house.builder().configure(|config| config.max_open = 1).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;

    assert_eq!(refused(&runtime, run, ForkRequest::default()).await, "busy");
    house.world.open("b");
    output(&runtime, run).await;
    assert_eq!(refused(&runtime, run, anew("")).await, "empty-input");
    let copy = fork(&runtime, run).await;
    output(&runtime, copy).await;
    assert_eq!(runtime.status().await.unwrap().open_runs, 0, "each is counted once");
    runtime.shutdown(LONG).await.unwrap();
    assert_eq!(refused(&runtime, run, ForkRequest::default()).await, "shutting-down");

    let resting = house.builder().configure(|config| config.at_rest = true).open().await.unwrap();
    let submitted = resting.submit(&AgentRef::Id(agent), "x".into()).await.unwrap_err();
    let forked = resting.fork(&run, ForkRequest::default()).await.unwrap_err();
    assert_eq!(forked, submitted);
}

#[tokio::test]
async fn a_copy_is_not_woken_by_the_timers_of_its_original() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "sleep:5 held:b").await;
    house.world.began("b").await;

    fork(&runtime, run).await;

    let due = house.store.scan(&keys::due_all(run.partition()), None, 10).await.unwrap();
    assert!(due.iter().all(|(cell, _)| !cell.path.to_string().contains("/wake/")), "{due:?}");
}

#[tokio::test]
async fn a_copy_in_a_runtime_without_its_kind_begins_when_that_is_there() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "again:a held:b").await;
    house.world.began("b").await;
    let without = RuntimeManager::builder(Arc::clone(&house.store)).open().await.unwrap();
    let copy = fork(&without, run).await;
    until_phase(&without, copy, Phase::Parked).await;

    let with = house.open().await;
    // The attempt that was lost is still here, and so is the original.
    for _ in 0..3 {
        house.world.open("b");
    }

    assert_eq!(output(&with, copy).await, "a! b!");
}
