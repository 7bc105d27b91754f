//! A bus, somebody who publishes, and readers that wait no longer than a test should.

use std::cell::Cell;
use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::{
    Act, Bus, BusError, Deliveries, Delivery, Durable, DurablePattern, Event, EventId, EventLimits, Listener,
    Live, Overflow, PatternDeliveries, Position, Published, Retention, Retry, Rights, Rule, Topic, TopicRule,
    Who,
};
use runtime_traits::{Name, Tenant};
use tokio::time::timeout;

use super::{BusFixture, BusSettings};
use crate::fakes::ManualClock;

thread_local! {
    /// How long the case of this thread waits for what has to come.
    static PATIENCE: Cell<Duration> = const { Cell::new(Duration::from_secs(20)) };
}
/// How many events of the topics `short/…` are kept.
pub(super) const SHORT: u64 = 10;
/// How many bytes of the topics `heavy/…` are kept.
pub(super) const HEAVY: u64 = 400;
/// How long events of the topics `aged/…` are kept.
pub(super) const AGE: Duration = Duration::from_secs(1_000);

/// A bus that is set as the suite wants it, and what is published to it.
pub(super) struct Scene<'a> {
    fixture: &'a dyn BusFixture,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) clock: Arc<ManualClock>,
}

impl<'a> Scene<'a> {
    pub(super) async fn open(fixture: &'a dyn BusFixture) -> Self {
        PATIENCE.set(fixture.patience());
        let clock = Arc::new(ManualClock::default());
        let bus = fixture.open(settings(&clock)).await;
        Self { fixture, bus, clock }
    }

    pub(super) async fn crash(self) -> Self {
        let Self { fixture, bus, clock } = self;
        let bus = fixture.crash(bus, settings(&clock)).await;
        Self { fixture, bus, clock }
    }

    /// Publishes a number.
    pub(super) async fn publish(&self, topic: &str, source: &str, number: u64) -> Published {
        let published = within(self.bus.publish(&tenant(), event(topic, source, number))).await;
        published.expect("a good event is published")
    }

    pub(super) async fn listen(&self, pattern: &str, ring: usize, overflow: Overflow) -> Box<dyn Listener> {
        let live = Live {
            ring: ring.try_into().expect("a ring has room"),
            overflow,
            ..Live::of(pattern.parse().expect("a good pattern"))
        };
        within(self.bus.listen(&tenant(), live)).await.expect("it may listen")
    }

    pub(super) async fn open_cursor(&self, durable: &Durable) -> Box<dyn Deliveries> {
        within(self.bus.open(&tenant(), durable.clone())).await.expect("it may be opened")
    }

    pub(super) async fn open_pattern(&self, durable: &DurablePattern) -> Box<dyn PatternDeliveries> {
        within(self.bus.open_pattern(&tenant(), durable.clone())).await.expect("it may be opened")
    }

    /// A bus over the same place, as another process has it.
    pub(super) async fn beside(&self) -> Arc<dyn Bus> {
        self.fixture.beside(&self.bus, settings(&self.clock)).await
    }

    /// Ends that bus, as a kill of its process does.
    pub(super) async fn kill_beside(&self, bus: Arc<dyn Bus>) {
        self.fixture.kill_beside(bus).await;
    }

    /// The numbers of all events that are kept from a place on.
    pub(super) async fn kept(&self, name: &str, from: u64) -> Result<Vec<u64>, BusError> {
        let page =
            within(self.bus.read(&tenant(), &Tenant::default(), &topic(name), Position(from), 1_000)).await?;
        Ok(page.events.iter().map(|kept| number(&kept.event)).collect())
    }
}

fn settings(clock: &Arc<ManualClock>) -> BusSettings {
    let pattern = |text: &str| text.parse().expect("a good pattern");
    let short = Retention { events: Some(SHORT), ..Retention::default() };
    let heavy = Retention { bytes: Some(HEAVY), ..Retention::default() };
    let aged = Retention { age: Some(AGE), ..Retention::default() };
    let rules = vec![
        TopicRule::keep(pattern("kept/**"), Retention::default()),
        TopicRule::keep(pattern("short/**"), short),
        TopicRule::keep(pattern("heavy/**"), heavy),
        TopicRule::keep(pattern("aged/**"), aged),
    ];
    let secret = Rule {
        tenant: None,
        agent: Some(guest()),
        act: None::<Act>,
        topics: pattern("kept/secret"),
        allow: false,
    };
    let limits = EventLimits { bytes: 4_096, hops: 3 };
    BusSettings { rules, rights: Rights(vec![secret]), limits, clock: Arc::<ManualClock>::clone(clock) }
}

