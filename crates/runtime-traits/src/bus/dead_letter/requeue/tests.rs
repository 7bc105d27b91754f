//! Over a bus that remembers no ids: what is published twice is there twice.

use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;

use super::*;
use crate::bus::{Deliveries, Durable, DurablePattern, Listener, Live, Page, PatternDeliveries, Published};

/// Keeps the last events of each topic, and no ids.
#[derive(Debug, Default)]
struct Forgetful {
    topics: Mutex<BTreeMap<Topic, Vec<Kept>>>,
    /// How many events of a topic are kept; `None`: all.
    keeps: Option<usize>,
    /// The most bytes of an event; `None`: any.
    limit: Option<usize>,
    /// A topic that cannot be looked through.
    damaged: Option<Topic>,
    /// The most dead letters that somebody held while something was published.
    held: Mutex<usize>,
}

impl Forgetful {
    fn append(&self, event: Arc<Event>) -> Position {
        let mut topics = self.topics.lock().unwrap();
        let letters = topics.iter().filter(|(topic, _)| topic.is_system()).flat_map(|(_, all)| all);
        let held = letters.filter(|kept| Arc::strong_count(&kept.event) > 1).count();
        let mut most = self.held.lock().unwrap();
        *most = held.max(*most);
        let all = topics.entry(event.topic.clone()).or_default();
        let position = all.last().map_or(Position::FIRST, |kept| kept.position.next());
        all.push(Kept { position, at: event.time, event });
        if let Some(keeps) = self.keeps {
            let beyond = all.len().saturating_sub(keeps);
            all.drain(..beyond);
        }
        position
    }

    /// With dead letters of these ids, one after the other.
    fn with_letters(self, ids: impl IntoIterator<Item = u16>) -> Self {
        for id in ids {
            let mut letter = Event::new(letters(), &id).unwrap();
            letter.headers.set("deadtopic", "orders/new").unwrap();
            letter.id = EventId::from_bytes((u128::from(id) << 32).to_be_bytes());
            self.append(letter.into());
        }
        self
    }

    /// What was sent again.
    fn sent(&self) -> Vec<u16> {
        let topics = self.topics.lock().unwrap();
        let sent = topics.get(&"orders/new".parse().unwrap()).into_iter().flatten();
        sent.map(|kept| kept.event.json().unwrap()).collect()
    }

    fn asked<'a>(&'a self, wanted: &'a Requeue) -> Asked<'a, Self> {
        Asked { bus: self, who: &Who::System, wanted, letters: letters(), now: UnixMillis(7) }
    }

    fn requeue(&self, most: usize) -> Requeued {
        at_once(self.asked(&all()).in_parts(most)).unwrap()
    }
}

/// Nothing here is ever waited for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!(),
    }
}

fn all() -> Requeue {
    let subscription = "mailer".parse().unwrap();
    Requeue { tenant: Tenant::default(), subscription, position: None, topic: None }
}

fn letters() -> Topic {
    Topic::dead_letters("mailer").unwrap()
}

