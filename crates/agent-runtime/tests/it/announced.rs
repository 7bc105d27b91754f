//! What happens to agents reaches the bus: what is kept once each and in order, whatever crashes; what is heard, from memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

mod busy;
mod damaged;
mod fickle;
mod limited;
mod scheduled;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_runtime::BusError;
use agent_runtime::bus::{Bus, EventId, Position, TellingStatus, Topic, Who};
use agent_runtime::events::catalogue::{self, RunCompleted, RunFailed, RunQuarantined, RunRequeued};
use agent_runtime::events::{EventBusBuilder, Retention};
use agent_runtime::prelude::*;
use agent_runtime::store::{Batch, StateStore, Then};
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapStore};
use tokio::time::timeout;

use fickle::Fickle;

const LONG: Duration = Duration::from_secs(20);

/// Answers; fails at `fail`; does one thing outside at `step`.
#[derive(Debug)]
struct Worker;

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("worker", "worker").unwrap()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        match input.as_text()? {
            "fail" => Err(AgentError::says("no luck")),
            "step" => {
                let done: u32 = ctx.step("do", Effect::AtMostOnce, "it", |_| async { Ok(7) }).await?;
                Ok(Content::text(done.to_string()))
            }
            "steps" => {
                for name in ["first", "second"] {
                    ctx.step::<_, (), _, _>(name, Effect::Pure, "it", |_| async { Ok(()) }).await?;
                }
                Ok(Content::text("done"))
            }
            "wait" => {
                ctx.sleep(Duration::from_secs(3_600)).await;
                Ok(input)
            }
            text => Ok(Content::text(text)),
        }
    }
}

/// A runtime over `store` that keeps what happens to agents, with its worker started.
async fn keeping(store: Arc<dyn StateStore>, retention: Retention) -> (RuntimeManager, AgentId) {
    let builder = RuntimeManager::builder(store).keep("agents/**", retention).unwrap();
    started(builder.open().await.unwrap().into()).await
}

async fn started(runtime: RuntimeManager) -> (RuntimeManager, AgentId) {
    let agent = runtime.register_agent(Worker).await.unwrap();
    runtime.start_agent(&agent).await.unwrap();
    (runtime, agent)
}

/// Has so many runs worked, one after the other.
async fn work(runtime: &RuntimeManager, agent: &AgentId, count: usize) -> Vec<RunId> {
    let mut ended = Vec::with_capacity(count);
    for nth in 0..count {
        ended.push(runtime.run_agent(agent, nth.to_string().as_str()).await.unwrap().run);
    }
    ended
}

