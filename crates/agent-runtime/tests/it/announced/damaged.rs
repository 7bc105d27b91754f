//! A topic that is damaged holds up nothing but what goes there.

use std::sync::atomic::Ordering;

use agent_runtime::bus::HeldTopic;
use tokio::sync::watch;

use super::*;

const STARTED: &str = "agents/worker/run.started";

/// How many cells hold something aside.
async fn held_cells(store: &MapStore) -> usize {
    let mut held = 0;
    for partition in store.partitions().await.unwrap() {
        let cells = runtime_testkit::recount::cells(store, partition).await;
        held += cells.iter().filter(|(key, _)| key.path.as_bytes().starts_with(b"held/")).count();
    }
    held
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
    assert_eq!(held_cells(&store).await, 0, "nothing of it is left");
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

/// The process dies after so many events were held aside, and so many let go, or when that is to be said.
#[tokio::test]
async fn a_crash_beside_what_is_held_aside_repeats_nothing_and_loses_nothing() {
    for (holds, lets_go, says) in [(0, 9, true), (2, 9, true), (9, 0, true), (9, 2, true), (9, 9, false)] {
        let store = Arc::new(MapStore::new());
        // How many were held aside, let go, and kept from being written.
        let seen = Arc::new(watch::Sender::new((0, 0, 0)));
        let count = Arc::clone(&seen);
        let faulty = FaultyStore::new(Arc::clone(&store) as _, move |batch| {
            let mut fault = Fault::Pass;
            count.send_modify(|(held, gone, refused)| {
                let dies = (touches_held(batch, true) && *held >= holds)
                    || (touches_held(batch, false) && *gone >= lets_go)
                    || (moves_courier(batch) && *held > 0 && !says)
                    || *refused > 0;
                if dies {
                    *refused += 1;
                    fault = Fault::Unavailable;
                } else {
                    *held += usize::from(touches_held(batch, true));
                    *gone += usize::from(touches_held(batch, false));
                }
            });
            fault
        });
        let mut seen = seen.subscribe();
        let bus = Fickle::over(&store, Retention::default());
        let builder = RuntimeManager::builder(Arc::new(faulty)).bus(Arc::clone(&bus) as _);
        let (runtime, agent) = started(builder.open().await.unwrap().into()).await;
        told_in_full(&runtime, &store).await;
        // All of it is there when the courier comes to it.
        bus.is_away.store(true, Ordering::SeqCst);
        let ended = work(&runtime, &agent, 4).await;
        damage(&bus, Some(STARTED));
        bus.is_away.store(false, Ordering::SeqCst);
        let until = seen.wait_for(|(held, _, refused)| *held == 4 || *refused > 0);
        timeout(LONG, until).await.unwrap().unwrap();
        damage(&bus, None);
        timeout(LONG, seen.wait_for(|(_, _, refused)| *refused > 0)).await.unwrap().unwrap();
        let disk = Arc::new(store.crash());
        drop(runtime);

        let (runtime, _) = over(&disk, &Fickle::over(&disk, Retention::default())).await;
        told_in_full(&runtime, &disk).await;
        for name in ["run.accepted", "run.started", "run.completed"] {
            let died = format!("{name}, dead after {holds} and {lets_go}, {says}");
            assert_eq!(told(&runtime, name, ended.len()).await, ended, "{died}");
        }
    }
}

#[tokio::test]
async fn a_topic_is_said_to_be_whole_only_when_the_bus_was_asked() {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MapStore::new());
    // How often it could not be held aside: never can it.
    let refused = watch::Sender::new(0);
    let mut seen = refused.subscribe();
    let faulty = FaultyStore::new(Arc::clone(&store) as _, move |batch| {
        if !touches_held(batch, true) {
            return Fault::Pass;
        }
        refused.send_modify(|refused| *refused += 1);
        // No patience helps.
        Fault::TooLarge
    });
    let bus = Fickle::over(&store, Retention::default());
    let builder = RuntimeManager::builder(Arc::new(faulty)).clock(Arc::clone(&clock) as _);
    let runtime = builder.bus(Arc::clone(&bus) as _).open().await.unwrap();
    let (runtime, agent) = started(runtime.into()).await;
    told_in_full(&runtime, &store).await;
    damage(&bus, Some(STARTED));
    let found = agent_runtime::clock::Clock::now(&*clock);
    let ended = work(&runtime, &agent, 1).await;
    timeout(LONG, seen.wait_for(|refused| *refused > 0)).await.unwrap().unwrap();

    clock.advance(Duration::from_secs(5));
    let before = *seen.borrow();
    // One of them began after it was time to look.
    timeout(LONG, seen.wait_for(|refused| *refused >= before + 2)).await.unwrap().unwrap();

    let TellingStatus { held, .. } = status(&runtime).await;
    let [HeldTopic { topic, events: 0, since, .. }] = &held[..] else { panic!("{held:?}") };
    assert_eq!((topic.as_str(), *since), (STARTED, found), "it was damaged all the time");
    damage(&bus, None);
    clock.advance(Duration::from_secs(5));
    told_in_full(&runtime, &store).await;
    assert_eq!(status(&runtime).await.held, []);
    assert_eq!(told(&runtime, "run.started", 1).await, ended);
}

#[tokio::test]
async fn what_waits_for_the_bus_is_counted_in_the_status_with_its_time() {
    let clock = Arc::new(ManualClock::default());
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
