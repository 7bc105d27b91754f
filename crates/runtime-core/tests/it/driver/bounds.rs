//! What is bounded: queues, open runs, and how long an idempotency key is kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime_core::{Builder, RuntimeManager};
use runtime_testkit::fakes::ManualClock;
use runtime_traits::runtime::{AgentRef, RunFilter, RunRequest, Runtime, RuntimeError, Submitted};
use runtime_traits::store::{Key, Log, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, IdempotencyKey, RunId, SessionName};

use super::house::{House, meddle, output};

const LONG: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOMENT: Duration = Duration::from_millis(1);

/// Opens a runtime with these settings and a started agent.
async fn with_agent(builder: Builder) -> (RuntimeManager, AgentRef) {
    let runtime = builder.open().await.expect("the store opens");
    let spec = AgentSpec::new("scripted", "a").expect("good names");
    let agent = runtime.register_spec(spec).await.expect("it is registered");
    runtime.start_agent(agent).await.expect("it is started");
    (runtime, AgentRef::Id(agent))
}

fn keyed(script: &str, key: &str) -> RunRequest {
    RunRequest::new(script).with_key(IdempotencyKey::new(key).expect("a good key"))
}

fn apart(script: &str, session: &str) -> RunRequest {
    RunRequest::new(script).in_session(SessionName::new(session).expect("a good name"))
}

/// What is full, and how many fit.
fn full(refused: Result<Submitted, RuntimeError>) -> (String, u64) {
    match refused {
        Err(RuntimeError::Busy { what, limit, retry_after }) if !retry_after.is_zero() => (what, limit),
        other => (format!("{other:?}"), 0),
    }
}

