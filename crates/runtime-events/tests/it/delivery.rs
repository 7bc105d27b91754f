//! Whatever is published, read and dropped: each subscription gets what the model says.

use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof, proptest};
use runtime_events::{Delivery, EventBus, Gap, Pattern, Subscription, Topic};

use crate::{event, ready};

const TOPICS: [&str; 4] = ["a", "a/b", "a/c", "b/c"];
const PATTERNS: [&str; 6] = ["a", "a/*", "a/**", "*/c", "**", "c"];

#[derive(Clone, Debug)]
enum Act {
    Subscribe { pattern: usize },
    Publish { topic: usize },
    Read { reader: usize, count: usize },
    Unsubscribe { reader: usize },
}

/// A subscription beside its model: the numbers of all its events, and how many were dealt with.
struct Reader {
    subscription: Subscription,
    pattern: Pattern,
    events: Vec<u64>,
    done: usize,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..PATTERNS.len()).prop_map(|pattern| Act::Subscribe { pattern }),
        6 => (0..TOPICS.len()).prop_map(|topic| Act::Publish { topic }),
        2 => (0..8_usize, 1..6_usize).prop_map(|(reader, count)| Act::Read { reader, count }),
        1 => (0..8_usize).prop_map(|reader| Act::Unsubscribe { reader }),
    ]
}

/// The next delivery by the model: what is older than the last `ring` events is lost.
fn expected(reader: &mut Reader, ring: usize) -> Option<Delivery> {
    let kept = reader.events.len().saturating_sub(ring);
    if reader.done < kept {
        let gap = Gap { from: reader.done as u64 + 1, to: kept as u64 };
        reader.done = kept;
        return Some(Delivery::Gap(gap));
    }
    let number = *reader.events.get(reader.done)?;
    reader.done += 1;
    let topic = TOPICS[number as usize % TOPICS.len()];
    Some(Delivery::Event { position: reader.done as u64, event: event(number, topic) })
}

proptest! {
    #[test]
    fn each_reader_gets_what_matches_in_order_and_learns_exactly_what_was_lost(
        ring in 1..5_usize,
        acts in vec(act(), 1..150),
    ) {
        let bus = EventBus::with_ring(NonZeroUsize::new(ring).unwrap());
        let mut readers: Vec<Reader> = Vec::new();
        let mut rounds = 0;

        for act in acts {
            match act {
                Act::Subscribe { pattern } => {
                    let pattern: Pattern = PATTERNS[pattern].parse().unwrap();
                    let subscription = bus.subscribe(pattern.clone());
                    readers.push(Reader { subscription, pattern, events: Vec::new(), done: 0 });
                }
                Act::Publish { topic } => {
                    rounds += 1;
                    let number = (rounds * TOPICS.len() + topic) as u64;
                    let name: Topic = TOPICS[topic].parse().unwrap();
                    let matching = readers.iter_mut().filter(|r| r.pattern.matches(&name));
                    let reached = matching.map(|reader| reader.events.push(number)).count();
                    assert_eq!(bus.publish(event(number, TOPICS[topic])), reached);
                }
                Act::Read { reader, count } => {
                    if let Some(reader) = readers.get_mut(reader) {
                        for _ in 0..count {
                            let wanted = expected(reader, ring);
                            assert_eq!(ready(&mut reader.subscription).flatten(), wanted);
                        }
                    }
                }
                Act::Unsubscribe { reader } => {
                    if reader < readers.len() {
                        readers.remove(reader);
                    }
                }
            }
            assert_eq!(bus.subscriptions(), readers.len());
        }
        drop(bus);
        for mut reader in readers {
            while let Some(wanted) = expected(&mut reader, ring) {
                assert_eq!(ready(&mut reader.subscription), Some(Some(wanted)));
            }
            assert_eq!(ready(&mut reader.subscription), Some(None));
        }
    }
}

#[test]
fn a_stopped_reader_costs_its_ring_and_nothing_more() {
    let bus = EventBus::with_ring(NonZeroUsize::new(4).unwrap());
    let mut stopped = bus.subscribe("**".parse::<Pattern>().unwrap());
    let first = event(1, "a");

    bus.publish(first.clone());
    assert_eq!(std::sync::Arc::strong_count(&first), 2);
    for number in 2..=100_005 {
        bus.publish(event(number, "a"));
    }

    assert_eq!(std::sync::Arc::strong_count(&first), 1);
    let gap = Gap { from: 1, to: 100_001 };
    assert_eq!(ready(&mut stopped), Some(Some(Delivery::Gap(gap))));
    assert_eq!(gap.lost(), 100_001);
    for number in 100_002..=100_005 {
        let wanted = Delivery::Event { position: number, event: event(number, "a") };
        assert_eq!(ready(&mut stopped), Some(Some(wanted)));
    }
    assert_eq!(ready(&mut stopped), None);
}
