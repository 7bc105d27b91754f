//! A bus that does not answer.

use std::sync::Arc;

use agent_runtime::bus::{
    Bus, Deliveries, Durable, DurablePattern, Interest, Listener, Live, Page, Pattern, PatternDeliveries,
    Position, Published, Topic, Who,
};
use agent_runtime::events::EventBusBuilder;
use agent_runtime::prelude::*;
use agent_runtime::{BusError, Tenant, Turn, UnixMillis};
use tokio::time::Instant;

use super::silent::{Mute, give_up};
use super::{SECOND, ask, guarded, guards};

/// A bus that takes nothing in time.
#[derive(Debug)]
struct Deaf(Arc<dyn Bus>);

#[async_trait]
impl Bus for Deaf {
    async fn publish(&self, _: &Who, _: Arc<Event>) -> Result<Published, BusError> {
        std::future::pending().await
    }

    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError> {
        self.0.listen(who, live).await
    }

    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.0.open(who, durable).await
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        self.0.open_pattern(who, durable).await
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.0.read(who, tenant, topic, from, limit).await
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.0.find(who, tenant, topic, time).await
    }

    fn is_interested(&self, topics: &Pattern) -> bool {
        self.0.is_interested(topics)
    }

    fn interest(&self, tenant: &Tenant, topic: &Topic) -> Interest {
        self.0.interest(tenant, topic)
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "this is the clock of the executor, which the test has paused")]
async fn a_call_waits_a_quarter_of_a_second_for_a_bus_that_is_away_however_much_there_is_to_tell() {
    let (guards, clock) = guards();
    let bus: Arc<dyn Bus> = Arc::new(Deaf(Arc::new(EventBusBuilder::default().in_process())));
    guards.tell(&bus, Tenant::default());
    let mute = Mute::new();
    // It opens, is tried out, and opens again: nobody was there to tell it.
    for _ in 0..3 {
        give_up(&guards, &mute, &clock, 180 * SECOND).await;
    }
    clock.advance(10 * SECOND);
    let (back, _) = guarded(&guards, "a", Turn::from("yes"));
    let began = Instant::now();
    assert_eq!(ask(&back).await.unwrap().text, "yes");
    // That it had opened and is tried out, and then that it closed.
    let took = began.elapsed();
    assert!(took >= SECOND / 2 && took <= SECOND * 51 / 100, "{took:?}");
}
