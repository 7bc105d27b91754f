//! What runs say into their sessions while they are worked: over crashes, interrupts, rollbacks and forks.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapStore};
use runtime_traits::log::{Author, EntryKind, Outcome, Phase};
use runtime_traits::model::{Spoken, project};
use runtime_traits::runtime::{
    AgentRef, ForkRequest, Joined, RunFilter, RunRequest, Runtime, Said, SessionPolicy, StreamItem,
};
use runtime_traits::store::{Batch, Seq, StateStore, Then};
use runtime_traits::{AgentSpec, Clock, Content, RunId, RuntimeError, SessionName};

const LONG: Duration = Duration::from_secs(20);

/// A store and gates that outlive the runtimes over them.
struct House {
    store: Arc<dyn StateStore>,
    gates: Gates,
}

impl House {
    fn new() -> Self {
        Self { store: Arc::new(MapStore::new()), gates: Gates::new() }
    }

    async fn open(&self) -> RuntimeManager {
        let builder = RuntimeManager::builder(Arc::clone(&self.store));
        let builder = kinds(&self.gates).into_iter().fold(builder, |builder, kind| builder.kind(kind));
        builder.configure(|config| config.park_after = Duration::from_millis(20)).open().await.unwrap()
    }

    async fn with(&self, kind: &str) -> (RuntimeManager, AgentRef) {
        let runtime = self.open().await;
        let agent = runtime.register_spec(AgentSpec::new(kind, kind).unwrap()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        (runtime, AgentRef::Id(agent))
    }
}

async fn submit(runtime: &RuntimeManager, agent: &AgentRef, request: impl Into<RunRequest>) -> RunId {
    runtime.submit(agent, request.into()).await.unwrap().run
}

async fn ended(runtime: &RuntimeManager, run: &RunId) -> Outcome {
    match runtime.join(run, LONG).await.unwrap() {
        Joined::Ended(finished) => finished.outcome,
        Joined::Open(view) => unreachable!("{view:?}"),
    }
}

async fn said_in(runtime: &RuntimeManager, agent: &AgentRef, session: &SessionName) -> Vec<Said> {
    runtime.messages(agent, session, None, 100).await.unwrap().items
}

async fn said(runtime: &RuntimeManager, agent: &AgentRef) -> Vec<Said> {
    said_in(runtime, agent, &SessionName::default()).await
}

fn authors(said: &[Said]) -> Vec<Author> {
    said.iter().map(|said| said.author).collect()
}

/// What a model would be sent of it: it can be, whatever became of the runs.
fn sent(said: &[Said]) -> usize {
    let spoken = |said: &Said| Spoken { author: said.author, run: said.run, content: said.content.clone() };
    project(&said.iter().map(spoken).collect::<Vec<_>>()).len()
}

const WHOLE: [Author; 4] = [Author::Caller, Author::Model, Author::Tool, Author::Agent];

#[tokio::test]
async fn what_was_said_before_a_crash_is_said_once() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    let run = submit(&runtime, &agent, "door").await;
    house.gates.arrived("door").await;

    let next = house.open().await;
    house.gates.open("door");

    assert_eq!(ended(&next, &run).await, Outcome::Completed(text("past door")));
    let said = said(&next, &agent).await;
    assert_eq!(authors(&said), WHOLE);
    assert_eq!(sent(&said), 4, "the reply, its result, the answer");
    let view = next.run_status(&run).await.unwrap();
    let model = view.steps.iter().find(|step| step.key.name.as_str() == "model").unwrap();
    assert_eq!(model.tries, 1, "what was settled is not done again");
}

fn text(text: &str) -> runtime_traits::Payload {
    runtime_traits::Payload::Inline(Content::text(text))
}

