//! The bounded queue between the publishers and the live readers of one kind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use runtime_traits::bus::{Event, Live, Overflow};
use tokio::sync::Notify;

use super::seats::{Seat, Seats};

/// An event with its number among those of its ring.
pub(crate) type Numbered = (u64, Arc<Event>);

/// What is seen instead of a number when nothing is taken any more.
const CLOSED: u64 = u64::MAX;
/// After how many events readers see that there are more: what one processor writes and another reads for each event
/// would cost both more than the event.
const SHOWN: u64 = 16;
/// How many events a reader takes at once at most, while everybody else waits.
const HANDFUL: usize = 128;

/// The bounded queue between the publishers and all live readers that want the same: it holds each event once, until the
/// last of them has taken it. A reader that is more than the whole ring behind has lost what it did not take.
#[derive(Debug)]
pub(crate) struct Ring {
    live: Live,
    state: Mutex<State>,
    /// The number that the next event gets, or one of the last [`SHOWN`] before it, to be seen without the lock.
    next: Shown,
    /// How many readers take events, to be seen without the lock.
    readers: AtomicUsize,
    /// Told when there may be room.
    room: Notify,
}

/// A number alone on its line of the cache: readers look at it while publishers are at the rest.
#[derive(Debug)]
#[repr(align(64))]
struct Shown(AtomicU64);

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// How many entries there were before the first.
    gone: u64,
    /// How many numbers are given: to events, and to what was lost before it came here.
    given: u64,
    seats: Seats,
    /// Nothing is taken any more.
    closed: bool,
    /// Whether a publisher waits for room.
    awaited: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    event: Arc<Event>,
    /// How many readers have yet to take it. Readers take in order: where it is none it is none before.
    left: usize,
}

/// What became of an event at a ring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// So many readers get it, or are told that they have lost something.
    There(usize),
    /// There is no room, and nothing was lost.
    Full,
}

impl Ring {
    pub(crate) fn new(live: Live) -> Self {
        let (next, readers) = (Shown(AtomicU64::new(1)), AtomicUsize::new(0));
        Self { live, state: Mutex::default(), next, readers, room: Notify::new() }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// How many readers take events.
    pub(crate) fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    /// A new reader: its seat, and the number of the last event before it came.
    pub(crate) fn join(&self) -> (usize, u64) {
        let mut state = self.state();
        let at = state.gone + state.entries.len() as u64;
        let seat = state.seats.sit_down(Seat::at(at));
        self.readers.store(state.seats.taking(), Ordering::Release);
        (seat, state.given)
    }

    /// A reader goes. Whether it was the last one.
    pub(crate) fn leave(&self, seat: usize) -> bool {
        let mut state = self.state();
        let at = state.seats.get_up(seat);
        if let Some(at) = at {
            state.pass_over(at);
        }
        self.readers.store(state.seats.taking(), Ordering::Release);
        // A publisher that waits for it waits no longer.
        self.room.notify_waiters();
        state.seats.is_empty()
    }

    /// Appends an event, at the cost of the oldest where the ring is full; or, if the publisher `waits`, not at all. Adds
    /// whom to wake.
    pub(crate) fn push(&self, event: &Arc<Event>, waits: bool, wakers: &mut Vec<Waker>) -> Pushed {
        let mut state = self.state();
        let readers = state.seats.taking();
        if readers == 0 {
            return Pushed::There(0);
        }
        let number = state.given + 1;
        if state.entries.len() >= self.live.ring.get() {
            if waits {
                state.awaited = true;
                return Pushed::Full;
            }
            match self.live.overflow {
                Overflow::LoseOldest => state.lose_first(),
                Overflow::Disconnect => {
                    state.disconnect_slowest(number, wakers);
                    self.readers.store(state.seats.taking(), Ordering::Release);
                }
            }
        }
        state.given = number;
        let left = state.seats.taking();
        if left > 0 {
            state.entries.push_back(Entry { number, event: Arc::clone(event), left });
        }
        if number.is_multiple_of(SHOWN) {
            self.next.0.store(number + 1, Ordering::Release);
        }
        state.seats.wake(wakers);
        Pushed::There(readers)
    }

    /// Waits until there may be room. Whoever calls it has been told `Full` after he has called [`Ring::room`].
    pub(crate) fn room(&self) -> tokio::sync::futures::Notified<'_> {
        self.room.notified()
    }

