//! A reader of a durable subscription to a pattern.

mod keeper;
mod open_topics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::bus::{BusError, Deliveries, Delivery, Failure, PatternDeliveries, Position, Topic};
use runtime_traits::clock::Clock;
use tokio::time::sleep;

use super::Desk;
use super::bell::Bell;
use super::member::Member;
use super::wanted::Wanted;
use keeper::Keeper;
use open_topics::{OpenTopics, Turn};

/// A reader of a durable subscription to a pattern: a member in each topic that has something for it, at most so many at
/// a time as may be open.
#[derive(Debug)]
pub(super) struct PatternMember {
    open: Arc<OpenTopics>,
    bell: Arc<Bell>,
    /// The subscription itself, which has no events: who has it, and whether somebody took it.
    itself: Member,
    clock: Arc<dyn Clock>,
}

impl PatternMember {
    /// Becomes the reader, or a member of the group.
    pub(super) async fn open(desk: &Arc<Desk>, wanted: Wanted) -> Result<Self, BusError> {
        let bell = Arc::new(Bell::default());
        let itself = desk.open(&wanted, Some(Arc::clone(&bell))).await?;
        let open = Arc::new(OpenTopics::new(wanted.name.clone()));
        let clock = Arc::clone(&desk.core.settings.clock);
        let keeper = Keeper::new(desk, wanted, Arc::clone(&open), Arc::clone(&bell));
        desk.spawn(keeper.work());
        Ok(Self { open, bell, itself, clock })
    }
}

#[async_trait]
impl PatternDeliveries for PatternMember {
    async fn next(&self) -> Result<(Topic, Delivery), BusError> {
        loop {
            let mut ready = std::pin::pin!(self.bell.ready.notified());
            ready.as_mut().enable();
            let now = self.clock.now();
            self.itself.try_next(now)?;
            match self.open.take(now) {
                Turn::Delivery(topic, delivery) => return Ok((topic, delivery)),
                Turn::Failed(error) => {
                    self.bell.look.notify_one();
                    return Err(error);
                }
                Turn::Nothing(None) => ready.await,
                Turn::Nothing(Some(until)) => tokio::select! {
                    () = ready => {}
                    () = sleep(until.since(now).max(Duration::from_millis(1))) => {}
                },
            }
        }
    }

    async fn done(&self, topic: &Topic, position: Position) -> Result<(), BusError> {
        let done = self.open.member(topic)?.done(position).await;
        self.bell.look();
        done
    }

    async fn failed(&self, topic: &Topic, position: Position, failure: &Failure) -> Result<bool, BusError> {
        let dead = self.open.member(topic)?.failed(position, failure).await;
        self.bell.look();
        dead
    }
}

impl Drop for PatternMember {
    fn drop(&mut self) {
        self.open.close();
        // The task that opens topics sees that it is over.
        self.bell.look.notify_one();
    }
}