/// All that is kept of a topic of the worker's.
async fn kept(runtime: &RuntimeManager, name: &str) -> Vec<Arc<Event>> {
    let topic: Topic = format!("agents/worker/{name}").parse().unwrap();
    let mut events = Vec::new();
    let mut from = Position::FIRST;
    loop {
        match runtime.bus().read(&topic, from, 100).await {
            Ok(page) if page.events.is_empty() => return events,
            Ok(page) => {
                from = page.events.last().unwrap().position.next();
                events.extend(page.events.into_iter().map(|kept| kept.event));
            }
            Err(BusError::BeforeRetention { first, .. }) => from = first,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn status(runtime: &RuntimeManager) -> TellingStatus {
    Runtime::status(&**runtime).await.unwrap().telling.unwrap()
}

fn damage(bus: &Fickle, topic: Option<&str>) {
    *bus.damaged.lock().unwrap() = topic.map(|topic| topic.parse().unwrap());
}

/// What a topic of the worker's tells, once it is enough.
async fn until_kept(
    runtime: &RuntimeManager,
    name: &str,
    is_enough: impl Fn(&[Arc<Event>]) -> bool,
) -> Vec<Arc<Event>> {
    // Whoever hears of what is published misses nothing.
    let mut heard = runtime.bus().listen(format!("agents/worker/{name}").as_str()).await.unwrap();
    let enough = timeout(LONG, async {
        loop {
            let events = kept(runtime, name).await;
            if is_enough(&events) {
                return events;
            }
            heard.next().await.unwrap();
        }
    });
    let Ok(events) = enough.await else {
        panic!("{name}: only {} are told", kept(runtime, name).await.len())
    };
    events
}

/// The runs that a topic tells of, once there are so many.
async fn told(runtime: &RuntimeManager, name: &str, count: usize) -> Vec<RunId> {
    until_kept(runtime, name, |events| events.len() >= count)
        .await
        .iter()
        .map(|event| event.run.unwrap())
        .collect()
}

/// Whether a batch says how far a partition's events were delivered.
fn moves_courier(batch: &Batch) -> bool {
    batch.then.iter().any(|then| matches!(then, Then::Put(key, _) if key.path.as_bytes() == b"c/announced"))
}

/// Whether a batch holds something aside, or lets it go.
fn touches_held(batch: &Batch, puts: bool) -> bool {
    batch.then.iter().any(|then| match then {
        Then::Put(key, _) if puts => key.path.as_bytes().starts_with(b"held/"),
        Then::Delete(key) if !puts => key.path.as_bytes().starts_with(b"held/"),
        _ => false,
    })
}

fn is_announced(batch: &Batch) -> bool {
    let announced = |then: &Then| matches!(then, Then::Append(log, _) if log.path.as_bytes() == b"announced");
    batch.then.iter().any(announced)
}

#[tokio::test]
async fn what_happens_to_an_agent_is_kept_once_each_in_the_words_of_the_catalogue() {
    let (runtime, agent) = keeping(Arc::new(MapStore::new()), Retention::default()).await;

    let done = runtime.run_agent(&agent, "hello").await.unwrap().run;
    let failed = runtime.submit(&AgentRef::Id(agent), RunRequest::new("fail")).await.unwrap().run;
    runtime.join(&failed, LONG).await.unwrap();
    let stepped = runtime.run_agent(&agent, "step").await.unwrap().run;
    runtime.pause_agent(&agent).await.unwrap();
    runtime.stop_agent(&agent).await.unwrap();
    runtime.save_state(&agent).await.unwrap();
    runtime.unregister(&AgentRef::Id(agent)).await.unwrap();

    assert_eq!(told(&runtime, "run.completed", 2).await, [done, stepped]);
    assert_eq!(told(&runtime, "run.failed", 1).await, [failed]);
    assert_eq!(told(&runtime, "run.accepted", 3).await, [done, failed, stepped]);
    assert_eq!(told(&runtime, "run.started", 3).await, [done, failed, stepped]);
    assert_eq!(told(&runtime, "step.dispatched", 1).await, [stepped]);
    assert_eq!(told(&runtime, "step.settled", 1).await, [stepped]);
    let lifecycle = [
        "agent.registered",
        "agent.started",
        "agent.paused",
        "agent.stopped",
        "snapshot.saved",
        "agent.deleted",
    ];
    for once in lifecycle {
        let events = until_kept(&runtime, once, |events| !events.is_empty()).await;
        assert_eq!(events.len(), 1, "{once}");
        assert_eq!(catalogue::sort_of(&events[0].topic).map(|sort| sort.name), Some(once));
        assert_eq!(&*events[0].source, "agents/worker");
    }
    let completed: RunCompleted = kept(&runtime, "run.completed").await[0].json().unwrap();
    assert_eq!((completed.agent.as_str(), completed.run), ("worker", done.to_string()));
    let failure: RunFailed = kept(&runtime, "run.failed").await[0].json().unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("agent", "no luck"));
}

#[tokio::test]
async fn a_quarantine_is_told_with_its_reason_and_so_is_its_end() {
    let (runtime, agent) = keeping(Arc::new(MapStore::new()), Retention::default()).await;
    let run = runtime.submit(&AgentRef::Id(agent), RunRequest::new("wait")).await.unwrap().run;
    runtime.quarantine(&run, "it looks bad").await.unwrap();
    runtime.requeue(&run).await.unwrap();

    assert_eq!(told(&runtime, "run.quarantined", 1).await, [run]);
    assert_eq!(told(&runtime, "run.requeued", 1).await, [run]);
    let aside: RunQuarantined = kept(&runtime, "run.quarantined").await[0].json().unwrap();
    assert_eq!((aside.run, aside.why.as_str()), (run.to_string(), "it looks bad"));
    let requeued: RunRequeued = kept(&runtime, "run.requeued").await[0].json().unwrap();
    assert_eq!((requeued.run, requeued.by.as_str()), (run.to_string(), "caller"));
}

#[tokio::test]
async fn what_interests_nobody_costs_no_commit_and_no_byte() {
    let batches: Arc<Mutex<Vec<Batch>>> = Arc::default();
    let seen = Arc::clone(&batches);
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |batch| {
        seen.lock().unwrap().push(batch.clone());
        Fault::Pass
    });
    let builder = RuntimeManager::builder(Arc::new(store)).keep("orders/**", Retention::default()).unwrap();
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    let before = batches.lock().unwrap().len();
    runtime.run_agent(&agent, "hello").await.unwrap();
    let of_run = batches.lock().unwrap()[before..].to_vec();

    assert_eq!(of_run.len(), 2, "{of_run:#?}");
    assert!(!batches.lock().unwrap().iter().any(is_announced));
}

#[tokio::test]
async fn what_is_kept_rides_in_the_batch_of_its_cause() {
    let batches: Arc<Mutex<Vec<Batch>>> = Arc::default();
    let seen = Arc::clone(&batches);
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |batch| {
        seen.lock().unwrap().push(batch.clone());
        Fault::Pass
    });
    let (runtime, agent) = keeping(Arc::new(store), Retention::default()).await;

    let run = runtime.run_agent(&agent, "hello").await.unwrap().run;
    told(&runtime, "run.completed", 1).await;

    let of_log = format!("run/{}", run.unique().simple());
    let of_run: Vec<bool> = batches
        .lock()
        .unwrap()
        .iter()
        .filter(|batch| {
            let of_run = |then: &Then| matches!(then, Then::Append(log, _) if log.path.as_bytes() == of_log.as_bytes());
            batch.then.iter().any(of_run)
        })
        .map(is_announced)
        .collect();
    assert_eq!(of_run, [true, true], "two batches of the run, and each has its events");
}

