//! What goes to a topic that is damaged is held aside in the store, so that it holds up nothing else, and is brought there
//! when the topic is whole again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use runtime_codec::{decode_event, encode_event};
use runtime_traits::bus::{Event, HeldTopic, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Cell, Key, Seq, StateError, Then, When};

use super::announce::Announcing;
use super::courier::{Damage, Undelivered, deliver_chain, look_at_topic};
use super::inner::Inner;
use super::run_slot::lock;
use super::trouble::PAUSES;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// The most events that a partition holds aside; further ones are left out, and said.
const MOST: usize = 4_096;

/// The place of an event in what its partition announces: of its entry, and within that.
pub(super) type At = (Seq, u32);

/// An event that is to be published, and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) at: At,
    pub(super) event: Arc<Event>,
}

/// The topics of a partition that are damaged.
#[derive(Debug)]
pub(super) struct Aside {
    topics: BTreeMap<(Tenant, Topic), OfTopic>,
    /// When to see whether they are whole again, however much else there is to do.
    look_at: UnixMillis,
    /// The last pause before such a look.
    pause: Duration,
    /// The look for which somebody rings, if nothing else does.
    rings_for: Option<UnixMillis>,
}

#[derive(Debug)]
struct OfTopic {
    held: BTreeSet<At>,
    since: UnixMillis,
    what: String,
}

impl Aside {
    fn looking_at(look_at: UnixMillis) -> Self {
        Self { topics: BTreeMap::new(), look_at, pause: PAUSES.0, rings_for: None }
    }

    fn is_due(&self, now: UnixMillis) -> bool {
        // A clock that was set back puts nothing off.
        now >= self.look_at || self.look_at.since(now) > PAUSES.1
    }

    /// A topic is damaged that was not: it is looked at as soon as any first one.
    fn look_soon(&mut self, now: UnixMillis) {
        self.pause = PAUSES.0;
        self.look_at = self.look_at.min(now.after(PAUSES.0));
    }

    /// It was seen to: the next time is later, and sooner again where one was whole.
    fn looked(&mut self, now: UnixMillis, was_whole: bool) {
        self.pause = if was_whole { PAUSES.0 } else { (self.pause * 2).min(PAUSES.1) };
        self.look_at = now.after(self.pause);
    }

    fn count(&self) -> usize {
        self.topics.values().map(|of| of.held.len()).sum()
    }

    /// What is held aside, topic by topic.
    pub(super) fn shown(&self) -> impl Iterator<Item = HeldTopic> {
        self.topics.iter().map(|((tenant, topic), of)| HeldTopic {
            tenant: tenant.clone(),
            topic: topic.clone(),
            events: of.held.len() as u64,
            since: of.since,
            what: of.what.clone(),
        })
    }
}

fn place_of(event: &Event) -> (Tenant, Topic) {
    (event.tenant.clone(), event.topic.clone())
}

impl Announcing {
    /// Whether the topic of an event is damaged, and whether the event is held aside already.
    fn is_held(&self, partition: Partition, placed: &Placed) -> (bool, bool) {
        let all = lock(&self.aside);
        let of = all.get(&partition).and_then(|aside| aside.topics.get(&place_of(&placed.event)));
        (of.is_some(), of.is_some_and(|of| of.held.contains(&placed.at)))
    }

    /// From here on what goes to this topic is held aside.
    pub(super) fn note_damage(&self, partition: Partition, damage: Damage, now: UnixMillis) {
        let Damage { tenant, topic, what } = damage;
        let mut all = lock(&self.aside);
        let aside = all.entry(partition).or_insert_with(|| Aside::looking_at(now.after(PAUSES.0)));
        // Another source may have come upon it as well.
        if let Entry::Vacant(new) = aside.topics.entry((tenant, topic)) {
            let (tenant, topic) = new.key();
            tracing::error!(
                %partition, %tenant, %topic, what,
                "the topic is damaged; what goes there is held aside, and brought there when it is whole again"
            );
            new.insert(OfTopic { held: BTreeSet::new(), since: now, what });
            aside.look_soon(now);
        }
    }
}

impl Inner {
    /// Finds what is held aside in a partition.
    pub(super) async fn find_held(&self, partition: Partition) -> Result<(), RuntimeError> {
        let Some(announcing) = self.announcing.as_deref() else { return Ok(()) };
        let mut aside = Aside::looking_at(self.clock.now());
        for (_, since, placed) in self.held(partition).await? {
            let what = || "it was when it was asked last".to_owned();
            let new = || OfTopic { held: BTreeSet::new(), since, what: what() };
            aside.topics.entry(place_of(&placed.event)).or_insert_with(new).held.insert(placed.at);
        }
        if !aside.topics.is_empty() {
            lock(&announcing.aside).insert(partition, aside);
            announcing.post.ring(partition);
        }
        Ok(())
    }

    /// What is held aside in a partition, in its order, and since when. What cannot be read stays where it is, and is said.
    async fn held(
        &self,
        partition: Partition,
    ) -> Result<Vec<((Key, Cell), UnixMillis, Placed)>, RuntimeError> {
        let mut held = Vec::new();
        for (key, cell) in self.cells(&keys::held_all(partition)).await? {
            match (keys::held_at(&key), decode_event(&cell.value)) {
                (Some(at), Ok((since, event))) => {
                    held.push(((key, cell), since, Placed { at, event: Arc::new(event) }));
                }
                (_, read) => {
                    let error = read.err().map(|error| error.to_string());
                    tracing::error!(%key, error, "an event that is held aside is damaged; it stays there");
                }
            }
        }
        Ok(held)
    }

