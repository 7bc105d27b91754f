//! Counters of stored bytes: made where there were none, kept few, and told of when there is much.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapStore, ReadFault};
use runtime_testkit::recount::{cells, counted, recount};
use runtime_traits::agent::StorageLimits;
use runtime_traits::runtime::{AgentRef, RunRequest, Runtime, RuntimeError, Stored};
use runtime_traits::store::{Batch, BatchId, Durability, Key, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, SessionName, Tenant};

use super::house::{House, meddle, output, submit};
use super::warnings::Warnings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONG: Duration = Duration::from_secs(20);

fn in_session(name: &str, script: &str) -> RunRequest {
    RunRequest::new(script).in_session(SessionName::new(name).unwrap())
}

async fn stored(runtime: &RuntimeManager, agent: AgentId) -> Stored {
    Runtime::agent(runtime, &AgentRef::Id(agent)).await.unwrap().stored
}

/// The cells that count an agent's bytes.
async fn counters(store: &dyn StateStore, agent: AgentId) -> Vec<Key> {
    let cells = cells(store, agent.partition()).await;
    let keys = cells.into_iter().map(|(key, _)| key);
    keys.filter(|key| key.path.to_string().contains("/size/")).collect()
}

/// Leaves a store as it was before anybody counted.
async fn uncount(house: &House, agent: AgentId) {
    for (nth, key) in counters(house.store.as_ref(), agent).await.into_iter().enumerate() {
        let batch = Batch {
            id: BatchId(u128::MAX - nth as u128),
            partition: key.partition,
            fence: None,
            when: Vec::new(),
            then: vec![Then::Delete(key)],
            durability: Durability::Memory,
        };
        house.store.commit(batch).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_written_before_anybody_counted_is_counted_at_the_first_look() {
    // Who looks: somebody who asks for the status, for the sessions, or whose input may not fit.
    for first in ["status", "sessions", "input"] {
        let house = House::new();
        let (runtime, agent) = house.with_agent().await;
        let a = AgentRef::Id(agent);
        for (name, script) in [("one", "state:x keep:9000"), ("two", "pure:y big:20000"), ("one", "more")] {
            runtime.run(&a, in_session(name, script)).await.unwrap();
        }
        let open = runtime.submit(&a, in_session("three", "held:gate")).await.unwrap().run;
        house.world.began("gate").await;
        runtime.shutdown(Duration::ZERO).await.unwrap();
        uncount(&house, agent).await;
        assert!(counted(house.store.as_ref()).await.is_empty());

        let runtime = house.open().await;
        // What is written from here on is counted, before what was there is.
        runtime.run(&a, in_session("two", "keep:100")).await.unwrap();
        match first {
            "status" => assert!(stored(&runtime, agent).await.bytes > 30_000),
            "sessions" => assert_eq!(runtime.sessions(&a, None, 0).await.unwrap().items.len(), 3),
            _ => {
                let limits = StorageLimits { session_hard: Some(15_000), ..StorageLimits::default() };
                let spec = AgentSpec::new("scripted", "a").unwrap().storing(limits);
                runtime.register_spec(spec).await.unwrap();
                let refused = runtime.submit(&a, in_session("two", "more")).await.unwrap_err();
                assert!(matches!(refused, RuntimeError::StorageFull { .. }), "{refused}");
            }
        }
        let all: i64 = recount(house.store.as_ref()).await.values().sum();
        assert_eq!(stored(&runtime, agent).await.bytes as i64, all, "{first}");
        house.world.open("gate");
        runtime.join(&open, LONG).await.unwrap();
        runtime.shutdown(LONG).await.unwrap();
        assert_eq!(counted(house.store.as_ref()).await, recount(house.store.as_ref()).await, "{first}");
    }
}

#[tokio::test]
async fn days_are_added_up_when_there_are_many_and_the_sum_and_what_grew_lately_stay() {
    let clock = Arc::new(ManualClock::default());
    clock.advance_to(runtime_traits::UnixMillis(20_000 * DAY.as_millis() as u64));
    let house = House { clock: Some(Arc::clone(&clock) as _), ..House::new() };
    let runtime = house.builder().configure(|config| config.keep_runs = None).open().await.unwrap();
    let limits = StorageLimits { hard: Some(1 << 30), session_hard: Some(1 << 30), ..Default::default() };
    let spec = AgentSpec::new("scripted", "a").unwrap().storing(limits);
    let agent = runtime.register_spec(spec).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..100 {
        clock.advance(DAY);
        runtime.run(&AgentRef::Id(agent), in_session("one", "state:x more")).await.unwrap();
        sizes.push(stored(&runtime, agent).await);
    }
    for nth in 2..100 {
        assert_eq!(sizes[nth].grown, sizes[nth].bytes as i64 - sizes[nth - 2].bytes as i64, "day {nth}");
    }
    let sessions = runtime.sessions(&AgentRef::Id(agent), None, 0).await.unwrap().items;
    assert_eq!(sessions[0].stored.bytes, sizes[99].bytes);
    assert_eq!(counted(house.store.as_ref()).await, recount(house.store.as_ref()).await);
    let left = counters(house.store.as_ref(), agent).await.len();
    assert!(left <= 2 * 35, "{left} cells are read with each input");
}

#[tokio::test]
async fn a_count_that_cannot_be_read_is_made_once_and_then_remembered() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as _, |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, agent) = house.with_agent().await;
    let a = AgentRef::Id(agent);
    for (name, script) in [("one", "state:x keep:9000"), ("two", "pure:y big:20000")] {
        runtime.run(&a, in_session(name, script)).await.unwrap();
    }
    let before = stored(&runtime, agent).await.bytes;
    let (tenant, session) = (Tenant::default(), SessionName::new("two").unwrap());
    let of_session = keys::session_size(&tenant, &agent, &session, keys::DAYS_BEFORE);
    for (key, nth) in [keys::size(&tenant, &agent, keys::DAYS_BEFORE), of_session].into_iter().zip(1..) {
        meddle(below.as_ref(), nth, Then::Put(key, "no number".into())).await;
    }
    let read = Arc::new(AtomicUsize::new(0));
    let reads = Arc::clone(&read);
    store.decide_reads_by(move |log| {
        reads.fetch_add(usize::from(log.path.to_string().contains("/msg/")), Ordering::SeqCst);
        ReadFault::Pass
    });

    assert_eq!(stored(&runtime, agent).await.bytes, before);
    assert!(read.swap(0, Ordering::SeqCst) > 0, "it has all of it read");
    for _ in 0..3 {
        assert_eq!(stored(&runtime, agent).await.bytes, before);
        assert_eq!(runtime.sessions(&a, None, 0).await.unwrap().items.len(), 2);
    }
    assert_eq!(read.load(Ordering::SeqCst), 0, "and remembers what it comes to");

    // What is written later is counted on top of it.
    runtime.run(&a, in_session("two", "more")).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    assert_eq!(counted(below.as_ref()).await, recount(below.as_ref()).await);
}

