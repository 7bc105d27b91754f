//! Dead letters are sent again once, wherever that breaks off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use runtime_events::{
    Bus, BusError, Delivery, DurableReader, Event, EventBus, EventBusBuilder, EventLimits, Failure, Page,
    Position, Published, Retention, Retry, Topic, Who,
};
use runtime_testkit::block_on;
use runtime_testkit::fakes::MapStore;
use runtime_traits::bus::{Deliveries, Durable, DurablePattern, Listener, Live, PatternDeliveries, Requeued};
use runtime_traits::{Cause, Pool, Tenant, UnixMillis};

fn rules() -> EventBusBuilder {
    EventBus::builder().keep("kept/**", Retention::default()).unwrap()
}

fn over(store: &Arc<MapStore>) -> Arc<dyn Bus> {
    let disk = runtime_traits::store::Durability::Disk;
    Arc::new(rules().in_process_over(Arc::clone(store) as _, Pool::MAIN, disk))
}

fn handle(bus: Arc<dyn Bus>) -> EventBus {
    EventBus::over(bus, Who::tenant(Tenant::default()))
}

/// The next event: nothing is lost.
async fn next(reader: &DurableReader) -> (Position, u32, Arc<Event>) {
    let event = match reader.next().await.unwrap() {
        Delivery::Event { position, attempt, event } => Some((position, attempt, event)),
        Delivery::Gap(_) => None,
    };
    event.unwrap()
}

fn requeued_of(sent: u64, before: u64) -> Requeued {
    Requeued { sent, before, ..Requeued::default() }
}

/// A store in which the event 7 is a dead letter of `mailer`.
async fn with_dead_letter() -> Arc<MapStore> {
    let store = Arc::new(MapStore::new());
    let bus = handle(over(&store));
    bus.publish(Event::new("kept/orders", &7).unwrap()).await.unwrap();
    let retry = Retry { attempts: 1, ..Retry::default() };
    let mailer = bus.durable("kept/orders", "mailer").unwrap().retry(retry).open().await.unwrap();
    let (position, _, _) = next(&mailer).await;
    assert!(mailer.failed(position, &Failure::says("no")).await.unwrap());
    store
}

/// What `mailer` gets until an event that is published now.
async fn delivered(store: &Arc<MapStore>) -> Vec<u32> {
    let bus = handle(over(store));
    bus.publish(Event::new("kept/orders", &0).unwrap()).await.unwrap();
    let retry = Retry { attempts: 1, ..Retry::default() };
    let mailer = bus.durable("kept/orders", "mailer").unwrap().retry(retry).open().await.unwrap();
    let mut numbers = Vec::new();
    loop {
        let (position, _, event) = next(&mailer).await;
        mailer.done(position).await.unwrap();
        match event.json().unwrap() {
            0 => return numbers,
            number => numbers.push(number),
        }
    }
}

#[test]
fn a_dead_letter_is_sent_again_once_wherever_that_breaks_off() {
    block_on(async {
        for (breaks_at, after) in (0..3).flat_map(|at| [(at, false), (at, true)]) {
            let store = with_dead_letter().await;
            let breaking = Breaking { bus: over(&store), publishes: AtomicUsize::new(0), breaks_at, after };
            let broken = handle(Arc::new(breaking)).requeue("mailer", None, None).await;
            assert!(broken.is_err(), "it breaks off at {breaks_at}");

            // Whoever comes next remembers no ids.
            let store = Arc::new(store.crash());
            let requeued = handle(over(&store)).requeue("mailer", None, None).await.unwrap();
            let is_told = breaks_at == 2 && after;
            let expected = requeued_of(u64::from(!is_told), u64::from(is_told));
            assert_eq!(requeued, expected, "{breaks_at} {after}");

            let store = Arc::new(store.crash());
            let again = handle(over(&store)).requeue("mailer", None, None).await.unwrap();
            assert_eq!(again, requeued_of(0, 1));
            assert_eq!(delivered(&store).await, [7], "broken off at {breaks_at}, after it was done: {after}");
        }
    });
}