    /// Holds aside what goes to topics that are damaged, before the others are published. The other events.
    ///
    /// # Errors
    /// What kept it from being held: then nothing of all that was published.
    pub(super) async fn hold_aside(
        &self,
        announcing: &Announcing,
        partition: Partition,
        events: Vec<Placed>,
    ) -> Result<Vec<Placed>, Undelivered> {
        if !lock(&announcing.aside).contains_key(&partition) {
            return Ok(events);
        }
        let mut others = Vec::with_capacity(events.len());
        for placed in events {
            match announcing.is_held(partition, &placed) {
                (false, _) => others.push(placed),
                (true, true) => {}
                (true, false) => self.hold(announcing, partition, placed).await?,
            }
        }
        Ok(others)
    }

    async fn hold(
        &self,
        announcing: &Announcing,
        partition: Partition,
        Placed { at, event }: Placed,
    ) -> Result<(), Undelivered> {
        if lock(&announcing.aside).get(&partition).is_some_and(|aside| aside.count() >= MOST) {
            let left_out = announcing.left_out.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                %partition, topic = %event.topic, limit = MOST, left_out,
                "too much is held aside for damaged topics; an event is left out"
            );
            return Ok(());
        }
        let key = keys::held(partition, at.0, at.1);
        let then = vec![Then::Put(key.clone(), encode_event(self.clock.now(), &event))];
        match self.commit(partition, Writes::of(vec![When::Absent(key)], then)).await {
            // Of the other case it was never told: it is its own, as nobody else has the partition.
            Ok(_) | Err(StateError::Conflict { .. }) => {}
            Err(error) => return Err(RuntimeError::from(error).into()),
        }
        let mut all = lock(&announcing.aside);
        let of = all.get_mut(&partition).and_then(|aside| aside.topics.get_mut(&place_of(&event)));
        of.into_iter().for_each(|of| _ = of.held.insert(at));
        Ok(())
    }

    /// Brings what is held aside to its topics, where it is time and they are whole again.
    pub(super) async fn bring_held(
        &self,
        announcing: &Announcing,
        partition: Partition,
    ) -> Result<(), Undelivered> {
        let now = self.clock.now();
        if !lock(&announcing.aside).get(&partition).is_some_and(|aside| aside.is_due(now)) {
            return Ok(());
        }
        let mut by_topic: BTreeMap<_, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for (written, _, placed) in self.held(partition).await? {
            let (cells, events) = by_topic.entry(place_of(&placed.event)).or_default();
            cells.push(written);
            events.push(placed.event);
        }
        // Also one that holds nothing: it is damaged until it is seen to be whole.
        let known: Vec<_> = lock(&announcing.aside)
            .get(&partition)
            .map(|aside| aside.topics.keys().cloned().collect())
            .unwrap_or_default();
        let mut was_whole = false;
        for place in known {
            let (cells, events) = by_topic.remove(&place).unwrap_or_default();
            let count = events.len();
            let damage = match count {
                // Nothing asks the bus as it is brought there.
                0 => look_at_topic(&*announcing.bus, &place).await?,
                _ => deliver_chain(&*announcing.bus, events, true).await?,
            };
            if let Some(Damage { what, .. }) = damage {
                let mut all = lock(&announcing.aside);
                let of = all.get_mut(&partition).and_then(|aside| aside.topics.get_mut(&place));
                of.into_iter().for_each(|of| of.what.clone_from(&what));
                continue;
            }
            for (key, cell) in cells {
                let when = vec![When::Revision(key.clone(), cell.revision)];
                self.commit(partition, Writes::of(when, vec![Then::Delete(key)]))
                    .await
                    .map_err(RuntimeError::from)?;
            }
            let (tenant, topic) = &place;
            tracing::info!(%partition, %tenant, %topic, count, "the topic is whole again; what was held is there");
            if let Some(aside) = lock(&announcing.aside).get_mut(&partition) {
                aside.topics.remove(&place);
            }
            was_whole = true;
        }
        let mut all = lock(&announcing.aside);
        if let Some(aside) = all.get_mut(&partition) {
            aside.looked(self.clock.now(), was_whole);
            if aside.topics.is_empty() {
                all.remove(&partition);
            }
        }
        Ok(())
    }

    /// Has somebody ring when it is time to see whether the damaged topics of a partition are whole again: it may be idle then.
    pub(super) fn see_to_held(self: &Arc<Self>, announcing: &Arc<Announcing>, partition: Partition) {
        let look_at = {
            let mut all = lock(&announcing.aside);
            let Some(aside) = all.get_mut(&partition) else { return };
            if aside.rings_for.is_some_and(|earlier| earlier <= aside.look_at) {
                return;
            }
            *aside.rings_for.insert(aside.look_at)
        };
        let pause = look_at.since(self.clock.now()).min(PAUSES.1);
        let (inner, announcing) = (Arc::clone(self), Arc::clone(announcing));
        self.spawn_work(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = inner.ending.cancelled() => return,
            }
            if let Some(aside) = lock(&announcing.aside).get_mut(&partition) {
                aside.rings_for.take_if(|rings_for| *rings_for == look_at);
            }
            announcing.post.ring(partition);
        });
    }
}