/// Submits until another run than `first` is given: what has fallen due is done beside.
async fn until_another(
    runtime: &RuntimeManager,
    agent: &AgentRef,
    request: &RunRequest,
    first: RunId,
) -> RunId {
    let another = async {
        loop {
            let run = runtime.submit(agent, request.clone()).await.expect("it is accepted").run;
            if run != first {
                return run;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, another).await.expect("the key is forgotten")
}

#[tokio::test]
async fn a_full_session_refuses_and_admits_again_when_a_run_has_ended() {
    let house = House::new();
    let (runtime, agent) = with_agent(house.builder().configure(|config| config.max_queued = 2)).await;
    let first = runtime.submit(&agent, RunRequest::new("held:gate")).await.unwrap().run;
    house.world.began("gate").await;
    for _ in 0..2 {
        runtime.submit(&agent, RunRequest::new("held:gate")).await.unwrap();
    }

    let refused = full(runtime.submit(&agent, RunRequest::new("x")).await);
    let elsewhere = runtime.submit(&agent, apart("x", "other")).await;
    house.world.open("gate");
    output(&runtime, first).await;
    house.world.began("gate").await;
    let admitted = runtime.submit(&agent, RunRequest::new("x")).await;
    let again = full(runtime.submit(&agent, RunRequest::new("x")).await);

    assert_eq!(refused, ("the queue of session `default`".to_owned(), 2));
    assert_eq!(again, refused);
    assert!(elsewhere.is_ok() && admitted.is_ok(), "{elsewhere:?} {admitted:?}");
}

#[tokio::test]
async fn a_full_runtime_refuses_and_admits_again_when_a_run_has_ended() {
    let house = House::new();
    let (runtime, agent) = with_agent(house.builder().configure(|config| config.max_open = 2)).await;
    let request = keyed("held:gate", "k");
    let first = runtime.submit(&agent, request.clone()).await.unwrap().run;
    house.world.began("gate").await;
    runtime.submit(&agent, RunRequest::new("queued counts")).await.unwrap();

    let refused = full(runtime.submit(&agent, apart("x", "other")).await);
    let repeated = runtime.submit(&agent, request).await.unwrap();
    let unknown = AgentRef::Id(AgentId::from_parts(first.partition(), uuid::Uuid::from_u128(1)));
    house.world.open("gate");
    output(&runtime, first).await;
    for _ in 0..3 {
        runtime.run(&agent, apart("x", "other")).await.unwrap();
        // Who is refused for another reason takes no place.
        runtime.submit(&unknown, RunRequest::new("x")).await.unwrap_err();
    }

    assert_eq!(refused, ("the runtime's list of open runs".to_owned(), 2));
    assert_eq!((repeated.run, repeated.repeated), (first, true), "a repetition needs no place");
}

#[tokio::test]
async fn no_more_runs_than_the_limit_are_open_also_when_they_come_at_once() {
    let house = House::new();
    let (runtime, agent) = with_agent(house.builder().configure(|config| config.max_open = 3)).await;

    let submits = (0..10).map(|n| {
        let key = Some(IdempotencyKey::new(format!("k{n}")).unwrap());
        let request = RunRequest { idempotency_key: key, ..apart("forever", &format!("s{n}")) };
        let (runtime, agent) = (&runtime, &agent);
        async move { runtime.submit(agent, request).await }
    });
    let answers = join_all(submits).await;

    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(runtime.status().await.unwrap().open_runs, 3);
}

#[tokio::test]
async fn a_key_gives_its_run_for_a_day_after_the_outcome_and_then_a_new_one() {
    let house = House::new();
    let clock = Arc::new(ManualClock::default());
    let (runtime, agent) = with_agent(house.builder().clock(Arc::clone(&clock) as _)).await;
    let request = keyed("held:gate once:paid", "k");
    let first = runtime.submit(&agent, request.clone()).await.unwrap().run;
    house.world.began("gate").await;
    // The day begins with the outcome, not with the acceptance.
    clock.advance(DAY);
    house.world.open("gate");
    output(&runtime, first).await;

    clock.advance(DAY - MOMENT);
    let runtime = house.builder().clock(Arc::clone(&clock) as _).open().await.unwrap();
    let within = runtime.submit(&agent, request.clone()).await.unwrap();
    let other = runtime.submit(&agent, keyed("else", "k")).await.unwrap_err();
    clock.advance(MOMENT);
    let runtime = house.builder().clock(Arc::clone(&clock) as _).open().await.unwrap();
    let second = until_another(&runtime, &agent, &request, first).await;
    house.world.open("gate");
    output(&runtime, second).await;

    assert_eq!((within.run, within.repeated), (first, true));
    assert!(matches!(other, RuntimeError::KeyReused { run, .. } if run == first), "{other:?}");
    assert_eq!(house.world.times("paid"), 2);
}

#[tokio::test]
async fn a_run_with_a_key_is_let_go_when_its_key_is_forgotten_and_not_before() {
    const RUNS: usize = 1_100;
    let house = House::new();
    let clock = Arc::new(ManualClock::default());
    let builder = || {
        let builder = house.builder().clock(Arc::clone(&clock) as _);
        builder.configure(|config| config.max_ended = Some(10))
    };
    let (runtime, agent) = with_agent(builder()).await;
    for n in 0..RUNS {
        runtime.run(&agent, keyed("x", &format!("k{n}"))).await.unwrap();
    }
    let count = async |runtime: &RuntimeManager| {
        let filter = RunFilter { limit: 1_000, ..RunFilter::default() };
        runtime.runs(filter).await.unwrap().items.len()
    };

    assert_eq!(count(&runtime).await, 1_000, "a whole page");
    clock.advance(DAY);
    let runtime = builder().open().await.unwrap();
    let gone = async {
        while count(&runtime).await > 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("they are let go");
    let anew = runtime.submit(&agent, keyed("x", "k0")).await.unwrap();
    assert!(!anew.repeated);
}

/// Whether the key of a run is still to be forgotten.
async fn is_due(house: &House, run: RunId) -> bool {
    let due = Key::new(run.partition(), "due/").expect("a good key");
    let due = house.store.scan(&due, None, 1_000).await.expect("the store reads");
    due.iter().any(|(key, _)| key.path.to_string().ends_with(&format!("/key/{}", run.unique().simple())))
}

#[tokio::test]
async fn a_key_whose_run_was_let_go_is_free_and_one_whose_log_is_lost_is_damage() {
    let house = House::new();
    let clock = Arc::new(ManualClock::default());
    let (runtime, agent) = with_agent(house.builder().clock(Arc::clone(&clock) as _)).await;
    let request = keyed("once:paid", "k");
    let first = runtime.run(&agent, request.clone()).await.unwrap().run;
    let partition = first.partition();
    let log = format!("run/{}", first.unique().simple());
    meddle(house.store.as_ref(), 1, Then::Drop(Log::new(partition, log).unwrap())).await;
    let lost = runtime.submit(&agent, request.clone()).await.unwrap_err();

    clock.advance(MOMENT);
    let cells = house.store.scan(&Key::all(partition), None, 1_000).await.unwrap();
    let ended = cells.into_iter().map(|(key, _)| key).find(|key| key.path.to_string().contains("/ended/"));
    meddle(house.store.as_ref(), 2, Then::Delete(ended.unwrap())).await;
    let second = runtime.submit(&agent, request.clone()).await.unwrap();

    assert_eq!(lost.code(), "damaged");
    assert!(second.run != first && !second.repeated, "{second:?}");
    output(&runtime, second.run).await;
    clock.advance(DAY - MOMENT);
    let runtime = house.builder().clock(Arc::clone(&clock) as _).open().await.unwrap();
    let forgotten = async {
        while is_due(&house, first).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, forgotten).await.expect("what fell due is done");
    let repeated = runtime.submit(&agent, request).await.unwrap();
    assert_eq!(repeated.run, second.run, "the day of the second run is not over");
    assert_eq!(house.world.times("paid"), 2);
}
