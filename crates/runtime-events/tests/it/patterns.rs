//! Durable subscriptions to patterns: many topics, few of them open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runtime_events::{
    BusError, Delivery, EventBus, EventBusBuilder, Failure, PatternReader, Retention, Retry, Start, Topic,
};
use runtime_testkit::block_on;
use runtime_testkit::fakes::MapStore;
use runtime_testkit::peers::{CutProxy, RedisServer};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::event;

const SOON: Duration = Duration::from_secs(20);
/// More than are open at once.
const TOPICS: u64 = 150;

fn builder() -> EventBusBuilder {
    EventBus::builder().keep("kept/*", Retention::default()).unwrap().lease(Duration::from_millis(300))
}

async fn next(reader: &PatternReader) -> (Topic, Delivery) {
    timeout(SOON, reader.next()).await.unwrap().unwrap()
}

async fn publish_to_all(bus: &EventBus, number: u64) {
    for topic in 0..TOPICS {
        timeout(SOON, bus.publish(event(number, &format!("kept/{topic}")))).await.unwrap().unwrap();
    }
}

/// Handles until so many topics have come so far, each in its order.
async fn handle(reader: &PatternReader, last: &mut BTreeMap<Topic, u64>, topics: u64, until: u64) {
    while (last.values().filter(|last| **last >= until).count() as u64) < topics {
        let (topic, delivery) = next(reader).await;
        let Delivery::Event { position, event, .. } = delivery else {
            unreachable!("a durable subscription has no gap")
        };
        let last = last.entry(topic.clone()).or_default();
        assert_eq!((event.json::<u64>().unwrap(), position.0), (*last + 1, *last + 1), "{topic}");
        *last += 1;
        timeout(SOON, reader.done(&topic, position)).await.unwrap().unwrap();
    }
}

/// Two rounds before it is opened, one while it reads, one while nobody reads, each in a topic for many.
async fn all_topics_get_their_turn(bus: &EventBus) {
    let audit = || bus.durable("kept/*", "audit").unwrap();
    let mut last = BTreeMap::new();
    publish_to_all(bus, 1).await;
    publish_to_all(bus, 2).await;
    let reader = timeout(SOON, audit().open_pattern()).await.unwrap().unwrap();
    handle(&reader, &mut last, TOPICS, 2).await;
    publish_to_all(bus, 3).await;
    handle(&reader, &mut last, TOPICS, 3).await;
    drop(reader);
    publish_to_all(bus, 4).await;
    let reader = timeout(SOON, audit().start(Start::Latest).open_pattern()).await.unwrap().unwrap();
    handle(&reader, &mut last, TOPICS, 4).await;
}

#[test]
fn of_more_topics_than_are_open_at_once_all_get_their_turn_in_a_store() {
    block_on(async {
        all_topics_get_their_turn(&builder().build_over(Arc::new(MapStore::new()))).await;
    });
}

#[test]
fn of_more_topics_than_are_open_at_once_all_get_their_turn_in_redis() {
    block_on(async {
        let server = RedisServer::start();
        all_topics_get_their_turn(&builder().connect(&server.uri(0)).await.unwrap()).await;
    });
}

#[test]
fn topics_that_a_dead_process_left_behind_are_found() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let uri = format!("redis+unix://{}", way.socket().display());
        let (dies, lives) =
            (builder().connect(&uri).await.unwrap(), builder().connect(&server.uri(0)).await.unwrap());
        publish_to_all(&lives, 1).await;
        let first = dies.durable("kept/*", "audit").unwrap().group().open_pattern().await.unwrap();
        for _ in 0..10 {
            next(&first).await;
        }
        let second = lives.durable("kept/*", "audit").unwrap().group().open_pattern().await.unwrap();
        let mut last = BTreeMap::new();
        // So many are not open over there. To come to them it closes those in which all is somebody else's.
        handle(&second, &mut last, TOPICS - 64, 1).await;
        drop(way);
        drop((first, dies));
        handle(&second, &mut last, TOPICS, 1).await;
    });
}

#[test]
fn a_pattern_does_not_read_what_it_has_put_away_itself() {
    block_on(async {
        let bus = builder().build_over(Arc::new(MapStore::new()));
        let once = Retry { attempts: 1, ..Retry::default() };
        let reader = bus.durable("**", "audit").unwrap().retry(once).open_pattern().await.unwrap();
        bus.publish(event(1, "kept/jobs")).await.unwrap();
        let (topic, Delivery::Event { position, .. }) = next(&reader).await else { panic!("a gap") };
        assert!(reader.failed(&topic, position, &Failure::says("no")).await.unwrap());
        let others = bus.durable("system/**", "others").unwrap().open_pattern().await.unwrap();
        let (letters, _) = next(&others).await;
        assert_eq!(letters.as_str(), "system/dead-letters/audit", "others may");

        bus.publish(event(2, "kept/jobs")).await.unwrap();
        let (topic, Delivery::Event { event, .. }) = next(&reader).await else { panic!("a gap") };
        assert_eq!((topic.as_str(), event.json::<u64>().unwrap()), ("kept/jobs", 2));
    });
}

#[test]
fn a_handler_has_all_topics_of_its_pattern_and_a_reader_of_one_topic_needs_its_name() {
    block_on(async {
        let bus = builder().build_over(Arc::new(MapStore::new()));
        let (tell, mut told) = mpsc::channel(8);
        let handling = bus.durable("kept/*", "audit").unwrap().handle(move |event| {
            let tell = tell.clone();
            async move { tell.send(event.topic.to_string()).await.map_err(|_| "nobody counts") }
        });
        let handling = handling.await.unwrap();
        let mut heard = BTreeSet::new();
        for name in ["kept/a", "kept/b", "kept/c"] {
            bus.publish(event(1, name)).await.unwrap();
            heard.insert(timeout(SOON, told.recv()).await.unwrap().unwrap());
        }
        assert_eq!(heard.into_iter().collect::<Vec<_>>(), ["kept/a", "kept/b", "kept/c"]);
        handling.end().await;

        let wide = bus.durable("kept/*", "audit").unwrap().open().await;
        assert!(matches!(wide, Err(BusError::Topic(_))), "{wide:?}");
        let one = bus.durable("kept/a", "audit").unwrap().open_pattern().await.unwrap();
        bus.publish(event(2, "kept/a")).await.unwrap();
        let (_, Delivery::Event { event, .. }) = next(&one).await else { panic!("a gap") };
        assert_eq!(event.json::<u64>().unwrap(), 2, "it is the same cursor, and goes on where it was");
    });
}
