//! A store that loses answers, is away, or is taken by somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runtime_events::{BusError, Delivery, EventBus, Retention, Topic};
use runtime_testkit::fakes::{Chance, Fault, FaultyStore, MapStore};
use runtime_traits::store::{Batch, Then};
use tokio::time::Instant;

use crate::event;

fn over(store: Arc<FaultyStore>) -> EventBus {
    EventBus::builder().keep("kept/*", Retention::default()).unwrap().build_over(store)
}

/// By the clock of the executor, which stands still while anybody works.
#[expect(clippy::disallowed_methods, reason = "it is the test's own")]
fn now() -> Instant {
    Instant::now()
}

fn numbers(page: &runtime_events::Page) -> Vec<u64> {
    page.events.iter().map(|kept| kept.event.json().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn answers_that_get_lost_lose_nothing_and_repeat_nothing() {
    let mut chance = Chance::new(7);
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), move |_| match chance.below(5) {
        0 => Fault::UnknownBefore,
        1 => Fault::UnknownAfter,
        2 => Fault::Unavailable,
        _ => Fault::Pass,
    }));
    let bus = over(Arc::clone(&store));
    let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    for number in 1..=200 {
        bus.publish(event(number, "kept/jobs")).await.unwrap();
    }

    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    for number in 1..=200 {
        let Delivery::Event { position, event, .. } = reader.next().await.unwrap() else { panic!("a gap") };
        assert_eq!((position.0, event.json::<u64>().unwrap()), (number, number));
        *seen.entry(number).or_default() += 1;
        reader.done(position).await.unwrap();
    }
    assert!(seen.values().all(|times| *times == 1));
    let topic: Topic = "kept/jobs".parse().unwrap();
    let page = bus.read(&topic, runtime_events::Position(1), 1_000).await.unwrap();
    assert_eq!(numbers(&page), (1..=200).collect::<Vec<_>>(), "each event is kept once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_of_and_the_same_event_may_be_published_again() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::UnknownAfter));
    let bus = over(Arc::clone(&store));
    let unknown = bus.publish(event(1, "kept/jobs")).await;
    assert!(matches!(unknown, Err(BusError::Unknown { .. })), "{unknown:?}");
    store.decide_by(|_| Fault::Unavailable);
    let away = bus.publish(event(2, "kept/jobs")).await;
    assert!(matches!(away, Err(BusError::Unavailable { .. })), "{away:?}");

    store.decide_by(|_| Fault::Pass);
    for number in [1, 2] {
        bus.publish(event(number, "kept/jobs")).await.unwrap();
    }

    let topic: Topic = "kept/jobs".parse().unwrap();
    let page = bus.read(&topic, runtime_events::Position(1), 10).await.unwrap();
    assert_eq!(numbers(&page), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_while_the_store_is_away_is_saved_when_it_is_back() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let bus = over(Arc::clone(&store));
    bus.publish(event(1, "kept/jobs")).await.unwrap();
    let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position, .. } = reader.next().await.unwrap() else { panic!("a gap") };

    let saves = |batch: &Batch| matches!(batch.then[..], [Then::Put(..)]);
    store.decide_by(move |batch| if saves(batch) { Fault::Unavailable } else { Fault::Pass });
    let unsaved = reader.done(position).await;
    assert!(matches!(unsaved, Err(BusError::Unavailable { .. })), "{unsaved:?}");
    store.decide_by(|_| Fault::Pass);
    reader.done(position).await.unwrap();

    drop(reader);
    bus.publish(event(2, "kept/jobs")).await.unwrap();
    let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position, .. } = reader.next().await.unwrap() else { panic!("a gap") };
    assert_eq!(position.0, 2);
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_before_a_save_does_not_count_when_everybody_goes() {
    let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |_| Fault::Pass));
    let bus = over(Arc::clone(&store));
    for number in 1..=3 {
        bus.publish(event(number, "kept/jobs")).await.unwrap();
    }
    let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position, .. } = reader.next().await.unwrap() else { panic!("a gap") };
    let away_until = |until: Instant| {
        store.decide_by(move |_| if now() < until { Fault::Unavailable } else { Fault::Pass });
    };
    away_until(now() + Duration::from_secs(60));
    assert!(reader.done(position).await.is_err());
    away_until(now());
    reader.done(position).await.unwrap();

    let Delivery::Event { position, .. } = reader.next().await.unwrap() else { panic!("a gap") };
    away_until(now() + Duration::from_secs(3));
    assert!(reader.done(position).now_or_never().is_none());
    drop(reader);
    let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position, .. } = reader.next().await.unwrap() else { panic!("a gap") };
    assert_eq!(position.0, 3, "the last save was tried again");
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_a_cursor_to_another_process_is_told() {
    let store: Arc<MapStore> = Arc::new(MapStore::new());
    let bus = |store: &Arc<MapStore>| {
        EventBus::builder()
            .keep("kept/*", Retention::default())
            .unwrap()
            .build_over(Arc::clone(store) as Arc<_>)
    };
    let (one, two) = (bus(&store), bus(&store));
    for number in 1..=3 {
        one.publish(event(number, "kept/jobs")).await.unwrap();
    }
    let first = one.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position, .. } = first.next().await.unwrap() else { panic!("a gap") };
    let second = two.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { position: again, .. } = second.next().await.unwrap() else { panic!("a gap") };
    assert_eq!(position, again, "it was not done");
    second.done(again).await.unwrap();

    let told = first.done(position).await;
    assert!(matches!(told, Err(BusError::Taken { .. })), "{told:?}");
    let told = tokio::time::timeout(Duration::from_secs(5), first.next()).await.unwrap();
    assert!(matches!(told, Err(BusError::Taken { .. })), "{told:?}");
}
