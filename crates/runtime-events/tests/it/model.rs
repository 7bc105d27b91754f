//! Whatever is published, read and dropped: each live reader gets what the model says.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use runtime_events::{
    Bus, Delivery, EventBusBuilder, EventLimits, Gap, Listener, Live, Overflow, Pattern, Position, Who,
};
use runtime_traits::Tenant;

use crate::event;

const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "b/c", "a/b/c", "b/b/c"];
const PATTERNS: [&str; 9] = ["a", "a/*", "a/**", "*/c", "**", "c", "*/b/*", "a/b/c", "*/*/**"];

#[derive(Clone, Debug)]
enum Act {
    Subscribe { pattern: usize, strict: bool },
    Publish { topic: usize },
    Read { reader: usize, count: usize },
    Unsubscribe { reader: usize },
}

/// A live reader beside its model: the numbers of all its events, how many it has in the hand, and how many were dealt
/// with.
struct Reader {
    listener: Box<dyn Listener>,
    pattern: Pattern,
    strict: bool,
    events: Vec<u64>,
    /// Up to which it has taken them.
    hand: usize,
    done: usize,
    /// Which event disconnected it.
    cut: Option<usize>,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..PATTERNS.len(), any::<bool>()).prop_map(|(pattern, strict)| Act::Subscribe { pattern, strict }),
        6 => (0..TOPICS.len()).prop_map(|topic| Act::Publish { topic }),
        2 => (0..8_usize, 1..6_usize).prop_map(|(reader, count)| Act::Read { reader, count }),
        1 => (0..8_usize).prop_map(|reader| Act::Unsubscribe { reader }),
    ]
}

impl Reader {
    /// An event is published.
    fn push(&mut self, number: u64, ring: usize) {
        if self.cut.is_some() {
            return;
        }
        let held = self.events.len() - self.lost_or_taken(ring);
        self.events.push(number);
        if self.strict && held == ring {
            self.cut = Some(self.events.len() - 1);
        }
    }

    fn lost_or_taken(&self, ring: usize) -> usize {
        if self.strict { self.hand } else { self.hand.max(self.events.len().saturating_sub(ring)) }
    }

    /// The next delivery by the model: a reader takes all that the ring holds when its hand is empty; what is older than
    /// the last `ring` events by then is lost.
    fn expected(&mut self, ring: usize) -> Option<Delivery> {
        let gap = |from: usize, to: usize| {
            Some(Delivery::Gap(Gap { from: Position(from as u64 + 1), to: Position(to as u64) }))
        };
        if self.done == self.hand {
            let end = self.cut.unwrap_or(self.events.len());
            let kept = if self.strict { self.done } else { self.done.max(end.saturating_sub(ring)) };
            if self.done >= end {
                let cut = self.cut.filter(|cut| *cut == self.done)?;
                self.done += 1;
                self.hand = self.done;
                return gap(cut, cut + 1);
            }
            self.hand = end;
            if self.done < kept {
                let from = self.done;
                self.done = kept;
                return gap(from, kept);
            }
        }
        let number = self.events[self.done];
        self.done += 1;
        let event = event(number, TOPICS[number as usize % TOPICS.len()]);
        Some(Delivery::Event { position: Position(self.done as u64), attempt: 1, event })
    }
}

/// What is there without waiting. A reader may ask to be polled again some times before it says.
fn ready(listener: &mut dyn Listener) -> Option<Option<Delivery>> {
    let mut poll = || listener.poll_next(&mut Context::from_waker(Waker::noop()));
    (0..20).find_map(|_| match poll() {
        Poll::Ready(delivery) => Some(delivery),
        Poll::Pending => None,
    })
}

