//! Live events as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use runtime_traits::bus::{Delivery, Event, Listener};

/// Live events as a stream of deliveries. Dropping it unsubscribes.
#[derive(Debug)]
pub struct EventStream(Box<dyn Listener>);

impl EventStream {
    pub(crate) fn new(listener: Box<dyn Listener>) -> Self {
        Self(listener)
    }

    /// Waits for the next event, or says which were lost before it. `None` when nothing can come any more. A dropped
    /// future has taken nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// Waits for the next event, whatever was lost before it.
    pub async fn next_event(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = super::event_of(self.next().await?) {
                return Some(event);
            }
        }
    }
}

impl Stream for EventStream {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll_next(cx)
    }
}
