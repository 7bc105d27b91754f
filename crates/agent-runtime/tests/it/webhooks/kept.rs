//! What webhooks keep, whoever works for them and whether anybody does.

use std::sync::Arc;

use agent_runtime::bus::{
    Bus, BusError, Delivery, Durable, Event, EventId, Failure, Position, Requeue, Retry, Start, Topic, Who,
};
use agent_runtime::events::{EventBus, EventBusBuilder, InProcessBus};
use agent_runtime::prelude::*;
use agent_runtime::store::StateStore;
use agent_runtime::webhooks::{Webhooks, queue_topic, state_topic, subscription, topic_rules};
use agent_runtime::{Clock, Pool, SystemClock, SystemEntropy, Tenant};
use runtime_testkit::fakes::MapStore;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::endpoint::{Endpoint, Says};
use super::{LONG, died, run, stands, telling, webhook};

/// More than anybody counts.
const MANY: usize = 1_300;
const END: Position = Position(u64::MAX >> 1);

async fn publish(bus: &dyn Bus, topic: &Topic, nth: usize) {
    let (clock, entropy) = (SystemClock::default(), SystemEntropy::default());
    let event = Event::new(topic.clone(), &nth).unwrap().from(&format!("nth-{nth}"));
    let event = Event { id: EventId::mint(&clock, &entropy), time: clock.now(), ..event };
    bus.publish(&Who::System, Arc::new(event)).await.unwrap();
}

/// Waits until all is trimmed that was to be so far: topics are, one after the other, and this is one that keeps little.
async fn trimmed(bus: &dyn Bus, state: &Topic) {
    for nth in 0..64 {
        publish(bus, state, nth).await;
    }
    let tenant = Tenant::default();
    let next = bus.read(&Who::System, &tenant, state, END, 1).await.unwrap().next;
    let waited = timeout(LONG, async {
        loop {
            match bus.read(&Who::System, &tenant, state, Position::FIRST, 1).await {
                Err(BusError::BeforeRetention { first, .. }) if first.0 + 16 >= next.0 => return,
                _ => yield_now().await,
            }
        }
    });
    waited.await.unwrap();
}

/// Lets all that is in the queue fail as a webhook does, and says how much that was.
async fn fail_all(bus: &dyn Bus, name: &Name) -> usize {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let durable =
        Durable { start: Start::Earliest, retry, ..Durable::of(queue_topic(name), subscription(name)) };
    let reader = bus.open(&Who::System, durable).await.unwrap();
    let mut failed = 0;
    while failed < MANY {
        match timeout(LONG, reader.next()).await.unwrap().unwrap() {
            Delivery::Event { position, .. } => {
                assert!(reader.failed(position, &Failure::says("nobody took it")).await.unwrap());
                failed += 1;
            }
            Delivery::Gap(gap) => panic!("{gap:?} after {failed}"),
        }
    }
    failed
}

#[tokio::test]
async fn deliveries_that_are_not_done_stay_in_the_queue_however_many_they_are_and_whether_anybody_reads_it() {
    let hook = webhook("hook", "https://example.com/");
    let rules = topic_rules([&hook]);
    let store: Arc<dyn StateStore> = Arc::new(MapStore::new());
    let durability = store.profile().best;
    let bus: InProcessBus = rules
        .into_iter()
        .fold(EventBus::builder(), EventBusBuilder::rule)
        .in_process_over(store, Pool::MAIN, durability);
    let (name, tenant) = (hook.name(), Tenant::default());
    let (queue, state) = (queue_topic(name), state_topic(name));
    for nth in 0..MANY {
        publish(&bus, &queue, nth).await;
    }
    trimmed(&bus, &state).await;
    assert_eq!(
        bus.read(&Who::System, &tenant, &queue, Position::FIRST, 1).await.unwrap().first,
        Position::FIRST
    );
    assert_eq!(fail_all(&bus, name).await, MANY);

    let again = Requeue { tenant, subscription: subscription(name), position: None, topic: None };
    let requeued = bus.requeue(&Who::System, &again, SystemClock::default().now()).await.unwrap();
    assert_eq!((requeued.sent, requeued.before, requeued.unsent), (MANY as u64, 0, 0));
    trimmed(&bus, &state).await;
    assert_eq!(fail_all(&bus, name).await, MANY, "what was sent again is there");
}

#[tokio::test]
async fn who_takes_a_webhook_over_knows_that_its_endpoint_is_gone() {
    let endpoint = Endpoint::says(|_| Says::Status(410)).await;
    let hook = webhook("hook", &endpoint.url());
    let (runtime, first) = telling(Arc::new(MapStore::new()), std::slice::from_ref(&hook)).await;
    // As another process over a shared bus does, it waits until the webhook is free.
    let second = Webhooks::of(&runtime).webhook(hook).start().await.unwrap();
    run(&runtime, "first").await;
    stands(&runtime, "hook", |state| state.disabled_at.is_some()).await;
    assert_eq!(second.states()[0].disabled_at, None);
    first.end(LONG).await;

    run(&runtime, "second").await;
    let letters = died(&runtime, "hook", 2).await;
    assert!(letters[1].event.headers.get("deadcause").unwrap().contains("is disabled since"));
    assert!(second.states()[0].disabled_at.is_some());
    assert_eq!(endpoint.all().len(), 1);
    second.end(LONG).await;
}
