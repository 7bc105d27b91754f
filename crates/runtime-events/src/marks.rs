//! What was seen where in a topic. Pure.

use runtime_traits::bus::{BusError, EventId, Page, Position};

/// Places of a topic with the events that were seen there: the last one, and ever fewer with the distance from it. With
/// them it is found how far a topic still is what it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Vec<(u64, EventId)>);

impl Marks {
    /// An event was seen. It counts where it is farther than all before.
    pub(crate) fn put(&mut self, place: Position, id: EventId) {
        if self.0.last().is_some_and(|(last, _)| *last >= place.0) {
            return;
        }
        self.0.push((place.0, id));
        let mut last = None;
        // Of those that are about equally far away the first stays.
        self.0.retain(|(mark, _)| {
            let distance = (place.0 - mark).checked_ilog2();
            last.replace(distance) != Some(distance)
        });
    }

    /// The last place up to which a topic is what it was, where `page` reads one event from a place on. `None`: all of it
    /// is, as far as can be told.
    pub(crate) async fn common<F>(&self, mut page: impl FnMut(Position) -> F) -> Result<Option<u64>, BusError>
    where
        F: Future<Output = Result<Page, BusError>>,
    {
        for (nth, (place, id)) in self.0.iter().enumerate().rev() {
            let found = page(Position(*place)).await?;
            let is_last = nth + 1 == self.0.len();
            match found.events.first() {
                Some(kept) if kept.position.0 == *place && kept.event.id == *id => {
                    return Ok((!is_last).then_some(*place));
                }
                Some(kept) if kept.position.0 == *place => {}
                // It is trimmed, and all before it.
                _ if found.next.0 > *place && is_last => return Ok(None),
                _ if found.next.0 > *place => return Ok(Some(found.first.0 - 1)),
                _ => {}
            }
        }
        Ok(self.0.first().map(|(place, _)| place - 1))
    }

    /// The topic is what it was up to this place, and no farther.
    pub(crate) fn go_back(&mut self, to: u64) {
        self.0.retain(|(place, _)| *place <= to);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::proptest;
    use runtime_traits::bus::{Event, Kept};
    use runtime_traits::clock::UnixMillis;

    use super::*;

    fn id(of: u64, life: u8) -> EventId {
        let mut id = [life; 16];
        id[8..].copy_from_slice(&of.to_be_bytes());
        EventId::from_bytes(id)
    }

    /// A page of a topic that has `first` to `last`, where what is behind `lost` came after its server lost it.
    fn page(from: Position, first: u64, last: u64, lost: u64) -> Page {
        let place = from.0.max(first);
        let mut event = Event::new("a", &place).expect("a number is JSON");
        event.id = id(place, u8::from(place > lost));
        let kept = Kept { position: Position(place), at: UnixMillis(0), event: Arc::new(event) };
        let events = if place > last { vec![] } else { vec![kept] };
        Page { first: Position(place.min(last + 1)), next: Position(last + 1), events }
    }

    proptest! {
        #[test]
        fn the_place_is_one_up_to_which_all_is_what_it_was_and_not_far_back(
            seen in 1..5_000_u64, first in 1..50_u64, lost in 0..5_000_u64, more in 0..5_000_u64,
        ) {
            let mut marks = Marks::default();
            for place in first..first + seen {
                marks.put(Position(place), id(place, 0));
            }
            let (had, lost) = (first + seen - 1, lost + first);
            assert!(marks.0.len() < 30, "{}", marks.0.len());
            let found = futures_util::future::FutureExt::now_or_never(
                marks.common(|from| ready(Ok(page(from, 1, lost + more, lost)))),
            );
            let found = found.expect("nothing waits").expect("nothing fails");
            if lost >= had {
                assert_eq!(found, None);
            } else {
                let found = found.expect("it is not what it was");
                assert!(found <= lost && had - found <= 4 * (had - lost), "{found} of {had}, {lost} left");
                marks.go_back(found);
                marks.put(Position(found + 1), id(found + 1, 1));
            }
        }

        #[test]
        fn what_was_trimmed_is_not_missed(places in vec(1..9_u64, 1..60), trimmed in 1..600_u64) {
            let (mut marks, mut last) = (Marks::default(), 0);
            for step in places {
                last += step;
                marks.put(Position(last), id(last, 0));
            }
            let found = futures_util::future::FutureExt::now_or_never(
                marks.common(|from| ready(Ok(page(from, trimmed, last.max(trimmed), u64::MAX)))),
            );
            assert_eq!(found.expect("nothing waits").expect("nothing fails"), None);
        }
    }
}