#[tokio::test]
async fn a_call_is_new_input_too_and_its_caller_hears_that_there_is_no_room() {
    let house = House::new();
    let (runtime, a) = house.with_agent().await;
    let limits = StorageLimits { hard: Some(1_000), ..StorageLimits::default() };
    let b = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap().storing(limits)).await.unwrap();
    runtime.start_agent(b).await.unwrap();
    let first = submit(&runtime, a, "call:b/keep:2000").await;
    output(&runtime, first).await;

    let refused = submit(&runtime, a, "call:b/more").await;

    assert!(output(&runtime, refused).await.contains("its hard limit is 1000"));
}

#[tokio::test]
async fn who_reaches_a_soft_limit_is_warned_of_once_and_takes_input() {
    let warnings = Warnings::begin();
    let runtime = House::new().open().await;
    let limits = StorageLimits { soft: Some(20_000), session_soft: Some(8_000), ..StorageLimits::default() };
    let spec = AgentSpec::new("scripted", "a").unwrap().storing(limits);
    let agent = runtime.register_spec(spec).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = async |session: &str| {
        runtime.run(&AgentRef::Id(agent), in_session(session, "keep:5000")).await.unwrap();
        warnings.about("soft limit")
    };

    assert_eq!(run("one").await.len(), 0);
    run("one").await;
    let said = run("one").await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("session `one`") && said[0].contains("soft=8000"), "{said:?}");
    run("two").await;
    let said = run("three").await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains(&format!("agent `{agent}` has reached")), "{said:?}");
    assert!(said[1].contains("soft=20000") && said[1].contains("bytes="), "{said:?}");
    assert_eq!(run("four").await.len(), 2, "each once");
}
