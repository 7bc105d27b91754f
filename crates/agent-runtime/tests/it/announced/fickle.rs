//! A bus that may be away or slow, may forget to answer, and may have a damaged topic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use agent_runtime::bus::{
    Bus, Deliveries, Durable, DurablePattern, Interest, Listener, Live, Page, Pattern, PatternDeliveries,
    Position, Published, Topic, Who,
};
use agent_runtime::events::{EventBusBuilder, Retention};
use agent_runtime::prelude::*;
use agent_runtime::store::StateStore;
use agent_runtime::{BusError, Cause, Pool, Tenant, UnixMillis};
use runtime_testkit::fakes::MapStore;
use tokio::sync::{Semaphore, watch};

/// A bus that may be away or slow, may forget to answer, and may have a damaged topic.
#[derive(Debug)]
pub(super) struct Fickle {
    /// Where it keeps what, and it itself: another one after each restart.
    at: Mutex<(Arc<MapStore>, Arc<dyn Bus>)>,
    rules: EventBusBuilder,
    pub(super) is_away: AtomicBool,
    /// So many events are published, and the publisher is told that nobody knows.
    pub(super) forgets: AtomicUsize,
    /// Each time it forgets to answer its process ends.
    pub(super) restarts: AtomicBool,
    /// So many times it panics.
    pub(super) panics: AtomicUsize,
    /// This topic is damaged: neither written nor read.
    pub(super) damaged: Mutex<Option<Topic>>,
    /// Publishing about this topic waits until it is let through.
    pub(super) slow: Mutex<Option<Topic>>,
    /// How many have come to wait there.
    pub(super) came: watch::Sender<usize>,
    pub(super) let_through: Semaphore,
    /// How often it was asked to publish or to read.
    pub(super) asked: watch::Sender<usize>,
    /// How often it was asked what becomes of an event.
    pub(super) weighed: AtomicUsize,
}

impl Fickle {
    pub(super) fn over(store: &Arc<MapStore>, retention: Retention) -> Arc<Self> {
        Self::keeping("agents/**", store, retention)
    }

    pub(super) fn keeping(topics: &str, store: &Arc<MapStore>, retention: Retention) -> Arc<Self> {
        let rules = EventBusBuilder::default().keep(topics, retention).unwrap();
        Arc::new(Self {
            at: Mutex::new((Arc::clone(store), bus(&rules, store))),
            rules,
            is_away: AtomicBool::new(false),
            forgets: AtomicUsize::new(0),
            restarts: AtomicBool::new(false),
            panics: AtomicUsize::new(0),
            damaged: Mutex::default(),
            slow: Mutex::default(),
            came: watch::Sender::new(0),
            let_through: Semaphore::new(0),
            asked: watch::Sender::new(0),
            weighed: AtomicUsize::new(0),
        })
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.at.lock().unwrap().1)
    }

    /// Its process ends, and another one begins, which remembers no ids.
    fn restart(&self) {
        let mut at = self.at.lock().unwrap();
        let store = Arc::new(at.0.crash());
        *at = (Arc::clone(&store), bus(&self.rules, &store));
    }

    fn is_there(&self, topic: &Topic) -> Result<(), BusError> {
        self.asked.send_modify(|asked| *asked += 1);
        if self.damaged.lock().unwrap().as_ref() == Some(topic) {
            return Err(BusError::Damaged { what: format!("an entry of `{topic}`") });
        }
        if self.is_away.load(Ordering::SeqCst) {
            return Err(BusError::Unavailable { cause: Cause::says("it is away") });
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for Fickle {
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        self.is_there(&event.topic)?;
        if self.slow.lock().unwrap().as_ref() == Some(&event.topic) {
            self.came.send_modify(|came| *came += 1);
            self.let_through.acquire().await.unwrap().forget();
        }
        let id = event.id;
        let one_less = |left: usize| left.checked_sub(1);
        assert!(
            self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err(),
            "the bus panics, as it was told to"
        );
        let published = self.bus().publish(who, event).await?;
        match self.forgets.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => {
                if self.restarts.load(Ordering::SeqCst) {
                    self.restart();
                }
                Err(BusError::Unknown { id, cause: Cause::says("the answer got lost") })
            }
            Err(_) => Ok(published),
        }
    }

    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError> {
        self.bus().listen(who, live).await
    }

    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        self.bus().open(who, durable).await
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        self.bus().open_pattern(who, durable).await
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        self.is_there(topic)?;
        self.bus().read(who, tenant, topic, from, limit).await
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        self.bus().find(who, tenant, topic, time).await
    }

    fn is_interested(&self, topics: &Pattern) -> bool {
        self.bus().is_interested(topics)
    }

    fn interest(&self, tenant: &Tenant, topic: &Topic) -> Interest {
        self.weighed.fetch_add(1, Ordering::SeqCst);
        self.bus().interest(tenant, topic)
    }
}

fn bus(rules: &EventBusBuilder, store: &Arc<MapStore>) -> Arc<dyn Bus> {
    let best = store.profile().best;
    Arc::new(rules.clone().in_process_over(Arc::clone(store) as _, Pool::MAIN, best))
}