    /// Counts events that were lost before they came here. Adds whom to wake.
    #[cfg(feature = "redis")]
    pub(crate) fn lose(&self, count: u64, wakers: &mut Vec<Waker>) {
        let mut state = self.state();
        state.given += count;
        self.next.0.store(state.given + 1, Ordering::Release);
        state.seats.wake(wakers);
    }

    /// Says that no event follows. Adds whom to wake.
    pub(crate) fn close(&self, wakers: &mut Vec<Waker>) {
        let mut state = self.state();
        state.closed = true;
        self.next.0.store(CLOSED, Ordering::Release);
        self.room.notify_waiters();
        state.seats.wake(wakers);
    }

    /// About how many events there are behind those before `from`, without the lock: up to [`SHOWN`] may be missing, and
    /// there are very many when no more can come.
    pub(crate) fn waiting(&self, from: u64) -> u64 {
        self.next.0.load(Ordering::Acquire).saturating_sub(from)
    }

    /// Takes what there is for a reader into `hand`, which is empty. Answers with the number that comes next, where `from`
    /// is the one that the reader expects, or `None` when nothing will come any more.
    pub(crate) fn take(
        &self,
        seat: usize,
        hand: &mut VecDeque<Numbered>,
        from: u64,
        cx: &Context<'_>,
    ) -> Poll<Option<u64>> {
        let mut state = self.state();
        let at = match state.seats.get_mut(seat) {
            Seat::Taking { at, .. } => *at,
            Seat::Disconnected { held, end } => {
                std::mem::swap(held, hand);
                let next = hand.front().map_or(*end, |(number, _)| *number);
                return Poll::Ready((from < next || !hand.is_empty()).then_some(next));
            }
        };
        let (taken, room) = state.hand_out(at, hand);
        if room && std::mem::take(&mut state.awaited) {
            self.room.notify_waiters();
        }
        if let Some((number, _)) = hand.front() {
            let next = *number;
            state.seats.move_to(seat, taken);
            return Poll::Ready(Some(next));
        }
        if from <= state.given {
            return Poll::Ready(Some(state.given + 1));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.seats.park(seat, cx.waker());
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands out what there is from the place `at` on, not too much at once. Where that ends, and whether there is more
    /// room now.
    fn hand_out(&mut self, at: u64, hand: &mut VecDeque<Numbered>) -> (u64, bool) {
        let at = at.max(self.gone);
        let before = self.gone;
        let mut nth = (at - self.gone) as usize;
        let count = (self.entries.len() - nth).min(HANDFUL);
        for _ in 0..count {
            let entry = &mut self.entries[nth];
            entry.left -= 1;
            if entry.left > 0 {
                hand.push_back((entry.number, Arc::clone(&entry.event)));
                nth += 1;
            } else if let Some(first) = self.entries.pop_front() {
                self.gone += 1;
                hand.push_back((first.number, first.event));
            }
        }
        (at + count as u64, self.gone > before)
    }

    /// A reader takes nothing from the place `at` on.
    fn pass_over(&mut self, at: u64) {
        let nth = (at.max(self.gone) - self.gone) as usize;
        self.entries.iter_mut().skip(nth).for_each(|entry| entry.left -= 1);
        while self.entries.front().is_some_and(|first| first.left == 0) {
            self.lose_first();
        }
    }

    fn lose_first(&mut self) {
        if self.entries.pop_front().is_some() {
            self.gone += 1;
        }
    }

    /// Those that have taken nothing of a full ring get what it holds, are told that the event `lost` is not for them, and
    /// get nothing more.
    fn disconnect_slowest(&mut self, lost: u64, wakers: &mut Vec<Waker>) {
        let held: VecDeque<Numbered> =
            self.entries.iter().map(|entry| (entry.number, Arc::clone(&entry.event))).collect();
        for at in self.seats.disconnect(self.gone, &held, lost + 1, wakers) {
            self.pass_over(at);
        }
    }
}
