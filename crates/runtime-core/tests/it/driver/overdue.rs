//! What falls due is done, whatever else of it cannot be; and what cannot be read keeps nobody from working.

use std::sync::Arc;
use std::time::Duration;

use runtime_codec::{Due, encode};
use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault};
use runtime_testkit::recount::{counted, logs, recount};
use runtime_traits::agent::StorageLimits;
use runtime_traits::content::Digest;
use runtime_traits::runtime::{AgentRef, ForkRequest, Runtime};
use runtime_traits::store::{Key, Log, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, RunId, SessionName, Tenant, UnixMillis};

use super::house::{House, meddle, output, submit};
use super::swept::Years;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONG: Duration = Duration::from_secs(10);

async fn ended(years: &Years, runtime: &RuntimeManager, agent: AgentId, script: &str) -> RunId {
    let run = submit(runtime, agent, script).await;
    output(runtime, run).await;
    // So that the first one falls due first.
    years.clock.advance(Duration::from_secs(60));
    run
}

async fn until_gone(years: &Years, run: RunId) {
    let gone = async {
        while years.has_log(run).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("its log is let go");
}

#[tokio::test]
async fn what_fell_due_and_cannot_be_done_keeps_nothing_else_from_being_done() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let rotten = ended(&years, &runtime, agent, "one").await;
    let whole = ended(&years, &runtime, agent, "two").await;
    runtime.shutdown(LONG).await.unwrap();
    let log = keys::run_log(&rotten);
    meddle(years.house.store.as_ref(), 1, Then::Drop(log.clone())).await;
    meddle(years.house.store.as_ref(), 2, Then::Append(log, vec!["?".into()])).await;

    years.clock.advance(31 * DAY);
    let _runtime = years.house.open().await;

    until_gone(&years, whole).await;
    assert!(years.has_log(rotten).await, "what is damaged is left");
}

#[tokio::test]
async fn a_runtime_that_has_ended_does_nothing_more_of_what_fell_due() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let years = Years::over(Arc::clone(&store) as _);
    let (runtime, agent) = years.begin().await;
    let first = ended(&years, &runtime, agent, "one").await;
    let second = ended(&years, &runtime, agent, "two").await;
    runtime.shutdown(LONG).await.unwrap();
    years.clock.advance(31 * DAY);
    let held = keys::run_log(&first);
    store.decide_reads_by(move |log| if *log == held { ReadFault::HoldAnswer } else { ReadFault::Pass });
    let runtime = years.house.open().await;
    store.until_read_held().await;

    runtime.shutdown(Duration::ZERO).await.unwrap();
    store.decide_reads_by(|_| ReadFault::Pass);
    let commits = store.commits();
    store.release_read();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }

    assert_eq!(store.commits(), commits);
    assert!(years.has_log(first).await && years.has_log(second).await);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_doing_what_falls_due_begins_anew_after_a_panic() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let years = Years::over(Arc::clone(&store) as _);
    let (runtime, agent) = years.begin().await;
    let run = ended(&years, &runtime, agent, "one").await;
    runtime.shutdown(LONG).await.unwrap();
    years.clock.advance(31 * DAY);
    let (due, mut panicked) = (keys::due_all(agent.partition()), false);
    store.decide_scans_by(move |under| {
        assert!(*under != due || std::mem::replace(&mut panicked, true), "the test wants a panic");
        ReadFault::Pass
    });

    let _runtime = years.house.open().await;

    let gone = async {
        while years.has_log(run).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("it begins anew");
}

#[tokio::test]
async fn half_a_copy_leaves_nothing_of_its_conversation() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let years = Years::over(Arc::clone(&store) as _);
    let (runtime, agent) = years.begin().await;
    let mut run = submit(&runtime, agent, "x").await;
    for _ in 0..30 {
        output(&runtime, run).await;
        run = submit(&runtime, agent, "x").await;
    }
    output(&runtime, run).await;
    let copied = SessionName::new("copied").unwrap();
    let request = ForkRequest { session: Some(copied.clone()), ..ForkRequest::default() };
    store.decide_by(|batch| {
        let opens = |then: &Then| matches!(then, Then::Put(key, _) if key.path.to_string().contains("open/"));
        if batch.then.iter().any(opens) { Fault::Hold } else { Fault::Pass }
    });
    let crashes = tokio::time::timeout(Duration::from_secs(1), runtime.fork(&run, request));
    let (_, held) = tokio::join!(crashes, tokio::time::timeout(LONG, store.until_held(1)));
    held.expect("the copy is written up to its last batch");
    let messages = keys::messages(&Tenant::default(), &agent, &copied);
    let is_there = async || {
        let logs = logs(below.as_ref(), agent.partition()).await;
        logs.iter().any(|extent| extent.log == messages && extent.first < extent.next)
    };
    assert!(is_there().await);

    // Another copy into the same conversation was cut off as well.
    let another = RunId::from_parts(agent.partition(), uuid::Uuid::nil());
    let due = Due::Sweep { tenant: Tenant::default(), agent, session: copied, run: another };
    let cell = keys::due(agent.partition(), UnixMillis(1), &format!("sweep/{}", another.unique().simple()));
    meddle(below.as_ref(), 1, Then::Put(cell, encode(&due))).await;
    let house = House { clock: Some(Arc::clone(&years.clock) as _), ..House::over(Arc::clone(&below) as _) };
    let after = Years { house, clock: Arc::clone(&years.clock) };
    let _runtime = after.later(DAY / 12).await;

    assert!(!is_there().await);
    assert_eq!(counted(below.as_ref()).await, recount(below.as_ref()).await);
}

