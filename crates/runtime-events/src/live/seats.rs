//! The readers of a ring.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use super::ring::Numbered;

/// The readers of a ring, each by the number of its seat.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    /// The seats that nobody has.
    free: Vec<usize>,
    /// How many take events.
    taking: usize,
    /// The seats of those that wait.
    parked: Vec<usize>,
}

/// A reader of a ring.
#[derive(Debug)]
pub(super) enum Seat {
    Taking {
        /// The place of the entry that it takes next.
        at: u64,
        waker: Option<Waker>,
    },
    /// It was too slow: it gets what was held for it, and nothing from the number `end` on.
    Disconnected { held: VecDeque<Numbered>, end: u64 },
}

impl Seat {
    pub(super) fn at(at: u64) -> Self {
        Self::Taking { at, waker: None }
    }
}

impl Seats {
    pub(super) fn taking(&self) -> usize {
        self.taking
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.seats.len()
    }

    pub(super) fn sit_down(&mut self, seat: Seat) -> usize {
        self.taking += 1;
        if let Some(free) = self.free.pop() {
            self.seats[free] = Some(seat);
            return free;
        }
        self.seats.push(Some(seat));
        self.seats.len() - 1
    }

    /// A reader goes. The place of what it would have taken next, if it took anything.
    pub(super) fn get_up(&mut self, seat: usize) -> Option<u64> {
        let gone = self.seats[seat].take()?;
        self.free.push(seat);
        match gone {
            Seat::Taking { at, waker } => {
                self.taking -= 1;
                if waker.is_some() {
                    self.parked.retain(|parked| *parked != seat);
                }
                Some(at)
            }
            Seat::Disconnected { .. } => None,
        }
    }

    pub(super) fn get_mut(&mut self, seat: usize) -> &mut Seat {
        self.seats[seat].as_mut().expect("a reader has its seat until it goes")
    }

    pub(super) fn move_to(&mut self, seat: usize, place: u64) {
        if let Seat::Taking { at, .. } = self.get_mut(seat) {
            *at = place;
        }
    }

    /// A reader waits for the next event.
    pub(super) fn park(&mut self, seat: usize, by: &Waker) {
        if let Seat::Taking { waker, .. } = self.get_mut(seat) {
            match waker {
                Some(waker) => waker.clone_from(by),
                none => {
                    *none = Some(by.clone());
                    self.parked.push(seat);
                }
            }
        }
    }

    /// Adds the wakers of all that wait.
    pub(super) fn wake(&mut self, wakers: &mut Vec<Waker>) {
        for seat in self.parked.drain(..) {
            if let Some(Some(Seat::Taking { waker, .. })) = self.seats.get_mut(seat) {
                wakers.extend(waker.take());
            }
        }
    }

    /// Those whose next place is `place` or before it get what is `held`, and nothing from the number `end` on. Their
    /// places, and whom to wake.
    pub(super) fn disconnect(
        &mut self,
        place: u64,
        held: &VecDeque<Numbered>,
        end: u64,
        wakers: &mut Vec<Waker>,
    ) -> Vec<u64> {
        let mut places = Vec::new();
        for seat in self.seats.iter_mut().flatten() {
            if let Seat::Taking { at, waker } = seat
                && *at <= place
            {
                places.push(*at);
                wakers.extend(waker.take());
                let held = held.iter().map(|(number, event)| (*number, Arc::clone(event))).collect();
                *seat = Seat::Disconnected { held, end };
            }
        }
        self.taking -= places.len();
        places
    }
}
