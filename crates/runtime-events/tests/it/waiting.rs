//! Readers that wait: they are woken, by events and by the end, and across threads.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use runtime_events::{Delivery, EventBus, Pattern, Subscription};

use crate::{event, ready};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

/// Wakes a thread that waits.
struct Unpark(Thread);

/// Publishes when it is woken, as an executor may that runs the reader at once.
struct Echo(EventBus);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Wake for Echo {
    fn wake(self: Arc<Self>) {
        self.0.publish(event(2, "echo"));
    }
}

fn all() -> Pattern {
    "**".parse().expect("`**` is a pattern")
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Reads to the end: how many events came, and how many were lost.
async fn read_all(mut subscription: Subscription) -> (u64, u64) {
    let (mut came, mut lost, mut expected) = (0, 0, 1);
    while let Some(delivery) = subscription.next().await {
        match delivery {
            Delivery::Event { position, .. } => {
                assert_eq!(position, expected);
                (came, expected) = (came + 1, position + 1);
            }
            Delivery::Gap(gap) => {
                assert_eq!(gap.from, expected);
                (lost, expected) = (lost + gap.lost(), gap.to + 1);
            }
        }
    }
    (came, lost)
}

#[test]
fn a_waiting_reader_is_woken_once_by_an_event_and_once_by_the_end() {
    let bus = EventBus::new();
    let mut reader = bus.subscribe(all());
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let rung = || bell.0.load(Ordering::SeqCst);

    assert!(reader.poll_next(&mut Context::from_waker(&waker)).is_pending());
    bus.publish(event(1, "a"));
    bus.publish(event(2, "a"));
    assert_eq!(rung(), 1);
    assert!(ready(&mut reader).is_some_and(|delivery| delivery.is_some()));
    assert!(ready(&mut reader).is_some_and(|delivery| delivery.is_some()));

    assert!(reader.poll_next(&mut Context::from_waker(&waker)).is_pending());
    drop(bus);
    assert_eq!(rung(), 2);
    assert_eq!(ready(&mut reader), Some(None));
}

#[test]
fn an_event_about_something_else_wakes_nobody() {
    let bus = EventBus::new();
    let mut reader = bus.subscribe("a/*".parse::<Pattern>().unwrap());
    let bell = Arc::new(Bell::default());

    let waker = Waker::from(Arc::clone(&bell));
    assert!(reader.poll_next(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(bus.publish(event(1, "b/c")), 0);

    assert_eq!(bell.0.load(Ordering::SeqCst), 0);
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let bus = EventBus::new();
    let mut reader = bus.subscribe(all());
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];

    for bell in &bells {
        let waker = Waker::from(Arc::clone(bell));
        assert!(reader.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    bus.publish(event(1, "a"));

    assert_eq!(bells.map(|bell| bell.0.load(Ordering::SeqCst)), [0, 1]);
}

#[test]
fn a_dropped_wait_has_taken_nothing() {
    let bus = EventBus::new();
    let mut reader = bus.subscribe(all());

    {
        let mut waiting = pin!(reader.next());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        bus.publish(event(1, "a"));
    }

    let wanted = Delivery::Event { position: 1, event: event(1, "a") };
    assert_eq!(ready(&mut reader), Some(Some(wanted)));
}

#[test]
fn a_reader_may_publish_when_it_is_woken() {
    let bus = EventBus::new();
    let mut reader = bus.subscribe("a".parse::<Pattern>().unwrap());
    let mut echoes = bus.subscribe("echo".parse::<Pattern>().unwrap());

    let waker = Waker::from(Arc::new(Echo(bus.clone())));
    assert!(reader.poll_next(&mut Context::from_waker(&waker)).is_pending());
    bus.publish(event(1, "a"));

    let wanted = Delivery::Event { position: 1, event: event(2, "echo") };
    assert_eq!(ready(&mut echoes), Some(Some(wanted)));
}

#[test]
fn what_came_and_what_was_lost_is_all_that_was_published_by_several_threads() {
    const EACH: u64 = 20_000;
    let bus = EventBus::with_ring(NonZeroUsize::new(64).unwrap());
    let readers: Vec<_> = (0..3)
        .map(|_| bus.subscribe(all()))
        .map(|reader| thread::spawn(|| block_on(read_all(reader))))
        .collect();

    let publish_all = |bus: EventBus| {
        for number in 0..EACH {
            bus.publish(event(number, "a"));
        }
    };
    let publishers: Vec<_> =
        (0..3).map(|_| bus.clone()).map(|bus| thread::spawn(move || publish_all(bus))).collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    drop(bus);

    for reader in readers {
        let (came, lost) = reader.join().unwrap();
        assert_eq!(came + lost, 3 * EACH);
        assert!(came >= 64, "the last 64 are never lost, but only {came} came");
    }
}