#[test]
fn what_is_there_several_times_is_sent_once_in_whatever_part_it_is_and_nothing_twice() {
    for most in 1..10 {
        let bus = Forgetful::default().with_letters([1, 2, 1, 3, 3, 2, 4, 1]);
        assert_eq!(bus.requeue(most), Requeued { sent: 4, ..Requeued::default() }, "{most} at most");
        assert_eq!(bus.sent(), [1, 2, 3, 4]);

        let bus = bus.with_letters([4, 5, 1]);
        let again = bus.requeue(100);
        assert_eq!(again, Requeued { sent: 1, before: 4, ..Requeued::default() });
        assert_eq!(bus.sent(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn what_is_held_does_not_grow_with_the_letters() {
    let bus = Forgetful::default().with_letters(0..2_000);

    assert_eq!(bus.requeue(FOUND).sent, 2_000);

    assert!(bus.sent().into_iter().eq(0..2_000), "all, in their order");
    let held = *bus.held.lock().unwrap();
    assert!(held <= 100, "{held} letters were held at once");
}

#[test]
fn what_is_told_of_letters_pushes_out_none_that_was_not_seen_to() {
    let bus = Forgetful { keeps: Some(500), ..Forgetful::default() }.with_letters(0..500);

    let done = bus.requeue(FOUND);

    assert_eq!(done, Requeued { sent: 500, ..Requeued::default() });
}

#[test]
fn a_letter_that_is_gone_meanwhile_is_told_as_not_sent() {
    let bus = Forgetful { keeps: Some(2), ..Forgetful::default() }.with_letters(0..2);
    let places = [(Position(1), EventId::UNSET), (Position(2), EventId::UNSET)].into();
    bus.append(Event::new(letters(), &3).unwrap().into());
    bus.append(Event::new(letters(), &4).unwrap().into());
    let mut done = Requeued::default();

    at_once(bus.asked(&all()).send(places, &Marks::default(), &mut done)).unwrap();

    assert_eq!((done.sent, done.unsent), (0, 2));
    assert!(matches!(done.why[1].error, BusError::BeforeRetention { first: Position(3), .. }), "{done:?}");
}

#[test]
fn a_bus_of_small_events_is_told_of_the_letters_in_parts() {
    let bus = Forgetful { limit: Some(200), ..Forgetful::default() }.with_letters(0..40);

    assert_eq!(bus.requeue(FOUND).sent, 40);

    assert_eq!(bus.requeue(FOUND), Requeued { before: 40, ..Requeued::default() });
}

#[test]
fn where_nobody_can_tell_whether_it_was_sent_it_is_not_sent_and_others_are() {
    let damaged = Some("orders/new".parse().unwrap());
    let bus = Forgetful { damaged, ..Forgetful::default() }.with_letters([1, 2]);
    let first = EventId::from_bytes((1_u128 << 32).to_be_bytes());
    let begun = mark(&Tenant::default(), &letters(), BEGUN, &[first], UnixMillis(7)).unwrap();
    bus.append(begun.into());

    let done = bus.requeue(FOUND);

    assert_eq!((done.sent, done.unsent, bus.sent()), (1, 1, vec![2]));
    assert!(matches!(done.why[0].error, BusError::Damaged { .. }), "{done:?}");
}

#[test]
fn one_mark_about_one_letter_by_its_cause_is_read_as_well() {
    let bus = Forgetful::default().with_letters([1, 2]);
    let mut sent = Event::new(letters(), &"sent").unwrap();
    sent.headers.set("deadmark", "sent").unwrap();
    sent.headers.set("deadmarked", "1").unwrap();
    sent.causation = Some(EventId::from_bytes((1_u128 << 32).to_be_bytes()));
    bus.append(sent.into());

    assert_eq!(bus.requeue(FOUND), Requeued { sent: 1, before: 1, ..Requeued::default() });
}

#[async_trait]
impl Bus for Forgetful {
    async fn publish(&self, _: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        match self.limit {
            Some(limit) if event.size() > limit => Err(BusError::TooLarge { size: event.size(), limit }),
            _ => Ok(Published { position: Some(self.append(event)), reached: 0 }),
        }
    }

    async fn listen(&self, _: &Who, _: Live) -> Result<Box<dyn Listener>, BusError> {
        unreachable!()
    }

    async fn open(&self, _: &Who, _: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        unreachable!()
    }

    async fn open_pattern(&self, _: &Who, _: DurablePattern) -> Result<Box<dyn PatternDeliveries>, BusError> {
        unreachable!()
    }

    async fn read(
        &self,
        _: &Who,
        _: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        let topics = self.topics.lock().unwrap();
        let all = topics.get(topic).map_or(&[][..], Vec::as_slice);
        let first = all.first().map_or(Position::FIRST, |kept| kept.position);
        if from < first {
            return Err(BusError::BeforeRetention { topic: topic.clone(), asked: from, first });
        }
        let next = all.last().map_or(first, |kept| kept.position.next());
        let events = all.iter().filter(|kept| kept.position >= from).take(limit as usize).cloned();
        Ok(Page { first, next, events: events.collect() })
    }

    async fn find(&self, _: &Who, _: &Tenant, topic: &Topic, _: UnixMillis) -> Result<Position, BusError> {
        match &self.damaged {
            Some(damaged) if damaged == topic => Err(BusError::Damaged { what: topic.to_string() }),
            _ => Ok(Position::FIRST),
        }
    }
}
