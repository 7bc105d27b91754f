//! Durable subscriptions, as people make them.

use std::sync::Arc;

use runtime_traits::Name;
use runtime_traits::bus::{
    BusError, Deliveries, Delivery, DurablePattern, Event, Failure, Pattern, PatternDeliveries, Position,
    Retry, Start, Topic,
};

use super::handling::Handled;
use super::report::Reporter;
use super::{EventBus, Subscription};

/// A durable subscription that is about to be opened.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use runtime_events::{Event, EventBus, Retention};
/// use runtime_testkit::fakes::MapStore;
/// use tokio::sync::mpsc;
///
/// # runtime_testkit::block_on(async {
/// let bus = EventBus::builder().keep("orders", Retention::default())?.build_over(Arc::new(MapStore::new()));
/// bus.publish(Event::new("orders", &7)?).await?;
///
/// let (tell, mut told) = mpsc::channel(1);
/// let mailing = bus.durable("orders", "mailer")?.handle(move |order| {
///     let tell = tell.clone();
///     async move { tell.send(order.json::<u32>()?).await.map_err(|_| "nobody listens".into()) as Result<(), Box<dyn std::error::Error + Send + Sync>> }
/// });
/// let mailing = mailing.await?;
/// assert_eq!(told.recv().await, Some(7), "it was published before, and kept");
/// mailing.end().await;
/// # Ok::<(), runtime_events::BusError>(())
/// # }).expect("a healthy store");
/// ```
#[derive(Clone, Debug)]
pub struct DurableSubscription {
    bus: EventBus,
    durable: DurablePattern,
}

/// A reader of a durable subscription to a pattern. Dropping it leaves: what it has not settled is delivered to somebody
/// else.
#[derive(Debug)]
pub struct PatternReader(Box<dyn PatternDeliveries>);

/// A reader of a durable subscription. Dropping it leaves: what it has not settled is delivered to somebody else.
#[derive(Debug)]
pub struct DurableReader(Box<dyn Deliveries>);

impl DurableSubscription {
    pub(crate) fn new(bus: EventBus, pattern: Pattern, name: Name) -> Self {
        let durable = DurablePattern { tenant: bus.tenant.clone(), ..DurablePattern::of(pattern, name) };
        Self { bus, durable }
    }

    /// Lets others share the work.
    #[must_use]
    pub fn group(mut self) -> Self {
        self.durable.group = true;
        self
    }

    /// Sets how often a failed event is tried.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.durable.retry = retry;
        self
    }

    /// Sets where it begins, if it is new. In a topic that comes to be later it begins at the first event.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.durable.start = start;
        self
    }

    /// Calls `handler` with each event until the subscription is dropped. An event is done when the handler comes to
    /// nothing or to `Ok`; otherwise it is tried again, and is a dead letter in the end.
    ///
    /// # Errors
    /// As [`Bus::open_pattern`](runtime_traits::bus::Bus::open_pattern).
    pub async fn handle<H, F>(self, handler: H) -> Result<Subscription, BusError>
    where
        H: FnMut(Arc<Event>) -> F + Send + 'static,
        F: Future<Output: Handled> + Send + 'static,
    {
        let reporter = Reporter::new(&self.bus, self.durable.name.as_str());
        let deliveries = self.bus.bus.open_pattern(&self.bus.who, self.durable).await?;
        Ok(Subscription::durable(deliveries, handler, reporter))
    }

    /// Opens it, to be read by hand.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a pattern with wildcards, which [`open_pattern`](Self::open_pattern) opens; else as
    /// [`Bus::open`](runtime_traits::bus::Bus::open).
    pub async fn open(self) -> Result<DurableReader, BusError> {
        let topic: Topic = self.durable.pattern.as_str().parse()?;
        Ok(DurableReader(self.bus.bus.open(&self.bus.who, self.durable.over(topic)).await?))
    }

    /// Opens it, to be read by hand, whatever topics it is about.
    ///
    /// # Errors
    /// As [`Bus::open_pattern`](runtime_traits::bus::Bus::open_pattern).
    pub async fn open_pattern(self) -> Result<PatternReader, BusError> {
        Ok(PatternReader(self.bus.bus.open_pattern(&self.bus.who, self.durable).await?))
    }
}

impl DurableReader {
    /// Waits for the next event that may be worked on.
    ///
    /// # Errors
    /// As [`Deliveries::next`].
    pub async fn next(&self) -> Result<Delivery, BusError> {
        self.0.next().await
    }

    /// Says that the event at `position` is done.
    ///
    /// # Errors
    /// As [`Deliveries::done`].
    pub async fn done(&self, position: Position) -> Result<(), BusError> {
        self.0.done(position).await
    }

    /// Says that the event at `position` failed. Whether it is a dead letter now.
    ///
    /// # Errors
    /// As [`Deliveries::failed`].
    pub async fn failed(&self, position: Position, failure: &Failure) -> Result<bool, BusError> {
        self.0.failed(position, failure).await
    }
}

impl PatternReader {
    /// Waits for the next event that may be worked on, in whatever topic. Topics take turns.
    ///
    /// # Errors
    /// As [`PatternDeliveries::next`].
    pub async fn next(&self) -> Result<(Topic, Delivery), BusError> {
        self.0.next().await
    }

    /// Says that the event of `topic` at `position` is done.
    ///
    /// # Errors
    /// As [`PatternDeliveries::done`].
    pub async fn done(&self, topic: &Topic, position: Position) -> Result<(), BusError> {
        self.0.done(topic, position).await
    }

    /// Says that the event of `topic` at `position` failed. Whether it is a dead letter now.
    ///
    /// # Errors
    /// As [`PatternDeliveries::failed`].
    pub async fn failed(
        &self,
        topic: &Topic,
        position: Position,
        failure: &Failure,
    ) -> Result<bool, BusError> {
        self.0.failed(topic, position, failure).await
    }
}
