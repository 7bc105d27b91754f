//! A reader of a bus, and the bounded ring between it and the publishers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::bus::Shared;
use crate::event::Event;
use crate::topic::Pattern;

/// A reader of the events that match a pattern. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    ring: Arc<Ring>,
    bus: Weak<Shared>,
    /// The position of the event that is delivered next, if it is not lost.
    position: u64,
}

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// An event.
    Event {
        /// Its number among the events of this subscription: 1, 2, 3, …
        position: u64,
        /// The event itself, shared by all readers.
        event: Arc<Event>,
    },
    /// Events were lost, because the reader was slower than the publishers.
    Gap(Gap),
}

/// The positions that were lost, first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first lost position.
    pub from: u64,
    /// The last lost position.
    pub to: u64,
}

#[derive(Debug)]
pub(crate) struct Ring {
    pattern: Pattern,
    capacity: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<Event>>,
    /// The position that the next pushed event gets.
    next: u64,
    closed: bool,
    reader: Option<Waker>,
}

impl Subscription {
    pub(crate) fn new(id: u64, ring: Arc<Ring>, bus: Weak<Shared>) -> Self {
        Self { id, ring, bus, position: 1 }
    }

    /// What it has subscribed to.
    pub fn pattern(&self) -> &Pattern {
        &self.ring.pattern
    }

    /// Waits for the next event, or says which were lost before it.
    ///
    /// `None` when all handles of the bus are gone and everything was delivered. A dropped future
    /// has taken nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut state = self.ring.state();
        let first = state.next - state.events.len() as u64;
        if self.position < first {
            let gap = Gap { from: self.position, to: first - 1 };
            self.position = first;
            return Poll::Ready(Some(Delivery::Gap(gap)));
        }
        if let Some(event) = state.events.pop_front() {
            let position = self.position;
            self.position += 1;
            return Poll::Ready(Some(Delivery::Event { position, event }));
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
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.unsubscribe(self.id);
        }
    }
}

impl Gap {
    /// How many events were lost.
    pub const fn lost(&self) -> u64 {
        self.to - self.from + 1
    }
}

impl Ring {
    pub(crate) fn new(pattern: Pattern, capacity: NonZeroUsize) -> Self {
        let events = VecDeque::new();
        let state = State { events, next: 1, closed: false, reader: None };
        Self { pattern, capacity, state: Mutex::new(state) }
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Appends an event, at the cost of the oldest where the ring is full. Answers with whom to
    /// wake.
    pub(crate) fn push(&self, event: Arc<Event>) -> Option<Waker> {
        let mut state = self.state();
        if state.events.len() == self.capacity.get() {
            state.events.pop_front();
        }
        state.events.push_back(event);
        state.next += 1;
        state.reader.take()
    }

    /// Says that no event follows. Answers with whom to wake.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = self.state();
        state.closed = true;
        state.reader.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
