//! A live reader.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use runtime_traits::bus::{Delivery, Gap, Listener, Position};

use super::ring::{Numbered, Ring};
use crate::core::Core;

/// A live reader. It takes many events into its hand at once, so that it meets the publishers and the other readers
/// seldom; these are held for it beside those in the ring.
#[derive(Debug)]
pub(crate) struct Reader {
    core: Weak<Core>,
    ring: Arc<Ring>,
    seat: usize,
    hand: VecDeque<Numbered>,
    /// The number of the last event of the ring before this reader came: its own first event is its number 1.
    before: u64,
    /// The number of the event that is delivered next, if it is not lost.
    next: u64,
    /// How often it may still let others have their turn before it takes what there is.
    looks: u8,
}

/// How many events are worth the meeting with the publishers.
const WORTH: u64 = 64;
/// How often a reader lets others have their turn until there are as many. Among many events the meetings, and to be
/// woken for each, would cost more than to read them.
const LOOKS: u8 = 8;

impl Reader {
    /// A reader in its seat at a ring, where `before` is the number of the last event before it came.
    pub(crate) fn new(core: Weak<Core>, ring: Arc<Ring>, (seat, before): (usize, u64)) -> Self {
        Self { core, ring, seat, hand: VecDeque::new(), before, next: before + 1, looks: 0 }
    }

    fn position(&self, number: u64) -> Position {
        Position(number - self.before)
    }

    /// The event at the front of the hand, or what is missing before it.
    fn deliver(&mut self) -> Option<Delivery> {
        let &(number, _) = self.hand.front()?;
        if self.next < number {
            return Some(self.gap_before(number));
        }
        let (number, event) = self.hand.pop_front()?;
        self.next = number + 1;
        Some(Delivery::Event { position: self.position(number), attempt: 1, event })
    }

    fn gap_before(&mut self, number: u64) -> Delivery {
        let gap = Gap { from: self.position(self.next), to: self.position(number - 1) };
        self.next = number;
        Delivery::Gap(gap)
    }
}

impl Listener for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if let Some(delivery) = self.deliver() {
            return Poll::Ready(Some(delivery));
        }
        if self.looks > 0 && self.ring.waiting(self.next) < WORTH.min(self.ring.live().ring.get() as u64) {
            self.looks -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.ring.take(self.seat, &mut self.hand, self.next, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(number)) => {
                // Where one comes alone nobody looks out for the next.
                self.looks = if self.hand.len() > 1 { LOOKS } else { 0 };
                // Without an event in the hand it is the end of what was lost.
                Poll::Ready(self.deliver().or_else(|| Some(self.gap_before(number))))
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.forget(&self.ring, self.seat);
        }
    }
}
