//! How large the events of a topic are, where their bytes are limited. Pure.

use std::collections::VecDeque;

use runtime_traits::bus::{Page, Position};

/// The sizes of the events of a topic, from the first that is kept: four bytes for each.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// The place of the first one.
    first: u64,
    sizes: VecDeque<u32>,
    /// All of them together.
    bytes: u64,
}

impl Sizes {
    /// From where on events are to be shown.
    pub(super) fn next(&self) -> Position {
        Position((self.first + self.sizes.len() as u64).max(1))
    }

    /// Takes a page in that begins at [`next`](Self::next), or later where that was trimmed.
    pub(super) fn take(&mut self, page: &Page) {
        if page.first > self.next() {
            *self = Self { first: page.first.0, ..Self::default() };
        }
        self.first = self.first.max(1);
        for kept in page.events.iter().filter(|kept| kept.position >= page.first) {
            if kept.position == self.next() {
                let size = u32::try_from(kept.event.size()).unwrap_or(u32::MAX);
                self.sizes.push_back(size);
                self.bytes += u64::from(size);
            }
        }
    }

    /// Forgets what is before `first`.
    pub(super) fn forget_before(&mut self, first: Position) {
        while self.first < first.0
            && let Some(size) = self.sizes.pop_front()
        {
            self.bytes -= u64::from(size);
            self.first += 1;
        }
    }

    /// The first place from which on all events together have at most so many bytes; at most that of the last event.
    pub(super) fn within(&self, limit: u64) -> Position {
        let (mut place, mut bytes) = (self.first.max(1), self.bytes);
        for size in self.sizes.iter().take(self.sizes.len().saturating_sub(1)) {
            if bytes <= limit {
                break;
            }
            bytes -= u64::from(*size);
            place += 1;
        }
        Position(place)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime_traits::UnixMillis;
    use runtime_traits::bus::{Event, Kept};

    use super::*;

    /// Events of 100 bytes.
    fn page(first: u64, next: u64) -> Page {
        let mut event = Event::of_bytes("a", Event::JSON, Vec::new()).expect("a good topic");
        event.data = vec![b'1'; 100 - event.size()].into();
        let event = Arc::new(event);
        let kept = |place| Kept { position: Position(place), at: UnixMillis(0), event: Arc::clone(&event) };
        Page { first: Position(first), next: Position(next), events: (first..next).map(kept).collect() }
    }

    #[test]
    fn what_is_within_the_limit_is_found_and_the_last_event_stays() {
        let mut sizes = Sizes::default();
        assert_eq!((sizes.next(), sizes.within(10)), (Position(1), Position(1)));
        sizes.take(&page(1, 6));
        sizes.take(&page(6, 11));
        assert_eq!(sizes.next(), Position(11));
        let within = |sizes: &Sizes, limit| sizes.within(limit).0;
        assert_eq!(within(&sizes, 1_000), 1, "all fit");
        assert_eq!(within(&sizes, 999), 2);
        assert_eq!(within(&sizes, 300), 8);
        assert_eq!(within(&sizes, 99), 10, "the last one stays");
        sizes.forget_before(Position(8));
        assert_eq!((within(&sizes, 1_000), within(&sizes, 200)), (8, 9));
        sizes.take(&page(21, 23));
        assert_eq!(
            (sizes.next(), within(&sizes, 1_000)),
            (Position(23), 21),
            "what was trimmed is forgotten"
        );
    }
}