proptest! {
    #[test]
    fn each_reader_gets_what_matches_in_order_and_learns_exactly_what_was_lost(
        ring in 1..5_usize,
        acts in vec(act(), 1..150),
    ) {
        let bus = EventBusBuilder::default().limits(EventLimits::default()).in_process();
        let who = Who::tenant(Tenant::default());
        let mut readers: Vec<Reader> = Vec::new();
        let mut rounds = 0;

        for act in acts {
            match act {
                Act::Subscribe { pattern, strict } => {
                    let pattern: Pattern = PATTERNS[pattern].parse().unwrap();
                    let overflow = if strict { Overflow::Disconnect } else { Overflow::LoseOldest };
                    let live = Live { ring: ring.try_into().unwrap(), overflow, ..Live::of(pattern.clone()) };
                    let listener = bus.listen(&who, live).now_or_never().unwrap().unwrap();
                    let events = Vec::new();
                    readers.push(Reader { listener, pattern, strict, events, hand: 0, done: 0, cut: None });
                }
                Act::Publish { topic } => {
                    rounds += 1;
                    let number = (rounds * TOPICS.len() + topic) as u64;
                    let event = event(number, TOPICS[topic]);
                    let matching = readers.iter_mut().filter(|reader| reader.pattern.matches(&event.topic));
                    let open = matching.map(|reader| {
                        let is_open = reader.cut.is_none();
                        reader.push(number, ring);
                        usize::from(is_open)
                    });
                    let wanted = open.sum::<usize>();
                    let published = bus.publish(&who, event).now_or_never().unwrap().unwrap();
                    assert_eq!(published.reached, wanted);
                }
                Act::Read { reader, count } => {
                    if let Some(reader) = readers.get_mut(reader) {
                        for _ in 0..count {
                            let wanted = reader.expected(ring);
                            assert_eq!(ready(&mut *reader.listener).flatten(), wanted);
                        }
                    }
                }
                Act::Unsubscribe { reader } => {
                    if reader < readers.len() {
                        readers.remove(reader);
                    }
                }
            }
            assert_eq!(bus.readers(), readers.len());
        }
        drop(bus);
        for mut reader in readers {
            while let Some(wanted) = reader.expected(ring) {
                assert_eq!(ready(&mut *reader.listener), Some(Some(wanted)));
            }
            assert_eq!(ready(&mut *reader.listener), Some(None));
        }
    }

    #[test]
    fn a_table_finds_the_readers_whose_patterns_match(
        patterns in vec(vec(proptest::sample::select(vec!["a", "b", "*"]), 1..4), 1..30),
        rest in vec(any::<bool>(), 30),
        topic in vec(proptest::sample::select(vec!["a", "b", "c"]), 1..5),
    ) {
        let bus = EventBusBuilder::default().in_process();
        let who = Who::tenant(Tenant::default());
        let topic: runtime_events::Topic = topic.join("/").parse().unwrap();
        let mut readers = Vec::new();
        let mut wanted = 0;
        for (mut pattern, rest) in patterns.into_iter().zip(rest) {
            if rest {
                pattern.push("**");
            }
            let pattern: Pattern = pattern.join("/").parse().unwrap();
            wanted += usize::from(pattern.matches(&topic));
            readers.push(bus.listen(&who, Live::of(pattern)).now_or_never().unwrap().unwrap());
        }
        assert_eq!(bus.readers_of(&Tenant::default(), &topic), wanted);
        drop(readers);
        assert_eq!((bus.readers(), bus.readers_of(&Tenant::default(), &topic)), (0, 0));
    }
}

#[test]
fn a_stopped_reader_costs_its_ring_and_nothing_more() {
    let bus = EventBusBuilder::default().in_process();
    let who = Who::tenant(Tenant::default());
    let live = Live { ring: 4.try_into().unwrap(), ..Live::of(Pattern::all()) };
    let mut stopped = bus.listen(&who, live).now_or_never().unwrap().unwrap();
    let first = event(1, "a");
    let publish = |event| bus.publish(&who, event).now_or_never().unwrap().unwrap();

    publish(Arc::clone(&first));
    assert_eq!(Arc::strong_count(&first), 2);
    for number in 2..=100_005 {
        publish(event(number, "a"));
    }

    assert_eq!(Arc::strong_count(&first), 1, "what is lost is let go");
    let gap = Gap { from: Position(1), to: Position(100_001) };
    assert_eq!(ready(&mut *stopped), Some(Some(Delivery::Gap(gap))));
    for number in 100_002..=100_005 {
        let wanted = Delivery::Event { position: Position(number), attempt: 1, event: event(number, "a") };
        assert_eq!(ready(&mut *stopped), Some(Some(wanted)));
    }
    assert_eq!(ready(&mut *stopped), None);
}
