//! How many at once, and who is next.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use thiserror::Error;

// Shuttle's where a test includes this file; see `sync.rs`.
use crate::sync::{Mutex, MutexGuard};

/// Permits, of which at most so many are held at once. Whoever gets none waits, and is served in the order of asking, higher
/// priorities first.
///
/// Cheap to clone; all clones are the same permits. Needs no executor: it wakes whoever waits, and whoever waits is a future.
///
/// # Examples
/// ```
/// use runtime_resources::Permits;
///
/// let permits = Permits::new(Some(1));
/// let permit = permits.try_acquire().expect("nobody holds one");
/// assert!(permits.try_acquire().is_none());
/// drop(permit);
/// assert!(permits.try_acquire().is_some());
/// ```
#[derive(Clone, Debug)]
pub struct Permits {
    line: Arc<Mutex<Line>>,
}

/// Leave to go on, until it is dropped. It may be sent anywhere; whoever has it holds it.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    permits: Permits,
}

/// Waits for a permit: what [`Permits::acquire`] gives. It asks when it is first polled; dropped, it has never asked.
#[derive(Debug)]
#[must_use = "it asks when it is polled"]
pub struct Acquire {
    permits: Permits,
    priority: u8,
    /// Where it stands in the line, from its first poll until its last.
    ticket: Option<Ticket>,
}

/// A place in the line: the lowest comes next. The lower the first number, the higher the priority.
pub(crate) type Ticket = (u8, u64);

/// Why there is no permit, and no waiting for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PermitsError {
    /// As many wait as may.
    #[error(
        "{waiting} wait for a permit already, as many as may; try again later, or let more be held at once"
    )]
    TooMany {
        /// How many wait.
        waiting: usize,
    },
}

#[derive(Debug)]
struct Line {
    max: Option<u32>,
    held: u32,
    max_waiting: usize,
    next: u64,
    /// Who waits, by their tickets, the lowest first. A ticket leaves the line for a permit, which is held from then on, also while
    /// its future was not polled since.
    waiting: VecDeque<(Ticket, Waker)>,
}

impl Permits {
    /// How many may wait, where nothing else is said.
    pub const MAX_WAITING: usize = 1_024;

    /// Permits of which `max` may be held at once; `None` means without a limit, and 0 that nobody gets one.
    pub fn new(max: Option<u32>) -> Self {
        Self::with_waiting(max, Self::MAX_WAITING)
    }

    /// As [`new`](Self::new), where at most `max_waiting` wait at once.
    pub fn with_waiting(max: Option<u32>, max_waiting: usize) -> Self {
        let line = Line { max, held: 0, max_waiting, next: 0, waiting: VecDeque::new() };
        Self { line: Arc::new(Mutex::new(line)) }
    }

    /// A permit as soon as there is one and everybody who asked before has one.
    ///
    /// Dropping the future is always safe: a permit that was on its way to it goes to whoever is next.
    ///
    /// # Errors
    /// The future gives [`PermitsError::TooMany`] when as many wait as may.
    pub fn acquire(&self) -> Acquire {
        self.acquire_with(0)
    }

    /// As [`acquire`](Self::acquire), before all who ask with a lower priority.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn acquire_with(&self, priority: u8) -> Acquire {
        Acquire { permits: self.clone(), priority, ticket: None }
    }

    /// A permit, if there is one now.
    pub fn try_acquire(&self) -> Option<Permit> {
        // Who waits is before everybody else: while somebody does, there is none.
        self.line().take().then(|| Permit { permits: self.clone() })
    }

    /// Changes how many may be held at once. Permits that are held stay so, also when they are more than `max` now: then nobody gets
    /// one until enough were given back.
    pub fn set_max(&self, max: Option<u32>) {
        wake(self.change_max(max));
    }

    /// As [`set_max`](Self::set_max), for whoever holds a lock: who was let in is to be woken when that is open again.
    pub(crate) fn change_max(&self, max: Option<u32>) -> Vec<Waker> {
        let mut line = self.line();
        line.max = max;
        line.let_in()
    }

    /// How many may be held at once.
    pub fn max(&self) -> Option<u32> {
        self.line().max
    }

    /// How many are held, with those on their way to a future that waited.
    pub fn held(&self) -> u32 {
        self.line().held
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.line().waiting.len()
    }

    /// How many wait before a ticket; `None`: it does not wait.
    pub(crate) fn ahead_of(&self, ticket: Ticket) -> Option<usize> {
        self.line().place(ticket)
    }

    /// Whether anybody else has these: holds one, waits for one, or may yet ask.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.line) > 1
    }

    fn release(&self) {
        let woken = {
            let mut line = self.line();
            line.held -= 1;
            line.let_in()
        };
        wake(woken);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // No code of anybody else's runs while it is locked, but for the clone of a waker.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn has_room(&self) -> bool {
        self.held < self.max.unwrap_or(u32::MAX)
    }

    /// One more is held, if there is room.
    fn take(&mut self) -> bool {
        let room = self.has_room();
        self.held += u32::from(room);
        room
    }

    /// Gives those who wait what there is. They are to be woken when the lock is open again.
    fn let_in(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.has_room()
            && let Some((_, waker)) = self.waiting.pop_front()
        {
            self.held += 1;
            woken.push(waker);
        }
        woken
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}

fn wake(woken: Vec<Waker>) {
    woken.into_iter().for_each(Waker::wake);
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.release();
    }
}

impl Acquire {
    /// How many wait before it; `None`: it does not wait.
    pub fn ahead(&self) -> Option<usize> {
        self.permits.ahead_of(self.ticket?)
    }

    /// Where it stands in which line, while it waits.
    pub(crate) fn place(&self) -> Option<(Permits, Ticket)> {
        Some((self.permits.clone(), self.ticket?))
    }
}

impl Future for Acquire {
    type Output = Result<Permit, PermitsError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let permits = self.permits.clone();
        let mut line = permits.line();
        if let Some(ticket) = self.ticket {
            if let Some(place) = line.place(ticket) {
                let waker = &mut line.waiting[place].1;
                // Dropping a waker may drop whatever it belongs to, and that a permit: the lock is open again then.
                let old =
                    (!waker.will_wake(cx.waker())).then(|| std::mem::replace(waker, cx.waker().clone()));
                drop(line);
                drop(old);
                return Poll::Pending;
            }
            self.ticket = None;
        } else if !line.take() {
            let waiting = line.waiting.len();
            if waiting >= line.max_waiting {
                return Poll::Ready(Err(PermitsError::TooMany { waiting }));
            }
            let ticket = (u8::MAX - self.priority, line.next);
            line.next += 1;
            let place = line.waiting.partition_point(|(before, _)| *before < ticket);
            line.waiting.insert(place, (ticket, cx.waker().clone()));
            self.ticket = Some(ticket);
            return Poll::Pending;
        }
        drop(line);
        Poll::Ready(Ok(Permit { permits }))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.permits.line();
        let waited = line.place(ticket).and_then(|place| line.waiting.remove(place));
        drop(line);
        if waited.is_none() {
            // It was let in and never came.
            self.permits.release();
        }
    }
}