/// An agent that may do less than others.
pub(super) fn guest() -> Name {
    Name::new("guest").expect("a good name")
}

pub(super) fn tenant() -> Who {
    Who::tenant(Tenant::default())
}

pub(super) fn topic(name: &str) -> Topic {
    name.parse().expect("a good topic")
}

/// A cursor with short pauses.
pub(super) fn cursor(name: &str, topic_name: &str) -> Durable {
    let retry = Retry { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    Durable { retry, ..Durable::of(topic(topic_name), Name::new(name).expect("a good name")) }
}

/// Cursors with short pauses.
pub(super) fn cursors(name: &str, pattern: &str) -> DurablePattern {
    let retry = cursor(name, "any").retry;
    let (pattern, name) = (pattern.parse().expect("a good pattern"), Name::new(name).expect("a good name"));
    DurablePattern { retry, ..DurablePattern::of(pattern, name) }
}

/// An event that says a number. Its id follows from what it is.
pub(super) fn event(topic_name: &str, source: &str, number: u64) -> Arc<Event> {
    let mut event = Event::new(topic(topic_name), &number).expect("a number is JSON").from(source);
    let mut id = [0; 16];
    id[..8].copy_from_slice(mixed(topic_name, source).as_slice());
    id[8..].copy_from_slice(&number.to_be_bytes());
    event.id = EventId::from_bytes(id);
    event.time = runtime_traits::UnixMillis(1_800_000_000_000 + number);
    Arc::new(event)
}

/// Eight bytes that differ for different texts of a test (FNV-1a).
fn mixed(topic_name: &str, source: &str) -> [u8; 8] {
    let bytes = topic_name.bytes().chain([0]).chain(source.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.to_be_bytes()
}

/// What an event says.
pub(super) fn number(event: &Event) -> u64 {
    event.json().expect("the suite publishes numbers")
}

/// Waits, but not for ever.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE.get(), future).await.expect("what has to happen happens in time")
}

/// What a live reader gets next.
pub(super) async fn hear(listener: &mut dyn Listener) -> Option<Delivery> {
    within(poll_fn(|cx| listener.poll_next(cx))).await
}

/// The number that a live reader hears next.
pub(super) async fn hear_number(listener: &mut dyn Listener) -> u64 {
    let delivery = hear(listener).await;
    let Some(Delivery::Event { event, .. }) = &delivery else { return unexpected(&delivery) };
    number(event)
}

/// The place and the number that a durable reader gets next, and how often it was delivered.
pub(super) async fn take(deliveries: &dyn Deliveries) -> (Position, u64, u32) {
    let delivery = within(deliveries.next()).await;
    let Ok(Delivery::Event { position, attempt, event }) = &delivery else { return unexpected(&delivery) };
    (*position, number(event), *attempt)
}

/// Takes the next event and says that it is done. Its number.
pub(super) async fn work(deliveries: &dyn Deliveries) -> u64 {
    let (position, number, _) = take(deliveries).await;
    within(deliveries.done(position)).await.expect("it is saved");
    number
}

/// The topic, the place and the number that a durable reader of a pattern gets next, and how often it was delivered.
pub(super) async fn take_any(deliveries: &dyn PatternDeliveries) -> (Topic, Position, u64, u32) {
    let delivery = within(deliveries.next()).await;
    let Ok((topic, Delivery::Event { position, attempt, event })) = &delivery else {
        return unexpected(&delivery);
    };
    assert_eq!(*topic, event.topic, "it is told of which topic an event is");
    (topic.clone(), *position, number(event), *attempt)
}

/// Takes the next event and says that it is done. Its number.
pub(super) async fn work_any(deliveries: &dyn PatternDeliveries) -> u64 {
    let (topic, position, number, _) = take_any(deliveries).await;
    within(deliveries.done(&topic, position)).await.expect("it is saved");
    number
}

#[expect(clippy::panic, reason = "a case fails by panicking")]
pub(super) fn unexpected<T>(what: &impl Debug) -> T {
    panic!("an event was expected, and this came: {what:?}")
}
