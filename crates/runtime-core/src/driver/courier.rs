//! Couriers: each brings what a partition announces to the bus, in its order and once, whenever the bus is there.
//!
//! The id of an event follows from its place, so that a bus which knows its last ids keeps it once. One that forgets them
//! with its process is asked for the last events of the topic, before anything is delivered that may have been before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use runtime_codec::decode_announced;
use runtime_traits::bus::{Bus, BusError, Event, EventId, Position, TellingStatus, Topic, Who};
use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Log, Seq, Tail};
use thiserror::Error;
use tokio::time::timeout;

use super::announce::{Announcing, PUBLISHED_WITHIN};
use super::held::Placed;
use super::inner::Inner;
use super::post::advance;
use super::run_slot::lock;
use super::trouble::Trouble;
use crate::engine::announced::event_id;
use crate::engine::keys;

/// Announced batches that are delivered together: after a crash so many at most are in doubt.
const GROUP: u32 = 32;
/// How many of a topic's last events are compared with what may have been delivered before.
const COMPARED: u64 = 1_024;
/// How many of them are read at once.
const PAGE: u32 = 256;
/// The most that a runtime which shuts down waits for what is announced to be delivered.
const DELIVERED_WITHIN: Duration = Duration::from_secs(5);

/// A topic that is damaged.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) tenant: Tenant,
    pub(super) topic: Topic,
    pub(super) what: String,
}

impl Damage {
    fn of(event: &Event, what: String) -> Self {
        Self { tenant: event.tenant.clone(), topic: event.topic.clone(), what }
    }
}

/// How far a courier came.
enum Came {
    /// A group was delivered.
    On,
    /// What goes to a topic must be held aside first.
    UponDamage,
    /// There is nothing more.
    ToTheEnd,
}

/// Why something could not be delivered.
#[derive(Debug, Error)]
pub(super) enum Undelivered {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the bus panicked")]
    Panicked,
}

impl Inner {
    /// Finds what earlier processes announced in a partition and did not deliver, or not surely.
    pub(super) async fn find_announced(&self, partition: Partition) -> Result<(), RuntimeError> {
        let Some(announcing) = self.announcing.as_deref() else { return Ok(()) };
        self.find_held(partition).await?;
        let at = self.cursor(keys::published(partition)).await?;
        let log = keys::announced(partition);
        let tail = self.store.read(&log, Seq(at.done + 1), 1).await?;
        let waiting = tail.next.0.saturating_sub(at.done + 1);
        if waiting > 0 {
            announcing.note_oldest(partition, events_in(partition, &log, &tail).first());
            announcing.waiting.fetch_add(waiting, Ordering::Relaxed);
            lock(&announcing.unsure).insert(partition);
            announcing.post.ring(partition);
        }
        Ok(())
    }

    /// Sees to what all partitions announce until the runtime ends.
    pub(super) async fn keep_couriers(self: Arc<Self>) {
        let Some(announcing) = self.announcing.clone() else { return };
        // Not where no agent can stop it: a driver of a bus may need what that executor has not.
        self.keep(&announcing.post, Self::deliver, self.control.workers()).await;
    }

