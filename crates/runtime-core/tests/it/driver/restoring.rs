//! What keeps an agent for long keeps no other agent waiting, and an agent that is restored is there or is not.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapSnapshots, MapStore, ReadFault};
use runtime_testkit::recount::cells;
use runtime_traits::agent::{Agent, AgentKind, SpecError};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RunRequest, Runtime, RuntimeError};
use runtime_traits::store::StateStore;
use runtime_traits::{AgentId, AgentSpec, Name, SessionName, StateId, Tenant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::house::{House, Scripted, World, output, submit};
use super::unnamed::slow_file;

const LONG: Duration = Duration::from_secs(10);
const MINUTES: Duration = Duration::from_secs(400);

/// A house whose reads a test holds, and whose time it turns on.
pub(crate) struct Held {
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) clock: Arc<ManualClock>,
    snapshots: Arc<MapSnapshots>,
    pub(crate) house: House,
}

impl Held {
    pub(crate) fn new() -> Self {
        let below = Arc::new(MapStore::new()) as Arc<dyn StateStore>;
        let store = Arc::new(FaultyStore::new(below, |_| Fault::Pass));
        let clock = Arc::new(ManualClock::default());
        let over = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
        let house = House { clock: Some(Arc::clone(&clock) as _), ..over };
        let snapshots = Arc::new(MapSnapshots::new(Arc::clone(&house.store)));
        Self { store, clock, snapshots, house }
    }

    pub(crate) async fn open(&self) -> RuntimeManager {
        self.house.builder().snapshots(Arc::clone(&self.snapshots) as _).open().await.unwrap()
    }

