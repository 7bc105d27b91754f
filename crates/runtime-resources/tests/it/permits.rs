//! Permits, one step after the other. Their futures are polled by hand.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use runtime_resources::{Acquire, Permit, Permits, PermitsError};

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(acquire: &mut Acquire, waker: &Waker) -> Poll<Result<Permit, PermitsError>> {
    pin!(acquire).poll(&mut Context::from_waker(waker))
}

/// Somebody who waits already.
fn waiter(permits: &Permits) -> Acquire {
    let mut acquire = permits.acquire();
    assert!(poll(&mut acquire, Waker::noop()).is_pending());
    acquire
}

fn let_in(acquire: &mut Acquire) -> Permit {
    let Poll::Ready(permit) = poll(acquire, Waker::noop()) else { unreachable!("it still waits") };
    permit.expect("it waited, so it was not refused")
}

#[test]
fn who_came_first_is_served_first_and_sees_how_many_are_before_it() {
    let permits = Permits::new(Some(1));
    let held = permits.try_acquire().unwrap();
    let (mut first, mut second) = (waiter(&permits), waiter(&permits));
    assert_eq!((first.ahead(), second.ahead(), permits.acquire().ahead()), (Some(0), Some(1), None));
    assert_eq!((permits.held(), permits.waiting()), (1, 2));

    drop(held);
    assert_eq!((first.ahead(), second.ahead()), (None, Some(0)));
    // It is the first one's already: nobody gets before it, and the second waits on.
    assert!(permits.try_acquire().is_none());
    assert!(poll(&mut second, Waker::noop()).is_pending());
    let held = let_in(&mut first);
    drop(held);
    let _held = let_in(&mut second);
    assert_eq!((permits.held(), permits.waiting()), (1, 0));
}

#[test]
fn who_is_dropped_while_it_waits_or_after_it_was_let_in_leaks_nothing_and_passes_its_turn_on() {
    let permits = Permits::new(Some(1));
    let held = permits.try_acquire().unwrap();
    let (first, second, mut third) = (waiter(&permits), waiter(&permits), waiter(&permits));
    drop(second);
    assert_eq!((third.ahead(), permits.waiting()), (Some(1), 2));

    drop(held); // lets the first one in,
    drop(first); // which never comes
    let held = let_in(&mut third);
    drop((held, third));
    assert_eq!((permits.held(), permits.waiting()), (0, 0));
    drop(permits.acquire()); // never polled
    assert_eq!(permits.held(), 0);
}

#[test]
fn a_lower_limit_drains_and_a_higher_one_lets_in_at_once() {
    let permits = Permits::new(None);
    let mut held: Vec<Permit> = (0..3).map(|_| permits.try_acquire().unwrap()).collect();
    permits.set_max(Some(1));
    let (mut first, mut second) = (waiter(&permits), waiter(&permits));
    for _ in 0..2 {
        held.pop();
        assert!(poll(&mut first, Waker::noop()).is_pending(), "more are held than may");
    }
    held.pop();
    let _held = let_in(&mut first);

    let woken = Arc::new(Count::default());
    assert!(poll(&mut second, &Waker::from(Arc::clone(&woken))).is_pending());
    permits.set_max(Some(2));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    let _held = let_in(&mut second);
    assert_eq!((permits.max(), permits.held()), (Some(2), 2));
}

#[test]
fn the_waker_of_the_last_poll_is_woken_and_no_other() {
    let permits = Permits::new(Some(1));
    let held = permits.try_acquire().unwrap();
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut acquire = permits.acquire();
    for count in [&old, &new, &new] {
        assert!(poll(&mut acquire, &Waker::from(Arc::clone(count))).is_pending());
    }
    drop(held);

    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn who_would_be_one_too_many_to_wait_is_refused_and_may_ask_again() {
    let permits = Permits::with_waiting(Some(0), 1);
    let waits = waiter(&permits);
    let mut refused = permits.acquire();

    let Poll::Ready(Err(error)) = poll(&mut refused, Waker::noop()) else { panic!("it was not refused") };
    assert_eq!(error, PermitsError::TooMany { waiting: 1 });
    assert!(error.to_string().starts_with("1 wait for a permit already"), "{error}");
    drop(waits);
    assert!(poll(&mut refused, Waker::noop()).is_pending());
    assert_eq!(refused.ahead(), Some(0));
}

#[test]
fn a_permit_is_held_by_whoever_has_it_in_whatever_thread() {
    let permits = Permits::new(Some(1));
    let permit = permits.try_acquire().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(permit));
    });
    assert_eq!(permits.held(), 0);
}
