//! Telling what went wrong with a handler, as events of the runtime.

use std::sync::Arc;

use runtime_traits::bus::{Event, Failure, Gap, Position, Topic, Who};

use super::EventBus;
use crate::catalogue::{Announced, HandlerFailed, HandlerLost};

/// Tells what went wrong with one subscription's handler.
#[derive(Debug)]
pub(crate) struct Reporter {
    bus: EventBus,
    owner: String,
    subscription: String,
}

impl Reporter {
    pub(crate) fn new(bus: &EventBus, subscription: &str) -> Self {
        let system = EventBus::with(
            Arc::clone(&bus.bus),
            Who::System,
            Arc::clone(&bus.clock),
            Arc::clone(&bus.entropy),
        );
        let system = EventBus { tenant: bus.tenant.clone(), ..system };
        Self { bus: system, owner: bus.who.to_string(), subscription: subscription.to_owned() }
    }

    /// A handler failed.
    pub(crate) async fn failed(
        &self,
        event: &Event,
        position: Position,
        attempt: u32,
        failure: &Failure,
        dead: bool,
    ) {
        tracing::warn!(
            subscription = self.subscription, topic = %event.topic, event = %event.id, attempt, dead,
            cause = %failure.cause, "a handler failed"
        );
        let told = HandlerFailed {
            owner: self.owner.clone(),
            subscription: self.subscription.clone(),
            topic: event.topic.to_string(),
            event: event.id.to_string(),
            position: position.0,
            attempt,
            cause: failure.cause.to_string(),
            panicked: failure.panicked,
            dead,
        };
        self.tell(&told, Some(event)).await;
    }

    /// A handler was too slow. Of a durable one the header `losttopic` says in which topic.
    pub(crate) async fn lost(&self, gap: &Gap, topic: Option<&Topic>) {
        tracing::warn!(
            subscription = self.subscription,
            from = gap.from.0,
            to = gap.to.0,
            "a handler lost events"
        );
        let (owner, subscription) = (self.owner.clone(), self.subscription.clone());
        let told = HandlerLost { owner, subscription, from: gap.from.0, to: gap.to.0 };
        let mut event = told.event();
        if let Some(topic) = topic {
            let set = event.headers.set("losttopic", topic.to_string());
            set.expect("a topic is the value of a header");
        }
        self.publish(event).await;
    }

    async fn tell<A: Announced>(&self, told: &A, cause: Option<&Event>) {
        // Who fails at hearing of failures would hear of that for ever.
        if cause.is_some_and(|cause| cause.topic.as_str().starts_with("system/handler.")) {
            return;
        }
        let event = match cause {
            // It is told also at the last hop, and whoever answers it makes the next one.
            Some(cause) => Event { hops: cause.hops, ..told.event().caused_by(cause) },
            None => told.event(),
        };
        self.publish(event).await;
    }

    async fn publish(&self, event: Event) {
        let event = self.bus.stamped(Arc::new(event));
        if let Err(error) = self.bus.bus.publish(&Who::System, event).await {
            tracing::warn!(%error, "that a handler failed could not be published");
        }
    }
}
