//! Loading the events of a topic.

use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64;

use super::{Cursor, PAUSES};
use crate::durable::held::ALL;
use crate::journal::Place;
use crate::marks::Marks;
use runtime_traits::bus::{BusError, Kept, Page, Position};

/// How many events are asked for at once.
const PAGE: usize = 256;

impl Cursor {
    /// Loads for ever.
    pub(super) async fn load_events(&self) {
        // One of a pattern has no events.
        let Some(place) = &self.place else { return std::future::pending().await };
        let slots = self.shared().map_or(1, |sharing| sharing.slots());
        let (mut marks, mut life) = (Marks::default(), self.journal.life());
        let mut pause = PAUSES.0;
        loop {
            let wanted = self.state().held.wanted();
            let Some((from, room)) = wanted.filter(|(_, room)| *room >= PAGE / 4) else {
                tokio::select! {
                    () = self.room.notified() => {}
                    () = self.again.notified() => {}
                }
                continue;
            };
            let page = match self.read(place, from, room.min(PAGE) as u32, &mut marks, &mut life).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(topic = %place.topic, %error, "events of a durable topic cannot be read");
                    if !error.is_transient() {
                        return self.end(error);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
            };
            pause = PAUSES.0;
            let Some(mut page) = page else { continue };
            let events = std::mem::take(&mut page.events);
            if events.is_empty() && page.first <= from {
                self.all_was_read(from);
                tokio::select! {
                    () = self.journal.grown(place, &page, life) => {}
                    () = self.again.notified() => {}
                }
                continue;
            }
            if let Some(last) = events.last() {
                marks.put(last.position, last.event.id);
            }
            let slot = |kept: &Kept| (!self.passes_over(kept)).then(|| slot_of(kept, slots));
            let events: Vec<_> = events.into_iter().map(|kept| (slot(&kept), kept)).collect();
            self.state().held.load(from, page.first, &events);
            self.ring();
            self.work.notify_one();
        }
    }

    /// What there is from `from` on; `None`: the topic is not what it was, and is read from elsewhere.
    async fn read(
        &self,
        place: &Place,
        from: Position,
        limit: u32,
        marks: &mut Marks,
        life: &mut u64,
    ) -> Result<Option<Page>, BusError> {
        let page = self.journal.read(place, from, limit).await?;
        let now = self.journal.life();
        let common = if now == *life {
            // Nobody has so much of a topic as its cursor says.
            (page.next < from).then(|| page.next.0 - 1)
        } else {
            let common = marks.common(|place_of_it| self.journal.read(place, place_of_it, 1)).await?;
            *life = now;
            Some(common.unwrap_or(page.next.0 - 1))
        };
        let Some(common) = common else { return Ok(Some(page)) };
        marks.go_back(common);
        if self.state().held.go_back(common) {
            let topic = &place.topic;
            tracing::error!(%topic, common, "events of a durable topic are lost where they were kept; it goes on behind this place");
        }
        self.ring();
        self.work.notify_one();
        Ok(None)
    }

    /// Whether an event is for another subscription only.
    fn passes_over(&self, kept: &Kept) -> bool {
        kept.event.only_for().is_some_and(|only| only != self.name.name.as_str())
    }

    fn all_was_read(&self, from: Position) {
        self.state().held.nothing_from(from);
        // Whoever waits for a place among the open topics looks whether this one needs its own.
        self.state().bells.iter().for_each(|(_, bell)| bell.look());
    }
}

/// The slot of an event's source.
fn slot_of(kept: &Kept, slots: u16) -> u8 {
    if slots == 1 {
        return ALL;
    }
    let slot = xxh3_64(kept.event.source.as_bytes()) % u64::from(slots);
    u8::try_from(slot).expect("there are at most 256")
}
