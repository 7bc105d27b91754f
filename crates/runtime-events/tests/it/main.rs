//! The bus against a model, its waiting readers, and the grammar of topics.

mod delivery;
mod topics;
mod waiting;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use runtime_events::{Delivery, Event, EventId, Subscription};
use serde_json::json;

/// An event whose id is its number.
fn event(number: u64, topic: &str) -> Arc<Event> {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let topic = topic.parse().expect("tests name good topics");
    Arc::new(Event::new(EventId::from_bytes(id), topic, json!({ "number": number })))
}

/// What is there without waiting; `None` when nothing is.
fn ready(subscription: &mut Subscription) -> Option<Option<Delivery>> {
    match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(delivery) => Some(delivery),
        Poll::Pending => None,
    }
}