    /// Delivers what a partition announces, for as long as there is something.
    pub(super) async fn deliver(self: Arc<Self>, partition: Partition) {
        let Some(announcing) = self.announcing.clone() else { return };
        let mut trouble = Trouble::default();
        while !self.ending.is_cancelled() {
            let delivering = AssertUnwindSafe(self.deliver_group(&announcing, partition));
            let delivered = delivering.catch_unwind().await.unwrap_or(Err(Undelivered::Panicked));
            let error = match delivered {
                Ok(Came::UponDamage) => continue,
                Ok(came) => {
                    if trouble.is_over() {
                        tracing::info!(%partition, "the bus takes events again");
                    }
                    if let Came::ToTheEnd = came {
                        self.see_to_held(&announcing, partition);
                        return;
                    }
                    continue;
                }
                Err(error) => error,
            };
            lock(&announcing.unsure).insert(partition);
            if self.ending.is_cancelled() {
                return;
            }
            let (pause, is_to_be_said) = trouble.met(self.clock.now());
            if is_to_be_said {
                let TellingStatus { waiting, since, .. } = announcing.status();
                let since = since.map(|since| since.to_rfc3339());
                tracing::warn!(
                    %partition, %error, waiting, since,
                    "announcements could not be delivered; they wait in the store"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    async fn deliver_group(
        &self,
        announcing: &Announcing,
        partition: Partition,
    ) -> Result<Came, Undelivered> {
        let log = keys::announced(partition);
        self.bring_held(announcing, partition).await?;
        let at = self.cursor(keys::published(partition)).await?;
        let from = at.done;
        let tail = self.store.read(&log, Seq(from + 1), GROUP).await.map_err(RuntimeError::from)?;
        let last = tail.first.0 + tail.entries.len() as u64 - 1;
        let events = events_in(partition, &log, &tail);
        announcing.note_oldest(partition, events.first());
        if tail.entries.is_empty() {
            return Ok(Came::ToTheEnd);
        }
        let events = self.hold_aside(announcing, partition, events).await?;
        let unsure = lock(&announcing.unsure).contains(&partition);
        // The sources do not wait for each other.
        let chains = by_source(events).into_values();
        let delivered = chains.map(|events| deliver_chain(&*announcing.bus, events, unsure));
        let damaged = join_all(delivered).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut damaged = damaged.into_iter().flatten().peekable();
        if damaged.peek().is_some() {
            // What goes there is held first, and then the others go on.
            lock(&announcing.unsure).insert(partition);
            damaged.for_each(|damage| announcing.note_damage(partition, damage, self.clock.now()));
            return Ok(Came::UponDamage);
        }
        self.commit(partition, advance(at, &log, last)).await.map_err(RuntimeError::from)?;
        lock(&announcing.unsure).remove(&partition);
        announcing.let_go(last - from);
        announcing.delivered.notify_waiters();
        Ok(Came::On)
    }

    /// Waits until all that is announced is delivered, or for a while, or not at all where the bus is away.
    pub(super) async fn until_delivered(&self, within: Duration) {
        let Some(announcing) = self.announcing.as_deref().filter(|_| !self.config.at_rest) else { return };
        let delivered = async {
            loop {
                let mut delivered = std::pin::pin!(announcing.delivered.notified());
                delivered.as_mut().enable();
                let waiting = announcing.waiting.load(Ordering::Relaxed);
                if waiting == 0 || !lock(&announcing.unsure).is_empty() {
                    return;
                }
                delivered.await;
            }
        };
        let _ = timeout(within.min(DELIVERED_WITHIN), delivered).await;
    }
}

/// The events of announced batches, with their ids. What cannot be read is told by the log of this process alone.
fn events_in(partition: Partition, log: &Log, tail: &Tail) -> Vec<Placed> {
    let mut events = Vec::new();
    for (entry, seq) in tail.entries.iter().zip(tail.first.0..) {
        match decode_announced(entry) {
            Ok(announced) => events.extend(announced.into_iter().zip(0..).map(|(event, nth)| {
                let id = event_id(partition, Seq(seq), nth as usize, &event);
                Placed { at: (Seq(seq), nth), event: Arc::new(Event { id, ..event }) }
            })),
            Err(error) => {
                tracing::error!(%log, seq, %error, "announced events are damaged; they are left out")
            }
        }
    }
    events
}

fn by_source(events: Vec<Placed>) -> BTreeMap<(Tenant, Arc<str>), Vec<Arc<Event>>> {
    let mut chains: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Placed { event, .. } in events {
        chains.entry((event.tenant.clone(), Arc::clone(&event.source))).or_default().push(event);
    }
    chains
}

/// Publishes the events of one source, one after the other. What is damaged: at the first topic that is, it ends.
///
/// # Errors
/// What kept an event from being published for now. What the bus refuses for good is left out, and said.
pub(super) async fn deliver_chain(
    bus: &dyn Bus,
    events: Vec<Arc<Event>>,
    unsure: bool,
) -> Result<Option<Damage>, BusError> {
    let mut there = HashSet::new();
    if unsure && Guard::Delivered.holds() {
        match delivered_before(bus, &events).await? {
            Ok(delivered) => there = delivered,
            Err(damage) => return Ok(Some(damage)),
        }
    }
    for event in events.iter().filter(|event| !there.contains(&event.id)) {
        let publish = bus.publish(&Who::System, Arc::clone(event));
        let published = timeout(PUBLISHED_WITHIN, publish).await.unwrap_or_else(|_| Err(too_slow()));
        match published {
            Ok(_) => {}
            Err(error) if error.is_transient() => return Err(error),
            Err(BusError::Damaged { what }) => return Ok(Some(Damage::of(event, what))),
            Err(error) => {
                tracing::error!(topic = %event.topic, %error, "the bus does not take an event; it is left out");
            }
        }
    }
    Ok(None)
}

/// Which of these events were delivered before: of each source and in each topic those up to the last one that is there, as
/// they come in order. What is in another topic says nothing: what was held aside may have come there first. Or a topic that
/// cannot be asked, because it is damaged.
async fn delivered_before(
    bus: &dyn Bus,
    events: &[Arc<Event>],
) -> Result<Result<HashSet<EventId>, Damage>, BusError> {
    let mut topics: HashMap<&Topic, HashSet<EventId>> = HashMap::new();
    let mut found: HashSet<(&Topic, &str)> = HashSet::new();
    let mut delivered = HashSet::new();
    for event in events.iter().rev() {
        if !topics.contains_key(&event.topic) {
            match last_ids(bus, &event.tenant, &event.topic).await {
                Ok(ids) => topics.insert(&event.topic, ids),
                Err(BusError::Damaged { what }) => return Ok(Err(Damage::of(event, what))),
                Err(error) => return Err(error),
            };
        }
        if topics[&event.topic].contains(&event.id) {
            found.insert((&event.topic, &*event.source));
        }
        if found.contains(&(&event.topic, &*event.source)) {
            delivered.insert(event.id);
        }
    }
    Ok(Ok(delivered))
}

/// Whether a topic is damaged, as far as reading its end tells.
///
/// # Errors
/// What kept it from being asked for now.
pub(super) async fn look_at_topic(
    bus: &dyn Bus,
    (tenant, topic): &(Tenant, Topic),
) -> Result<Option<Damage>, BusError> {
    match last_ids(bus, tenant, topic).await {
        Ok(_) => Ok(None),
        Err(BusError::Damaged { what }) => {
            Ok(Some(Damage { tenant: tenant.clone(), topic: topic.clone(), what }))
        }
        Err(error) => Err(error),
    }
}

/// The ids of a topic's last events; none of a topic that is not kept.
async fn last_ids(bus: &dyn Bus, tenant: &Tenant, topic: &Topic) -> Result<HashSet<EventId>, BusError> {
    let read = |from: Position, limit| async move {
        let read = bus.read(&Who::System, tenant, topic, from, limit);
        timeout(PUBLISHED_WITHIN, read).await.unwrap_or_else(|_| Err(too_slow()))
    };
    // Far behind the end there is nothing but the end's place.
    let next = match read(Position(u64::MAX >> 1), 1).await {
        Ok(page) => page.next,
        Err(BusError::NotDurable { .. }) => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut ids = HashSet::new();
    let mut from = Position(next.0.saturating_sub(COMPARED).max(1));
    while from < next {
        match read(from, PAGE).await {
            Ok(page) if page.events.is_empty() => break,
            Ok(page) => {
                from = page.events.last().map_or(next, |kept| kept.position.next());
                ids.extend(page.events.iter().map(|kept| kept.event.id));
            }
            Err(BusError::BeforeRetention { first, .. }) => from = first,
            Err(error) => return Err(error),
        }
    }
    Ok(ids)
}

fn too_slow() -> BusError {
    BusError::Unavailable { cause: Cause::says("it did not answer in time") }
}
