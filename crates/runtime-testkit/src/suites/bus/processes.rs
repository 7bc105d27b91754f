//! What the members of a group in several processes are promised.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use runtime_traits::bus::{Bus, Deliveries, Delivery, Durable};
use tokio::sync::Notify;

use super::BusFixture;
use super::scene::{Scene, cursor, number, take, tenant, unexpected, within};

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
        loop {
            let mut handled = std::pin::pin!(self.handled.notified());
            handled.as_mut().enable();
            if self.is_up_to(round) {
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
    take(&*two).await;
    scene.kill_beside(other).await;
    drop(two);
    within(async {
        tokio::select! {
            () = tally.up_to(round) => {}
            () = handle(&*one, &tally, "one") => {}
        }
    })
    .await;

    let third = scene.beside().await;
    let three = open(&third).await;
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