#[tokio::test]
async fn the_value_of_a_step_that_was_said_is_in_the_stream() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    house.gates.open("door");
    let run = submit(&runtime, &agent, "door").await;
    ended(&runtime, &run).await;

    let items: Vec<_> = runtime.stream(&run, Seq::FIRST).await.unwrap().collect().await;

    let settled: Vec<String> = items
        .into_iter()
        .filter_map(|item| match item.unwrap() {
            StreamItem::Entry { entry, content } if matches!(entry.kind, EntryKind::StepSettled(_)) => {
                content.map(|content| content.to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(settled.len(), 2);
    assert!(settled[0].contains("to door") && settled[1].contains("past door"), "{settled:?}");
}

#[tokio::test]
async fn a_run_is_shown_what_was_said_before_it_and_no_more_than_it_remembers() {
    let house = House::new();
    let (runtime, agent) = house.with("recall").await;

    let first = runtime.run_agent(agent.clone(), "one").await.unwrap().output.to_string();
    let second = runtime.run_agent(agent.clone(), "two").await.unwrap().output.to_string();

    assert_eq!(first, "");
    assert_eq!(second, "one (Agent)");
    for n in 0..20 {
        runtime.run_agent(agent.clone(), format!("n{n}")).await.unwrap();
    }
    let last = runtime.run_agent(agent, "last").await.unwrap().output.to_string();
    assert_eq!(last, "n15 (Agent) n16 (Agent) n17 (Agent) n18 (Agent) n19 (Agent)", "the last ten");
}

#[tokio::test]
async fn what_was_rolled_back_is_nobodys_predecessor() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    for gate in ["a", "b"] {
        house.gates.open(gate);
    }
    runtime.run_agent(agent.clone(), "a").await.unwrap();
    let gone = submit(&runtime, &agent, "held").await;
    house.gates.arrived("held").await;

    let rolling = RunRequest::new("b").when_busy(SessionPolicy::Rollback);
    let kept = submit(&runtime, &agent, rolling).await;
    ended(&runtime, &kept).await;

    assert_eq!(ended(&runtime, &gone).await, Outcome::RolledBack);
    let said = said(&runtime, &agent).await;
    assert!(said.iter().all(|said| said.run != gone));
    assert_eq!(authors(&said), [WHOLE, WHOLE].concat());
    assert!(said[4].seq.0 > said[3].seq.0 + 1, "what was rolled back lies between");
    assert_eq!(sent(&said), 8);
}

#[tokio::test]
async fn an_interrupt_that_a_crash_cut_off_is_made_good() {
    let below = Arc::new(MapStore::new());
    // The acceptance of the second run lands; what ends the first one does not.
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let house = House { store: Arc::clone(&store) as Arc<dyn StateStore>, gates: Gates::new() };
    let (runtime, agent) = house.with("talk").await;
    let first = submit(&runtime, &agent, "held").await;
    house.gates.arrived("held").await;
    let accepts = |batch: &Batch| {
        batch
            .then
            .iter()
            .any(|write| matches!(write, Then::Put(key, _) if key.path.to_string().starts_with("open/")))
    };
    store.decide_by(move |batch| if accepts(batch) { Fault::Pass } else { Fault::Unavailable });
    let request = RunRequest::new("free").when_busy(SessionPolicy::Interrupt);
    let second = submit(&runtime, &agent, request).await;

    let next = House { store: below, gates: house.gates.clone() }.open().await;
    house.gates.open("free");

    assert_eq!(ended(&next, &second).await, Outcome::Completed(text("past free")));
    assert!(matches!(ended(&next, &first).await, Outcome::Cancelled(_)));
}

#[tokio::test]
async fn a_fork_of_a_run_that_has_said_something_goes_on_from_there() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    house.gates.open("a");
    runtime.run_agent(agent.clone(), "a").await.unwrap();
    let run = submit(&runtime, &agent, "door").await;
    house.gates.arrived("door").await;

    let fork = runtime.fork(&run, ForkRequest::default()).await.unwrap();
    house.gates.open("door");

    assert_eq!(ended(&runtime, &fork).await, Outcome::Completed(text("past door")));
    assert_eq!(ended(&runtime, &run).await, Outcome::Completed(text("past door")));
    let session = runtime.run_status(&fork).await.unwrap().session;
    let copy = said_in(&runtime, &agent, &session).await;
    assert_eq!(
        authors(&copy),
        [WHOLE, WHOLE].concat(),
        "what was said before the original, and the copy's own"
    );
    assert_eq!(authors(&said(&runtime, &agent).await), [WHOLE, WHOLE].concat());
    assert_eq!(house.gates.times("door"), 2, "the call that was open is made anew");
    let runs = runtime.runs(RunFilter::default()).await.unwrap().items;
    assert_eq!(runs.len(), 3);
}

#[tokio::test]
async fn a_fork_outlives_a_crash() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    let run = submit(&runtime, &agent, "door").await;
    house.gates.arrived("door").await;
    let fork = runtime.fork(&run, ForkRequest::default()).await.unwrap();
    house.gates.arrived_times("door", 2).await;

    let next = house.open().await;
    house.gates.open("door");

    for run in [run, fork] {
        assert_eq!(ended(&next, &run).await, Outcome::Completed(text("past door")));
    }
}

