//! The bus: who has subscribed, and who is handed an event.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::event::Event;
use crate::subscription::{Ring, Subscription};
use crate::topic::Pattern;

/// Hands events to all who have subscribed to their topics, within one process.
///
/// A clone is another handle of the same bus. `publish` never waits for a reader: each subscription
/// has a bounded ring of its own, loses its oldest events when that is full, and is told which.
/// All subscriptions of a bus see its events in the same order.
#[derive(Clone, Debug)]
pub struct EventBus {
    shared: Arc<Shared>,
}

/// What the handles of a bus share. The last handle to go ends the subscriptions.
#[derive(Debug)]
pub(crate) struct Shared {
    ring: NonZeroUsize,
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    next: u64,
    rings: BTreeMap<u64, Arc<Ring>>,
}

impl EventBus {
    /// How many events a subscription of a [`new`](Self::new) bus holds for its reader.
    pub const DEFAULT_RING: NonZeroUsize = NonZeroUsize::new(1024).expect("1,024 is not 0");

    /// A bus with rings of [`DEFAULT_RING`](Self::DEFAULT_RING) events.
    pub fn new() -> Self {
        Self::with_ring(Self::DEFAULT_RING)
    }

    /// A bus whose subscriptions hold up to `ring` events each for their readers.
    pub fn with_ring(ring: NonZeroUsize) -> Self {
        Self { shared: Arc::new(Shared { ring, subscribers: Mutex::default() }) }
    }

    /// Subscribes to all events published from now on whose topics match. Dropping the
    /// subscription unsubscribes.
    pub fn subscribe(&self, pattern: impl Into<Pattern>) -> Subscription {
        let ring = Arc::new(Ring::new(pattern.into(), self.shared.ring));
        let mut subscribers = self.shared.subscribers();
        let id = subscribers.next;
        subscribers.next += 1;
        subscribers.rings.insert(id, Arc::clone(&ring));
        Subscription::new(id, ring, Arc::downgrade(&self.shared))
    }

    /// Hands the event to all whose patterns match its topic, and says how many these are.
    ///
    /// Looks at every subscription; copies the event for none.
    pub fn publish(&self, event: impl Into<Arc<Event>>) -> usize {
        let event = event.into();
        let mut reached = 0;
        let mut wakers = Vec::new();
        let subscribers = self.shared.subscribers();
        for ring in subscribers.rings.values() {
            if ring.pattern().matches(&event.topic) {
                reached += 1;
                wakers.extend(ring.push(Arc::clone(&event)));
            }
        }
        // A waker may run its reader at once, which may subscribe or publish.
        drop(subscribers);
        wakers.into_iter().for_each(Waker::wake);
        reached
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.shared.subscribers().rings.len()
    }
}

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    pub(crate) fn unsubscribe(&self, id: u64) {
        let ring = self.subscribers().rings.remove(&id);
        // Dropping the events may take a while; nobody waits for it.
        drop(ring);
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        // Every change under the lock is whole before anything can panic.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let subscribers = self.subscribers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for ring in std::mem::take(&mut subscribers.rings).into_values() {
            ring.close().into_iter().for_each(Waker::wake);
        }
    }
}