#[tokio::test]
async fn what_somebody_else_let_go_meanwhile_is_not_counted_twice() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let runtime = house.builder().configure(|config| config.max_ended = Some(3)).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let first = submit(&runtime, agent, "first").await;
    output(&runtime, first).await;
    let held = keys::run_log(&first);
    let log = held.clone();
    store.decide_reads_by(move |log| if *log == held { ReadFault::HoldAnswer } else { ReadFault::Pass });
    for _ in 0..1_030 {
        runtime.run_agent(agent, "x").await.unwrap();
    }
    store.until_read_held().await;

    // What falls due lets its log go in this moment.
    let (tenant, session) = (Tenant::default(), SessionName::default());
    let bytes: i64 = below
        .read(&log, runtime_traits::store::Seq::FIRST, 100)
        .await
        .unwrap()
        .entries
        .iter()
        .map(|entry| entry.len() as i64)
        .sum();
    for (nth, then) in [
        Then::Drop(log),
        Then::Delete(keys::ended(&tenant, &agent, &first)),
        Then::Add(keys::size(&tenant, &agent, 1), -bytes),
        Then::Add(keys::session_size(&tenant, &agent, &session, 1), -bytes),
    ]
    .into_iter()
    .enumerate()
    {
        meddle(below.as_ref(), nth as u128, then).await;
    }
    store.decide_reads_by(|_| ReadFault::Pass);
    store.release_read();
    let let_go = async {
        while below.scan(&keys::ended_all(&tenant, &agent), None, 2_000).await.unwrap().len() > 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, let_go).await.expect("the others are let go");
    runtime.shutdown(LONG).await.unwrap();

    assert_eq!(counted(below.as_ref()).await, recount(below.as_ref()).await);
}

#[tokio::test]
async fn an_unreadable_count_keeps_an_agent_neither_from_input_nor_the_others_from_the_list() {
    let house = House::new();
    let (runtime, _, b) = house.with_two().await;
    let limits =
        StorageLimits { hard: Some(1 << 30), session_hard: Some(1 << 30), ..StorageLimits::default() };
    let spec = AgentSpec::new("scripted", "a").unwrap().storing(limits);
    let agent = runtime.register_spec(spec).await.unwrap();
    runtime.run_agent(agent, "x").await.unwrap();
    let (tenant, session) = (Tenant::default(), SessionName::default());
    let counts = [keys::size(&tenant, &agent, 3), keys::session_size(&tenant, &agent, &session, 3)];
    for (key, nth) in counts.into_iter().zip(1..) {
        meddle(house.store.as_ref(), nth, Then::Put(key, "no number".into())).await;
    }

    runtime.run_agent(agent, "y").await.unwrap();
    assert!(Runtime::agent(&runtime, &AgentRef::Id(agent)).await.unwrap().stored.bytes > 0);
    assert_eq!(runtime.sessions(&AgentRef::Id(agent), None, 0).await.unwrap().items.len(), 1);
    assert_eq!(runtime.agents(None, 10).await.unwrap().items.len(), 2);

    meddle(house.store.as_ref(), 9, Then::Put(keys::spec(&tenant, &agent), "no record".into())).await;
    let listed = runtime.agents(None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|agent| agent.id).collect::<Vec<_>>(), [b]);
}

#[tokio::test]
async fn an_agent_can_be_deleted_also_where_others_left_what_nobody_can_read() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let (tenant, partition) = (Tenant::default(), agent.partition());
    let others = keys::due(partition, UnixMillis(u64::MAX / 4), "sweep/x");
    let mark = keys::mark(&tenant, partition, &Digest::of(b"another's"));
    let unnamed = format!("unnamed/{}", agent.unique().simple());
    let own = keys::due(partition, UnixMillis(u64::MAX / 4), &unnamed);
    for (key, nth) in [&others, &mark, &own].into_iter().zip(1..) {
        meddle(house.store.as_ref(), nth, Then::Put(key.clone(), "no record".into())).await;
    }
    runtime.stop_agent(agent).await.unwrap();

    runtime.unregister(&agent.into()).await.unwrap();

    let left: Vec<Key> = [others.clone(), mark.clone(), own].to_vec();
    let found = house.store.get(&left).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    assert!(runtime.agents(None, 10).await.unwrap().items.is_empty());
    let of_agent = Log::all(partition);
    assert!(house.store.logs(&of_agent, None, 10).await.unwrap().iter().all(|log| log.first == log.next));
}
