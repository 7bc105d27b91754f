//! The bounded queue between the publishers and one live reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use runtime_traits::bus::{Event, Live, Overflow};
use tokio::sync::Notify;

/// An event with its number among those of this reader.
pub(crate) type Numbered = (u64, Arc<Event>);

/// What is seen instead of a number when nothing is taken any more.
const CLOSED: u64 = u64::MAX;
/// After how many events readers see that there are more: what one processor writes and another reads for each event
/// would cost both more than the event.
const SHOWN: u64 = 16;

/// The bounded queue between the publishers and one live reader.
#[derive(Debug)]
pub(crate) struct Ring {
    live: Live,
    state: Mutex<State>,
    /// The number that the next event gets, or one of the last [`SHOWN`] before it, to be seen without the lock.
    next: Seen,
    /// Told when the reader has taken what there was.
    room: Notify,
}

/// A number alone on its line of the cache: readers look at it while publishers are at the rest.
#[derive(Debug)]
#[repr(align(64))]
struct Seen(AtomicU64);

#[derive(Debug)]
struct State {
    events: VecDeque<Numbered>,
    /// The number that the next event gets.
    next: u64,
    /// Nothing is taken any more.
    closed: bool,
    reader: Option<Waker>,
    /// Whether a publisher waits for room.
    awaited: bool,
}

/// What became of an event at a ring.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It is there; this is whom to wake.
    There(Option<Waker>),
    /// There is no room, and nothing was lost.
    Full,
    /// The reader takes nothing any more.
    Closed,
}

impl Ring {
    pub(crate) fn new(live: Live) -> Self {
        let events = VecDeque::new();
        let state = State { events, next: 1, closed: false, reader: None, awaited: false };
        Self { live, state: Mutex::new(state), next: Seen(AtomicU64::new(1)), room: Notify::new() }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// Appends an event, at the cost of the oldest where the ring is full; or, if the publisher `waits`, not at all.
    pub(crate) fn push(&self, event: &Arc<Event>, waits: bool) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        if state.events.len() >= self.live.ring.get() {
            if waits {
                state.awaited = true;
                return Pushed::Full;
            }
            if self.live.overflow == Overflow::Disconnect {
                // This one is lost, which is told behind what is held.
                state.next += 1;
                state.closed = true;
                self.next.0.store(CLOSED, Ordering::Release);
                return Pushed::There(state.reader.take());
            }
            state.events.pop_front();
        }
        let number = state.next;
        state.next += 1;
        state.events.push_back((number, Arc::clone(event)));
        if number.is_multiple_of(SHOWN) {
            self.next.0.store(state.next, Ordering::Release);
        }
        Pushed::There(state.reader.take())
    }

    /// Waits until there may be room. Whoever calls it has been told `Full` after he has called [`Ring::room`].
    pub(crate) fn room(&self) -> tokio::sync::futures::Notified<'_> {
        self.room.notified()
    }

    /// Counts events that were lost before they came here. Answers with whom to wake.
    #[cfg(feature = "redis")]
    pub(crate) fn lose(&self, count: u64) -> Option<Waker> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.next += count;
        self.next.0.store(state.next, Ordering::Release);
        state.reader.take()
    }

    /// Says that no event follows. Answers with whom to wake.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = self.state();
        state.closed = true;
        self.next.0.store(CLOSED, Ordering::Release);
        self.room.notify_waiters();
        state.reader.take()
    }

    /// About how many events there are behind those before `from`, without the lock: up to [`SHOWN`] may be missing, and
    /// there are very many when no more can come.
    pub(crate) fn waiting(&self, from: u64) -> u64 {
        self.next.0.load(Ordering::Acquire).saturating_sub(from)
    }

    /// Moves all that there is into `hand`, which is empty. Answers with the number that comes next, or `None` when
    /// nothing will come any more.
    pub(crate) fn take(
        &self,
        hand: &mut VecDeque<Numbered>,
        from: u64,
        cx: &Context<'_>,
    ) -> Poll<Option<u64>> {
        let mut state = self.state();
        if !state.events.is_empty() {
            std::mem::swap(&mut state.events, hand);
            if std::mem::take(&mut state.awaited) {
                self.room.notify_waiters();
            }
            return Poll::Ready(hand.front().map(|(number, _)| *number));
        }
        if from < state.next {
            return Poll::Ready(Some(state.next));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