#[tokio::test]
async fn live_readers_are_told_from_memory_after_the_commit() {
    let batches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&batches);
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |batch| {
        count.fetch_add(usize::from(is_announced(batch)), Ordering::SeqCst);
        Fault::Pass
    });
    let builder = RuntimeManager::builder(Arc::new(store));
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
    let mut heard = runtime.bus().listen("agents/worker/*").await.unwrap();

    let run = runtime.run_agent(&agent, "step").await.unwrap().run;

    for name in ["run.accepted", "run.started", "step.dispatched", "step.settled", "run.completed"] {
        let event = timeout(LONG, heard.next_event()).await.unwrap().unwrap();
        assert_eq!(event.topic.as_str(), format!("agents/worker/{name}"));
        assert_eq!(event.run, Some(run));
    }
    assert_eq!(batches.load(Ordering::SeqCst), 0, "nothing of it is stored");
}

/// Lets `before` runs end whose events are delivered, and then some whose events are delivered at one go, and nothing says
/// that they were, because the process dies.
async fn crashed_before_the_cursor(
    retention: Retention,
    before: usize,
    runs: usize,
) -> (Arc<MapStore>, Vec<RunId>) {
    let store = Arc::new(MapStore::new());
    let loses = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&loses);
    let faulty = FaultyStore::new(Arc::clone(&store) as _, move |batch| {
        if moves_courier(batch) && now.load(Ordering::SeqCst) { Fault::Unavailable } else { Fault::Pass }
    });
    let bus = Fickle::over(&store, retention);
    let builder = RuntimeManager::builder(Arc::new(faulty)).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
    let mut ended = work(&runtime, &agent, before).await;
    told_in_full(&runtime, &store).await;
    bus.is_away.store(true, Ordering::SeqCst);
    ended.extend(work(&runtime, &agent, runs).await);
    let last = *ended.last().unwrap();
    loses.store(true, Ordering::SeqCst);
    bus.is_away.store(false, Ordering::SeqCst);
    until_kept(&runtime, "run.completed", |events| {
        events.last().is_some_and(|event| event.run == Some(last))
    })
    .await;
    let disk = Arc::new(store.crash());
    drop(runtime);
    (disk, ended)
}

