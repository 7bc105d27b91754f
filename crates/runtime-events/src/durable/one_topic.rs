//! A durable subscription to one topic as one to a pattern.

use async_trait::async_trait;
use runtime_traits::bus::{BusError, Deliveries, Delivery, Failure, PatternDeliveries, Position, Topic};

/// A durable subscription to one topic as one to a pattern.
#[derive(Debug)]
pub(crate) struct OneTopic {
    topic: Topic,
    deliveries: Box<dyn Deliveries>,
}

impl OneTopic {
    pub(crate) fn new(topic: Topic, deliveries: Box<dyn Deliveries>) -> Self {
        Self { topic, deliveries }
    }

    /// Nobody has an event of another topic.
    fn of(&self, topic: &Topic) -> Option<&dyn Deliveries> {
        (self.topic == *topic).then_some(&*self.deliveries)
    }
}

#[async_trait]
impl PatternDeliveries for OneTopic {
    async fn next(&self) -> Result<(Topic, Delivery), BusError> {
        Ok((self.topic.clone(), self.deliveries.next().await?))
    }

    async fn done(&self, topic: &Topic, position: Position) -> Result<(), BusError> {
        match self.of(topic) {
            Some(deliveries) => deliveries.done(position).await,
            None => Ok(()),
        }
    }

    async fn failed(&self, topic: &Topic, position: Position, failure: &Failure) -> Result<bool, BusError> {
        match self.of(topic) {
            Some(deliveries) => deliveries.failed(position, failure).await,
            None => Ok(false),
        }
    }
}