#[test]
fn nobody_sends_an_event_past_the_others_and_all_that_an_event_said_is_sent_again() {
    block_on(async {
        let store = Arc::new(MapStore::new());
        let bus = handle(over(&store));
        for header in ["onlyfor", "deadmark", "deadmarked"] {
            let mut event = Event::new("kept/orders", &7).unwrap();
            event.headers.set(header, "mailer").unwrap();
            let refused = bus.publish(event).await.unwrap_err();
            assert!(refused.to_string().contains(&format!("`{header}` is the bus's own")), "{refused}");
        }

        let mut event = Event::new("kept/orders", &7).unwrap();
        event.headers.set("deadline", "noon").unwrap();
        bus.publish(event).await.unwrap();
        let retry = Retry { attempts: 1, ..Retry::default() };
        let mailer = bus.durable("kept/orders", "mailer").unwrap().retry(retry).open().await.unwrap();
        let (position, _, _) = next(&mailer).await;
        assert!(mailer.failed(position, &Failure::says("no")).await.unwrap());
        bus.requeue("mailer", None, None).await.unwrap();
        let (_, _, again) = next(&mailer).await;
        assert_eq!(again.headers.get("deadline"), Some("noon"));
        assert_eq!(again.headers.get("deadtopic"), None);
    });
}

#[test]
fn one_that_fails_again_is_a_dead_letter_again_and_heard_by_whoever_reads_these() {
    block_on(async {
        let store = with_dead_letter().await;
        let bus = handle(over(&store));
        let letters = "system/dead-letters/mailer";
        let mut heard = bus.listen(letters).await.unwrap();
        let mut others = bus.listen("kept/orders").await.unwrap();
        let retry = Retry { attempts: 1, ..Retry::default() };
        let mailer = bus.durable("kept/orders", "mailer").unwrap().retry(retry).open().await.unwrap();

        assert_eq!(bus.requeue("mailer", Some(Position(1)), None).await.unwrap().sent, 1);
        let (position, attempt, event) = next(&mailer).await;
        assert_eq!((attempt, event.only_for()), (1, Some("mailer")));
        assert!(mailer.failed(position, &Failure::says("no")).await.unwrap());

        let mut second = heard.next_event().await.unwrap();
        while second.headers.get("deadcause").is_none() {
            second = heard.next_event().await.unwrap();
        }
        assert_eq!((second.only_for(), second.headers.get("deadposition")), (None, Some("2")));
        assert_eq!(bus.requeue("mailer", None, None).await.unwrap(), requeued_of(1, 1));
        bus.publish(Event::new("kept/orders", &8).unwrap()).await.unwrap();
        assert_eq!(others.next_event().await.unwrap().json::<u32>().unwrap(), 8, "nobody else hears of it");
    });
}

#[test]
fn what_may_not_be_read_is_not_sent_again() {
    block_on(async {
        let store = with_dead_letter().await;
        let rule = runtime_traits::bus::Rule {
            tenant: None,
            agent: Some("clerk".parse().unwrap()),
            act: None,
            topics: "kept/**".parse().unwrap(),
            allow: false,
        };
        let rights = runtime_traits::bus::Rights(vec![rule]);
        let disk = runtime_traits::store::Durability::Disk;
        let bus = rules().rights(rights).in_process_over(Arc::clone(&store) as _, Pool::MAIN, disk);
        let bus = handle(Arc::new(bus)).for_agent("clerk".parse().unwrap());

        let requeued = bus.requeue("mailer", None, None).await.unwrap();

        assert_eq!((requeued.sent, requeued.unsent), (0, 1));
        assert!(matches!(requeued.why[0].error, BusError::Forbidden { .. }), "{requeued:?}");
        assert_eq!(handle(over(&store)).requeue("mailer", None, None).await.unwrap().sent, 1);
    });
}

/// Has `mailer` fail at the next event of a topic.
async fn fail_at(bus: &EventBus, event: Event) {
    let topic = event.topic.clone();
    bus.publish(event).await.unwrap();
    let retry = Retry { attempts: 1, ..Retry::default() };
    let mailer = bus.durable(topic.as_str(), "mailer").unwrap().retry(retry).open().await.unwrap();
    let (position, _, _) = next(&mailer).await;
    assert!(mailer.failed(position, &Failure::says("no")).await.unwrap());
}

