//! A topic that is damaged holds up nothing but what goes there.

use std::sync::atomic::Ordering;

use agent_runtime::bus::{HeldTopic, TellingStatus};
use tokio::sync::watch;

use super::*;

const STARTED: &str = "agents/worker/run.started";

async fn status(runtime: &RuntimeManager) -> TellingStatus {
    Runtime::status(&**runtime).await.unwrap().telling.unwrap()
}

fn damage(bus: &Fickle, topic: Option<&str>) {
    *bus.damaged.lock().unwrap() = topic.map(|topic| topic.parse().unwrap());
}

async fn over(store: &Arc<MapStore>, bus: &Arc<Fickle>) -> (RuntimeManager, AgentId) {
    let builder = RuntimeManager::builder(Arc::clone(store) as _).bus(Arc::clone(bus) as _);
    started(builder.open().await.unwrap().into()).await
}

#[tokio::test]
async fn a_damaged_topic_holds_up_nothing_else_and_is_told_in_full_once_it_is_whole() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    let (runtime, agent) = over(&store, &bus).await;
    let mut ended = work(&runtime, &agent, 2).await;
    told_in_full(&runtime, &store).await;
    damage(&bus, Some(STARTED));

    ended.extend(work(&runtime, &agent, 50).await);
    told_in_full(&runtime, &store).await;

    for name in ["run.accepted", "run.completed"] {
        assert_eq!(told(&runtime, name, 1).await, ended, "{name} goes on");
    }
    let TellingStatus { waiting, left_out, held, .. } = status(&runtime).await;
    let [HeldTopic { topic, events, what, .. }] = &held[..] else { panic!("{held:?}") };
    assert_eq!((waiting, left_out, *events, topic.as_str()), (0, 0, 50, STARTED));
    assert_eq!(what, &format!("an entry of `{STARTED}`"));

    damage(&bus, None);
    until_kept(&runtime, "run.started", |events| events.len() >= ended.len()).await;
    ended.extend(work(&runtime, &agent, 1).await);
    assert_eq!(told(&runtime, "run.started", ended.len()).await, ended, "in their order, once each");
}

#[tokio::test]
async fn what_is_held_aside_outlives_the_process_and_comes_before_what_is_new() {
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    let (runtime, agent) = over(&store, &bus).await;
    damage(&bus, Some(STARTED));
    let mut ended = work(&runtime, &agent, 5).await;
    told_in_full(&runtime, &store).await;
    drop(runtime);

    let store = Arc::new(store.crash());
    let bus = Fickle::over(&store, Retention::default());
    damage(&bus, Some(STARTED));
    let (runtime, agent) = over(&store, &bus).await;
    assert_eq!(status(&runtime).await.held[0].events, 5);
    ended.extend(work(&runtime, &agent, 5).await);
    told_in_full(&runtime, &store).await;
    drop(runtime);

    let store = Arc::new(store.crash());
    let (runtime, _) = over(&store, &Fickle::over(&store, Retention::default())).await;
    assert_eq!(told(&runtime, "run.started", ended.len()).await, ended);
    told_in_full(&runtime, &store).await;
    assert_eq!(told(&runtime, "run.completed", ended.len()).await, ended);
    assert_eq!(status(&runtime).await.held, []);
}

/// The process dies wherever something is held aside, let go, or said to be delivered.
#[tokio::test]
async fn a_crash_beside_what_is_held_aside_repeats_nothing_and_loses_nothing() {
    for dies_at in 0..9 {
        let store = Arc::new(MapStore::new());
        // All these batches, and those that hold something aside.
        let seen = Arc::new(watch::Sender::new((0, 0)));
        let count = Arc::clone(&seen);
        let faulty = FaultyStore::new(Arc::clone(&store) as _, move |batch| {
            let (puts, lets_go) = (touches_held(batch, true), touches_held(batch, false));
            if !puts && !lets_go && !moves_courier(batch) {
                return Fault::Pass;
            }
            count.send_modify(|(all, held)| {
                *all += 1;
                *held += usize::from(puts);
            });
            if count.borrow().0 > dies_at { Fault::Unavailable } else { Fault::Pass }
        });
        let mut seen = seen.subscribe();
        let bus = Fickle::over(&store, Retention::default());
        damage(&bus, Some(STARTED));
        let builder = RuntimeManager::builder(Arc::new(faulty)).bus(Arc::clone(&bus) as _);
        let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
        let ended = work(&runtime, &agent, 4).await;
        timeout(LONG, seen.wait_for(|(all, held)| *all > dies_at || *held == 4)).await.unwrap().unwrap();
        damage(&bus, None);
        timeout(LONG, seen.wait_for(|(all, _)| *all > dies_at)).await.unwrap().unwrap();
        let disk = Arc::new(store.crash());
        drop(runtime);

        let (runtime, _) = over(&disk, &Fickle::over(&disk, Retention::default())).await;
        told_in_full(&runtime, &disk).await;
        for name in ["run.accepted", "run.started", "run.completed"] {
            assert_eq!(told(&runtime, name, ended.len()).await, ended, "{name}, dead at {dies_at}");
        }
    }
}

/// Whether a batch holds something aside, or lets it go.
fn touches_held(batch: &Batch, puts: bool) -> bool {
    batch.then.iter().any(|then| match then {
        Then::Put(key, _) if puts => key.path.as_bytes().starts_with(b"held/"),
        Then::Delete(key) if !puts => key.path.as_bytes().starts_with(b"held/"),
        _ => false,
    })
}

#[tokio::test]
async fn what_waits_for_the_bus_is_counted_in_the_status_with_its_time() {
    let clock = Arc::new(runtime_testkit::fakes::ManualClock::default());
    let store = Arc::new(MapStore::new());
    let bus = Fickle::over(&store, Retention::default());
    let open = |bus: &Arc<Fickle>| {
        let builder = RuntimeManager::builder(Arc::clone(&store) as _).clock(Arc::clone(&clock) as _);
        builder.bus(Arc::clone(bus) as _).configure(|config| config.max_announced = 8).open()
    };
    let (runtime, agent) = started(open(&bus).await.unwrap().into()).await;
    told_in_full(&runtime, &store).await;
    assert_eq!(status(&runtime).await, TellingStatus::default());

    let before = *bus.asked.borrow();
    bus.is_away.store(true, Ordering::SeqCst);
    let away = agent_runtime::clock::Clock::now(&*clock);
    work(&runtime, &agent, 1).await;
    clock.advance(Duration::from_secs(60));
    work(&runtime, &agent, 4).await;
    // It was tried, so that the courier knows what waits.
    let mut asked = bus.asked.subscribe();
    timeout(LONG, asked.wait_for(|asked| *asked > before)).await.unwrap().unwrap();
    let waits = TellingStatus { waiting: 8, since: Some(away), left_out: 2, held: Vec::new() };
    assert_eq!(status(&runtime).await, waits);

    bus.is_away.store(false, Ordering::SeqCst);
    told_in_full(&runtime, &store).await;
    assert_eq!(status(&runtime).await, TellingStatus { left_out: 2, ..TellingStatus::default() });
}