/// Waits until all that was announced is delivered, and its cursor says so.
async fn told_in_full(runtime: &RuntimeManager, store: &MapStore) {
    timeout(LONG, async {
        loop {
            let applied = store.applied();
            let mut waiting = false;
            for partition in store.partitions().await.unwrap() {
                let log = runtime_testkit::recount::logs(store, partition).await;
                waiting |=
                    log.iter().any(|log| log.log.path.as_bytes() == b"announced" && log.first < log.next);
            }
            if !waiting {
                return;
            }
            store.applied_beyond(applied).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:?}: something waits for good", runtime.bus()));
}

#[tokio::test]
async fn a_crash_between_delivery_and_cursor_repeats_nothing_and_loses_nothing() {
    let (store, ended) = crashed_before_the_cursor(Retention::default(), 2, 12).await;

    let (runtime, agent) = keeping(Arc::clone(&store) as _, Retention::default()).await;
    let last = runtime.run_agent(&agent, "last").await.unwrap().run;
    told_in_full(&runtime, &store).await;

    let expected: Vec<RunId> = ended.into_iter().chain([last]).collect();
    for name in ["run.accepted", "run.started", "run.completed"] {
        assert_eq!(told(&runtime, name, 1).await, expected, "{name}");
    }
}

/// More than one page of them.
#[tokio::test]
async fn what_others_published_behind_what_was_delivered_does_not_hide_it() {
    let (store, ended) = crashed_before_the_cursor(Retention::default(), 2, 12).await;
    let names = ["run.accepted", "run.started", "run.completed"];
    let bus = Fickle::over(&store, Retention::default());
    for (name, number) in names.iter().flat_map(|name| (0..300_u16).map(move |number| (name, number))) {
        let mut event = Event::new(format!("agents/worker/{name}").as_str(), &number).unwrap().from("others");
        let mut id = [7; 16];
        id[..4].copy_from_slice(&name.as_bytes()[4..8]);
        id[14..].copy_from_slice(&number.to_be_bytes());
        event.id = EventId::from_bytes(id);
        bus.publish(&Who::System, Arc::new(event)).await.unwrap();
    }

    let (runtime, _) = keeping(Arc::clone(&store) as _, Retention::default()).await;
    told_in_full(&runtime, &store).await;

    for name in names {
        let told: Vec<RunId> = kept(&runtime, name).await.iter().filter_map(|event| event.run).collect();
        assert_eq!(told, ended, "{name}");
    }
}

#[tokio::test]
async fn what_retention_took_away_meanwhile_is_not_told_again() {
    let few = Retention { events: Some(2), ..Retention::default() };
    let (store, ended) = crashed_before_the_cursor(few, 60, 12).await;

    let (runtime, _) = keeping(Arc::clone(&store) as _, few).await;
    told_in_full(&runtime, &store).await;

    let told = told(&runtime, "run.completed", 1).await;
    assert!(told.len() < ended.len(), "retention took nothing away, and the test proves nothing");
    assert!(ended.ends_with(&told), "{told:?} are not the last of {ended:?}");
}

#[tokio::test]
async fn a_bus_that_is_away_stops_no_run_and_is_told_later() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
    bus.is_away.store(true, Ordering::SeqCst);

    let ended = work(&runtime, &agent, 10).await;
    bus.is_away.store(false, Ordering::SeqCst);
    told_in_full(&runtime, &store).await;

    assert_eq!(told(&runtime, "run.completed", 1).await, ended);
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_stops_no_run_and_is_told_once_each() {
    let server = runtime_testkit::peers::RedisServer::start();
    let rules = EventBusBuilder::default().keep("agents/**", Retention::default()).unwrap();
    let bus = Arc::new(rules.redis(&server.uri(0)).await.unwrap());
    let store = Arc::new(MapStore::new());
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(bus);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    let mut ended = Vec::new();
    for nth in 0..12 {
        match nth {
            4 => server.kill(),
            9 => server.revive(),
            _ => {}
        }
        ended.push(runtime.run_agent(&agent, nth.to_string().as_str()).await.unwrap().run);
    }
    told_in_full(&runtime, &store).await;

    for name in ["run.accepted", "run.started", "run.completed"] {
        assert_eq!(told(&runtime, name, 1).await, ended, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_got_lost_repeats_nothing() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    bus.forgets.store(3, Ordering::SeqCst);
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    let ended = work(&runtime, &agent, 10).await;
    told_in_full(&runtime, &store).await;

    assert_eq!(told(&runtime, "run.completed", 1).await, ended);
    assert_eq!(told(&runtime, "run.accepted", 1).await, ended);
}

#[tokio::test]
async fn an_answer_that_got_lost_with_the_memory_of_the_bus_repeats_nothing() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&Arc::new(MapStore::new()), Retention::default());
    bus.restarts.store(true, Ordering::SeqCst);
    bus.forgets.store(3, Ordering::SeqCst);
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    let ended = work(&runtime, &agent, 10).await;
    told_in_full(&runtime, &store).await;

    assert_eq!(bus.forgets.load(Ordering::SeqCst), 0);
    assert_eq!(told(&runtime, "run.completed", 1).await, ended);
    assert_eq!(told(&runtime, "run.accepted", 1).await, ended);
    for once in ["agent.registered", "agent.started"] {
        assert_eq!(kept(&runtime, once).await.len(), 1, "{once}");
    }
}

#[tokio::test]
async fn what_interests_nobody_is_not_even_made() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::keeping("orders/**", &store, Retention::default());
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    work(&runtime, &agent, 2).await;

    assert_eq!(bus.weighed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_bus_that_panics_is_tried_again() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    bus.panics.store(2, Ordering::SeqCst);
    let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(Arc::clone(&bus) as _);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;

    let ended = work(&runtime, &agent, 3).await;
    told_in_full(&runtime, &store).await;

    assert_eq!(told(&runtime, "run.completed", 1).await, ended);
}

#[tokio::test]
async fn more_than_may_wait_is_left_out_and_what_waits_is_told() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    let builder = RuntimeManager::builder(Arc::clone(&store) as _)
        .bus(Arc::clone(&bus) as _)
        .configure(|config| config.max_announced = 8);
    let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
    told_in_full(&runtime, &store).await;
    bus.is_away.store(true, Ordering::SeqCst);

    let ended = work(&runtime, &agent, 10).await;
    bus.is_away.store(false, Ordering::SeqCst);
    told_in_full(&runtime, &store).await;

    // Two batches for each run.
    assert_eq!(told(&runtime, "run.completed", 1).await, ended[..4]);
}

#[tokio::test]
async fn an_agent_whose_registration_a_crash_cut_off_is_told_when_that_is_found() {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MapStore::new());
    let deletes_due = |batch: &Batch| {
        batch
            .then
            .iter()
            .any(|then| matches!(then, Then::Delete(key) if key.path.as_bytes().starts_with(b"due/")))
    };
    let faulty = FaultyStore::new(Arc::clone(&store) as _, move |batch| {
        if deletes_due(batch) { Fault::TooLarge } else { Fault::Pass }
    });
    let open = |store: Arc<dyn StateStore>| {
        let builder = RuntimeManager::builder(store).keep("agents/**", Retention::default()).unwrap();
        builder.clock(Arc::clone(&clock) as _).open()
    };
    let runtime = RuntimeManager::from(open(Arc::new(faulty)).await.unwrap());
    runtime.register_agent(Worker).await.unwrap();
    assert_eq!(kept(&runtime, "agent.registered").await.len(), 0);
    drop(runtime);

    clock.advance(Duration::from_secs(3_600));
    let store = Arc::new(store.crash());
    let runtime = RuntimeManager::from(open(Arc::clone(&store) as _).await.unwrap());
    let agent = runtime.register_agent(Worker).await.unwrap();
    until_kept(&runtime, "agent.registered", |events| !events.is_empty()).await;
    told_in_full(&runtime, &store).await;

    let registered = kept(&runtime, "agent.registered").await;
    let ids: Vec<String> = registered
        .iter()
        .map(|event| event.json::<BTreeMap<String, String>>().unwrap()["agent_id"].clone())
        .collect();
    assert_eq!(ids, [agent.to_string()]);
}