#[test]
fn one_that_cannot_be_sent_keeps_back_no_other_and_is_told_with_its_reason() {
    block_on(async {
        let store = Arc::new(MapStore::new());
        let limits = EventLimits { bytes: 8_192, ..EventLimits::default() };
        let disk = runtime_traits::store::Durability::Disk;
        let over = |rules: EventBusBuilder| {
            handle(Arc::new(rules.limits(limits).in_process_over(Arc::clone(&store) as _, Pool::MAIN, disk)))
        };
        let bus = over(rules().keep("gone", Retention::default()).unwrap());
        let mut full = Event::new("kept/full", &1).unwrap();
        (0..32).for_each(|nth| full.headers.set(&format!("h{nth}"), "1").unwrap());
        let mut large = Event::new("kept/large", &"").unwrap();
        large.data = vec![b' '; limits.bytes - large.size()].into();
        for event in [full, Event::new("gone", &2).unwrap(), large, Event::new("kept/orders", &7).unwrap()] {
            fail_at(&bus, event).await;
        }
        let bus = over(rules());

        for (sent, before) in [(1, 0), (0, 1), (0, 1)] {
            let requeued = bus.requeue("mailer", None, None).await.unwrap();

            assert_eq!((requeued.sent, requeued.before, requeued.unsent), (sent, before, 3));
            let places: Vec<_> = requeued.why.iter().map(|unsent| unsent.position.0).collect();
            assert_eq!(places.len(), 3, "{requeued:?}");
            for (place, is_it) in [
                (1, (|error| matches!(error, BusError::Malformed { .. })) as fn(&BusError) -> bool),
                (2, |error| matches!(error, BusError::NotDurable { .. })),
                (3, |error| matches!(error, BusError::TooLarge { .. })),
            ] {
                let unsent = requeued.why.iter().find(|unsent| unsent.position == Position(place)).unwrap();
                assert!(is_it(&unsent.error), "{unsent:?}");
            }
        }
        assert_eq!(delivered(&store).await, [7]);
    });
}

#[test]
fn of_many_that_cannot_be_sent_the_first_are_told() {
    block_on(async {
        let store = Arc::new(MapStore::new());
        let disk = runtime_traits::store::Durability::Disk;
        let bus = rules().keep("gone", Retention::default()).unwrap();
        let bus = handle(Arc::new(bus.in_process_over(Arc::clone(&store) as _, Pool::MAIN, disk)));
        for number in 0..40 {
            fail_at(&bus, Event::new("gone", &number).unwrap()).await;
        }

        let requeued = handle(over(&store)).requeue("mailer", None, None).await.unwrap();

        assert_eq!((requeued.sent, requeued.unsent, requeued.why.len()), (0, 40, Requeued::TOLD));
        assert_eq!(requeued.why[9].position, Position(10));
    });
}

#[test]
fn one_that_is_there_twice_is_sent_once() {
    block_on(async {
        let store = with_dead_letter().await;
        let letters: Topic = "system/dead-letters/mailer".parse().unwrap();
        let page =
            over(&store).read(&Who::System, &Tenant::default(), &letters, Position(1), 9).await.unwrap();
        // It is appended again by somebody who knows nothing of the first time.
        let mut store = Arc::new(store.crash());
        over(&store).publish(&Who::System, Arc::clone(&page.events[0].event)).await.unwrap();
        let page =
            over(&store).read(&Who::System, &Tenant::default(), &letters, Position(1), 9).await.unwrap();
        assert_eq!(page.events.len(), 2);

        assert_eq!(handle(over(&store)).requeue("mailer", None, None).await.unwrap(), requeued_of(1, 0));
        for which in [None, Some(Position(1)), Some(Position(2))] {
            store = Arc::new(store.crash());
            let again = handle(over(&store)).requeue("mailer", which, None).await.unwrap();
            assert_eq!(again, requeued_of(0, 1), "{which:?}");
        }
        assert_eq!(delivered(&store).await, [7]);
    });
}

/// A bus that breaks off at one publishing, before or after it is done.
#[derive(Debug)]
struct Breaking {
    bus: Arc<dyn Bus>,
    publishes: AtomicUsize,
    breaks_at: usize,
    after: bool,
}

#[async_trait]
impl Bus for Breaking {
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        let breaks = self.publishes.fetch_add(1, Ordering::SeqCst) == self.breaks_at;
        let error = BusError::Unavailable { cause: Cause::says("the process died") };
        if breaks && !self.after {
            return Err(error);
        }
        let published = self.bus.publish(who, event).await?;
        if breaks { Err(error) } else { Ok(published) }
    }

    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError> {
        self.bus.listen(who, live).await
    }

    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.bus.open(who, durable).await
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        self.bus.open_pattern(who, durable).await
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.bus.read(who, tenant, topic, from, limit).await
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.bus.find(who, tenant, topic, time).await
    }
}