    pub(crate) async fn agent(&self, runtime: &RuntimeManager, name: &str) -> AgentId {
        let agent = runtime.register_spec(AgentSpec::new("scripted", name).unwrap()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        agent
    }

    /// An agent with two conversations, and a snapshot of it.
    async fn saved(&self, runtime: &RuntimeManager) -> (AgentId, StateId) {
        let agent = self.agent(runtime, "a").await;
        for session in ["one", "two"] {
            let request = RunRequest::new("said").in_session(SessionName::new(session).unwrap());
            Runtime::run(runtime, &AgentRef::Id(agent), request).await.unwrap();
        }
        (agent, runtime.save_state(agent).await.unwrap())
    }

    /// Holds the answer of whoever reads a conversation.
    fn hold_conversations(&self) {
        self.store.decide_reads_by(|log| {
            if log.path.to_string().contains("/msg/") { ReadFault::HoldAnswer } else { ReadFault::Pass }
        });
    }

    /// Lets time pass, and what falls due then be done.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::sleep(Duration::from_secs(65)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_restored_for_long_is_not_taken_for_a_leftover_while_somebody_writes() {
    let held = Held::new();
    let runtime = held.open().await;
    let (_, state) = held.saved(&runtime).await;
    held.hold_conversations();

    let restoring = runtime.restore_agent(&state);
    let passing = async {
        for _ in 0..2 {
            held.store.until_read_held().await;
            held.pass(MINUTES).await;
            held.store.release_read();
        }
    };
    let (restored, ()) = tokio::join!(restoring, passing);

    held.store.decide_reads_by(|_| ReadFault::Pass);
    held.pass(2 * MINUTES).await;
    let restored = restored.unwrap();
    assert_eq!(runtime.run_agent(restored, "on").await.unwrap().output.to_string(), "on");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_removed_while_it_was_restored_is_not_there_and_its_name_is_free() {
    let held = Held::new();
    let runtime = held.open().await;
    let (_, state) = held.saved(&runtime).await;
    held.hold_conversations();

    let restoring = Runtime::restore_agent(&runtime, &state, Some(Name::new("b").unwrap()));
    let passing = async {
        held.store.until_read_held().await;
        held.pass(2 * MINUTES).await;
        held.store.decide_reads_by(|_| ReadFault::Pass);
        held.store.release_read();
    };
    let (restored, ()) = tokio::join!(restoring, passing);

    let refused = restored.unwrap_err();
    assert!(matches!(&refused, RuntimeError::WrongState { agent, .. } if agent == "b"), "{refused}");
    assert_eq!(runtime.agents(None, 10).await.unwrap().items.len(), 1);
    let b = held.agent(&runtime, "b").await;
    assert_eq!(runtime.run_agent(b, "on").await.unwrap().output.to_string(), "on");
}

#[tokio::test]
async fn an_agent_that_is_put_back_keeps_no_other_waiting() {
    let held = Held::new();
    let runtime = held.open().await;
    let (a, state) = held.saved(&runtime).await;
    let mut nth = 0;
    let beside = loop {
        let agent = held.agent(&runtime, &format!("n{nth}")).await;
        if agent.partition() == a.partition() {
            break agent;
        }
        nth += 1;
    };
    runtime.stop_agent(a).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    // Nobody is in memory.
    let runtime = held.open().await;
    let of_a = keys::messages(&Tenant::default(), &a, &SessionName::new("one").unwrap());
    held.store.decide_reads_by(move |log| if *log == of_a { ReadFault::HoldAnswer } else { ReadFault::Pass });

    let a = AgentRef::Id(a);
    let (put, ran) = tokio::join!(runtime.restore_in_place(&state, &a), async {
        held.store.until_read_held().await;
        let ran = tokio::time::timeout(LONG, runtime.run_agent(beside, "on")).await;
        held.store.decide_reads_by(|_| ReadFault::Pass);
        held.store.release_read();
        ran
    });

    assert_eq!(ran.expect("it does not wait").unwrap().output.to_string(), "on");
    put.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_stopped_while_contents_are_looked_for_and_what_names_them_is_refused_in_time() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    runtime.run_agent(agent, "big:50000").await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    held.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    let marks = keys::marks_all(agent.partition(), &Tenant::default());
    held.store
        .decide_scans_by(move |key| if *key == marks { ReadFault::HoldAnswer } else { ReadFault::Pass });
    let runtime = held.open().await;
    held.store.until_read_held().await;

    let within = tokio::time::timeout(Duration::from_secs(1), runtime.stop_agent(agent)).await;
    within.expect("it does not wait").unwrap();
    runtime.start_agent(agent).await.unwrap();
    let saved = tokio::time::timeout(Duration::from_secs(60), runtime.save_state(agent)).await;
    assert_eq!(saved.expect("it does not wait for ever").unwrap_err().code(), "busy");

    held.store.decide_scans_by(|_| ReadFault::Pass);
    held.store.release_read();
    runtime.save_state(agent).await.unwrap();
}

#[tokio::test]
async fn a_name_that_was_read_before_its_agent_was_deleted_is_looked_for_again() {
    let held = Held::new();
    let runtime = held.open().await;
    let a = held.agent(&runtime, "a").await;
    runtime.stop_agent(a).await.unwrap();
    // These have read the name, and nothing else. Then another process deletes the agent.
    let name = AgentRef::Name(Name::new("a").unwrap());
    let (registers, submits, looks) = (held.open().await, held.open().await, held.open().await);
    for runtime in [&registers, &submits, &looks] {
        assert_eq!(Runtime::agent(runtime, &name).await.unwrap().id, a);
    }
    let other = held.open().await;
    other.unregister(&AgentRef::Id(a)).await.unwrap();
    let b = held.agent(&other, "a").await;

    assert_eq!(Runtime::agent(&looks, &name).await.unwrap().id, b);
    let unknown = submits.submit(&name, RunRequest::new("x")).await.unwrap_err();
    assert_eq!(unknown.code(), "unknown-agent");
    submits.submit(&name, RunRequest::new("x")).await.unwrap();
    assert_eq!(registers.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap(), b);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_slowly_keeps_contents_from_being_looked_for_nowhere_else() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    runtime.run_agent(agent, "big:50000").await.unwrap();
    runtime.stop_agent(agent).await.unwrap();
    runtime.unregister(&AgentRef::Id(agent)).await.unwrap();
    let partition = agent.partition();
    let has_contents = async || {
        let cells = cells(held.house.store.as_ref(), partition).await;
        cells.iter().any(|(key, _)| key.path.to_string().contains("/blob/"))
    };
    assert!(has_contents().await);
    let elsewhere = Partition { index: (partition.index + 1) % Partition::COUNT, ..partition };
    let (_end, ended) = oneshot::channel();

    tokio::select! {
        imported = runtime.import_snapshot(slow_file(elsewhere, ended)) => unreachable!("it never ends: {imported:?}"),
        () = async { for _ in 0..3 { held.pass(Duration::from_secs(24 * 60 * 60)).await } } => {}
    }

    assert!(!has_contents().await);
}

/// Builds its agents when a test lets it.
#[derive(Debug)]
struct Slow(Arc<World>);

impl AgentKind for Slow {
    fn name(&self) -> Name {
        Name::new("slow").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.0.block("door");
        Ok(Arc::new(Scripted::new(&self.0, spec.name.clone())))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_slow_to_build_stops_no_clock() {
    let house = House::new();
    let open = World::new();
    open.unblock("door");
    let runtime = house.builder().kind(Arc::new(Slow(open))).open().await.unwrap();
    let slow = runtime.register_spec(AgentSpec::new("slow", "slow").unwrap()).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    let door = World::new();
    let runtime = house.builder().kind(Arc::new(Slow(Arc::clone(&door)))).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let mut starting = JoinSet::new();
    starting.spawn({
        let runtime = runtime.clone();
        async move { runtime.start_agent(slow).await }
    });

    let sleeps = submit(&runtime, agent, "sleep:200 slept").await;
    let slept = tokio::time::timeout(LONG, output(&runtime, sleeps)).await;
    door.unblock("door");

    assert_eq!(slept.expect("time goes on"), "slept");
    starting.join_next().await.unwrap().unwrap().unwrap();
}
