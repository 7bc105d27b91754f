//! Letting go of what is beyond retention.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use runtime_traits::bus::{BusError, Position};
use runtime_traits::clock::UnixMillis;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Desk;
use super::retention::{Marks, below};
use super::sizes::Sizes;
use crate::core::Core;
use crate::journal::{Journal, Place, find};

/// After how many events a topic is looked through for what is no longer kept.
const EVERY: u64 = 64;
/// After which part of the bytes that are kept, in large events, it is so sooner.
const PART: u64 = 16;
/// How often topics that were written to are looked through all the same.
const SWEEP: Duration = Duration::from_secs(60);
/// How many topics are remembered for that, and for their sizes.
const REMEMBERED: usize = 4_096;
/// How many events are looked at together for their sizes.
const PAGE: u32 = 256;

/// Whether it is time to look through a topic, after an event of so many bytes.
pub(super) fn is_time(core: &Core, place: &Place, position: Position, size: usize) -> bool {
    let bytes = core.rule(&place.topic).and_then(|rule| rule.keep?.bytes);
    let every = bytes.map_or(EVERY, |bytes| (bytes / PART / (size as u64).max(1)).clamp(1, EVERY));
    position == Position::FIRST || position.0.is_multiple_of(every)
}

/// Trims the topics that are named, and once in a while all that were.
pub(super) async fn trim_all(desk: Weak<Desk>, mut named: mpsc::Receiver<Place>) {
    let mut known: HashSet<Place> = HashSet::new();
    let mut sizes: HashMap<Place, Sizes> = HashMap::new();
    loop {
        let places = match timeout(SWEEP, named.recv()).await {
            Ok(None) => return,
            Ok(Some(place)) => {
                if known.len() < REMEMBERED {
                    known.insert(place.clone());
                }
                vec![place]
            }
            Err(_) => known.iter().cloned().collect(),
        };
        let Some(desk) = desk.upgrade() else { return };
        for place in places {
            if let Err(error) = trim(&desk, &place, &mut sizes).await {
                tracing::warn!(topic = %place.topic, %error, "a durable topic cannot be trimmed");
            }
        }
    }
}

async fn trim(desk: &Arc<Desk>, place: &Place, sizes: &mut HashMap<Place, Sizes>) -> Result<(), BusError> {
    let retention = desk.core.retention(&place.topic)?;
    let page = desk.journal.read(place, Position::FIRST, 1).await?;
    let young = match retention.age {
        None => None,
        Some(age) => {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let oldest = UnixMillis(desk.core.settings.clock.now().0.saturating_sub(age));
            Some(find(&*desk.journal, place, oldest).await?)
        }
    };
    let light = match retention.bytes {
        None => None,
        Some(limit) => {
            let mut of_place = sizes.remove(place).unwrap_or_default();
            of_place.forget_before(page.first);
            let looked = look_on(&*desk.journal, place, &mut of_place).await;
            let light = of_place.within(limit);
            // Beyond as many the sizes are looked up anew each time.
            if sizes.len() < REMEMBERED {
                sizes.insert(place.clone(), of_place);
            }
            looked.map(|()| Some(light))?
        }
    };
    let slowest = [desk.slowest(place), desk.journal.slowest_elsewhere(place).await?];
    let slowest = slowest.into_iter().flatten().min();
    let below = below(&retention, Marks { next: page.next, young, light, slowest });
    if below > page.first {
        desk.journal.trim(place, below).await?;
    }
    Ok(())
}

/// Looks at the events whose sizes are not known yet.
async fn look_on(journal: &dyn Journal, place: &Place, sizes: &mut Sizes) -> Result<(), BusError> {
    loop {
        let page = journal.read(place, sizes.next(), PAGE).await?;
        sizes.take(&page);
        if page.events.is_empty() || sizes.next() >= page.next {
            return Ok(());
        }
    }
}
