//! What the members of a group in several processes are promised.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use runtime_traits::bus::{Bus, Deliveries, Delivery, Durable, Event, Position};
use tokio::sync::Notify;

use super::BusFixture;
use super::scene::{Scene, cursor, number, tenant, unexpected, within};

const SOURCES: u64 = 40;

/// What was handled: by source, and by whom.
#[derive(Default)]
struct Tally {
    last: Mutex<BTreeMap<String, u64>>,
    by: Mutex<HashSet<&'static str>>,
    handled: Notify,
}

impl Tally {
    /// Each event once, each source in its order.
    fn take(&self, source: &str, number: u64, who: &'static str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(source.to_owned()).or_default();
        assert_eq!(number, *last + 1, "the events of `{source}` come once and in their order");
        *last = number;
        self.by.lock().unwrap_or_else(PoisonError::into_inner).insert(who);
        self.handled.notify_waiters();
    }

    fn is_up_to(&self, round: u64) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.len() as u64 == SOURCES && last.values().all(|last| *last == round)
    }

    fn forget_who(&self) {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn has_worked(&self, who: &str) -> bool {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).contains(who)
    }

    /// Waits until all sources have come so far.
    async fn up_to(&self, round: u64) {
        self.until(|| self.is_up_to(round)).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut handled = std::pin::pin!(self.handled.notified());
            handled.as_mut().enable();
            if is_so() {
                return;
            }
            handled.await;
        }
    }
}

/// Handles one event after the other.
async fn handle(reader: &dyn Deliveries, tally: &Tally, who: &'static str) {
    loop {
        let delivery = reader.next().await;
        let Ok(Delivery::Event { position, event, .. }) = &delivery else { return unexpected(&delivery) };
        tally.take(&event.source, number(event), who);
        reader.done(*position).await.expect("it is saved");
    }
}

/// Takes an event, and does not settle it.
async fn take_event(reader: &dyn Deliveries) -> (Position, Arc<Event>) {
    let delivery = within(reader.next()).await;
    let Ok(Delivery::Event { position, event, .. }) = delivery else { return unexpected(&delivery) };
    (position, event)
}

/// Handles what is in the hand.
async fn settle(reader: &dyn Deliveries, tally: &Tally, events: Vec<(Position, Arc<Event>)>) {
    for (position, event) in events {
        tally.take(&event.source, number(&event), "one");
        within(reader.done(position)).await.expect("it is saved");
    }
}

/// The next event of each source.
async fn publish(scene: &Scene<'_>, round: u64) {
    for source in 0..SOURCES {
        scene.publish("kept/talk", &format!("source-{source}"), round).await;
    }
}

/// Publishes and handles until both have had something, and all is handled.
async fn work_together(
    scene: &Scene<'_>,
    tally: &Tally,
    round: &mut u64,
    both: [(&dyn Deliveries, &'static str); 2],
) {
    let [(one, first), (two, second)] = both;
    tally.forget_who();
    let rounds = async {
        while !tally.has_worked(first) || !tally.has_worked(second) {
            *round += 1;
            publish(scene, *round).await;
            tally.up_to(*round).await;
        }
    };
    within(async {
        tokio::select! {
            () = rounds => {}
            () = handle(one, tally, first) => {}
            () = handle(two, tally, second) => {}
        }
    })
    .await;
}

async fn open(bus: &Arc<dyn Bus>) -> Box<dyn Deliveries> {
    let durable = Durable { group: true, ..cursor("workers", "kept/talk") };
    within(bus.open(&tenant(), durable)).await.expect("it may be opened")
}

/// `shared-between-processes`: each event once and each source in its order, whoever comes, goes or dies.
pub async fn shared_between_processes(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let (tally, mut round) = (Tally::default(), 0);
    let other = scene.beside().await;
    let one = open(&scene.bus).await;
    let two = open(&other).await;
    work_together(&scene, &tally, &mut round, [(&*one, "one"), (&*two, "two")]).await;

    round += 1;
    publish(&scene, round).await;
    take_event(&*two).await;
    scene.kill_beside(other).await;
    drop(two);
    within(async {
        tokio::select! {
            () = tally.up_to(round) => {}
            () = handle(&*one, &tally, "one") => {}
        }
    })
    .await;

    round += 1;
    publish(&scene, round).await;
    let mut in_hand = Vec::new();
    for _ in 0..SOURCES {
        in_hand.push(take_event(&*one).await);
    }
    let third = scene.beside().await;
    let three = open(&third).await;
    let kept = in_hand.split_off(in_hand.len() / 2);
    settle(&*one, &tally, in_hand).await;
    publish(&scene, round + 1).await;
    // Something is handed over, and nothing that is in a hand.
    within(async {
        tokio::select! {
            () = tally.until(|| tally.has_worked("three")) => {}
            () = handle(&*three, &tally, "three") => {}
        }
    })
    .await;
    settle(&*one, &tally, kept).await;
    round += 1;
    within(async {
        tokio::select! {
            () = tally.up_to(round) => {}
            () = handle(&*one, &tally, "one") => {}
            () = handle(&*three, &tally, "three") => {}
        }
    })
    .await;
    work_together(&scene, &tally, &mut round, [(&*one, "one"), (&*three, "three")]).await;
    drop(one);
    round += 1;
    publish(&scene, round).await;
    within(async {
        tokio::select! {
            () = tally.up_to(round) => {}
            () = handle(&*three, &tally, "three") => {}
        }
    })
    .await;
}