#[tokio::test]
async fn a_restart_ends_no_run_that_began_after_the_one_that_takes_places() {
    let house = House::new();
    let clock = Arc::new(ManualClock::at(runtime_traits::UnixMillis(1_764_000_000_000)));
    let builder =
        RuntimeManager::builder(Arc::clone(&house.store)).clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let builder = kinds(&house.gates).into_iter().fold(builder, |builder, kind| builder.kind(kind));
    let runtime = builder.open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("talk", "talk").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let agent = AgentRef::Id(agent);
    let first = submit(&runtime, &agent, "first").await;
    house.gates.arrived("first").await;
    let second = submit(&runtime, &agent, "second").await;
    // The third is accepted, and then the end of the first is held back for a moment of the clock.
    let third = {
        let request = RunRequest::new("third").when_busy(SessionPolicy::Rollback);
        clock.advance(Duration::from_millis(5));
        submit(&runtime, &agent, request).await
    };
    house.gates.arrived("second").await;
    assert_eq!(ended(&runtime, &first).await, Outcome::RolledBack);

    let next = house.open().await;
    for gate in ["second", "third"] {
        house.gates.open(gate);
    }

    assert_eq!(ended(&next, &second).await, Outcome::Completed(text("past second")));
    assert_eq!(ended(&next, &third).await, Outcome::Completed(text("past third")));
}

#[tokio::test]
async fn an_answer_by_input_takes_no_key_and_outlives_its_caller() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let house = House { store: Arc::clone(&store) as Arc<dyn StateStore>, gates: Gates::new() };
    let (runtime, agent) = house.with("ask").await;
    let run = submit(&runtime, &agent, "which size?").await;
    while runtime.run_status(&run).await.unwrap().phase != Phase::Parked {
        tokio::task::yield_now().await;
    }
    let answer = || RunRequest::new("L").when_busy(SessionPolicy::Answer);
    let key = runtime_traits::IdempotencyKey::new("k").unwrap();
    let refused = runtime.submit(&agent, answer().with_key(key)).await;
    assert_eq!(refused, Err(RuntimeError::AnswerWithKey));

    store.decide_by(|_| Fault::Hold);
    {
        let request = answer();
        let answering = runtime.submit(&agent, request);
        let mut answering = std::pin::pin!(answering);
        tokio::select! {
            biased;
            _ = &mut answering => unreachable!("its commit is held"),
            () = store.until_held(1) => {}
        }
    }
    // The caller is gone.
    store.decide_by(|_| Fault::Pass);
    store.release().await;

    assert_eq!(ended(&runtime, &run).await, Outcome::Completed(text("L")));
}

#[tokio::test]
async fn a_fork_of_a_run_that_was_rolled_back_does_what_was_given_up() {
    let house = House::new();
    let (runtime, agent) = house.with("talk").await;
    let gone = submit(&runtime, &agent, "held").await;
    house.gates.arrived("held").await;
    house.gates.open("free");
    let rolling = RunRequest::new("free").when_busy(SessionPolicy::Rollback);
    ended(&runtime, &submit(&runtime, &agent, rolling).await).await;
    assert_eq!(ended(&runtime, &gone).await, Outcome::RolledBack);

    let fork = runtime.fork(&gone, ForkRequest::default()).await.unwrap();
    house.gates.open("held");

    assert_eq!(ended(&runtime, &fork).await, Outcome::Completed(text("past held")));
    let session = runtime.run_status(&fork).await.unwrap().session;
    assert_eq!(authors(&said_in(&runtime, &agent, &session).await), WHOLE);
}
