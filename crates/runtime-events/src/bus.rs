//! `EventBus`: what people use.

mod builder;
mod durable;
mod handling;
mod report;
mod stream;
mod subscription;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::{
    Bus, BusError, Delivery, Event, EventId, Live, Page, Pattern, Position, Published, Requeue, Requeued,
    Topic, Who,
};
use runtime_traits::clock::{Clock, Entropy, UnixMillis};
use runtime_traits::{Name, Tenant};
use serde::Serialize;
use tokio::time::timeout;

use crate::core::REPLIES;

pub use builder::EventBusBuilder;
pub use durable::{DurableReader, DurableSubscription, PatternReader};
pub use handling::Handled;
pub use stream::EventStream;
pub use subscription::Subscription;

/// Publishes events and subscribes to them.
///
/// A clone is another handle of the same bus. Each handle acts for somebody: a tenant, or one of its agents, whose rights
/// it has.
///
/// # Examples
/// ```
/// use runtime_events::{Event, EventBus};
/// use serde_json::{Value, json};
///
/// # runtime_testkit::block_on(async {
/// let bus = EventBus::new();
/// let results = bus.clone();
/// let searching = bus
///     .subscribe("search_request", move |request| {
///         let bus = results.clone();
///         async move {
///             let query: Value = request.json()?;
///             let found = json!({ "query": query["query"], "result": "three papers" });
///             bus.publish(Event::new("search_result", &found)?.caused_by(&request)).await.map(drop)
///         }
///     })
///     .await?;
///
/// let mut found = bus.listen("search_result").await?;
/// bus.publish(Event::new("search_request", &json!({ "query": "latest AI research" }))?).await?;
/// let event = found.next_event().await.expect("the bus is there");
/// assert_eq!(event.json::<Value>()?["result"], "three papers");
/// drop(searching);
/// # Ok::<(), runtime_events::BusError>(())
/// # }).expect("good topics");
/// ```
#[derive(Clone)]
pub struct EventBus {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    who: Who,
    /// What an event is given that names no other.
    tenant: Tenant,
    source: Arc<str>,
}

impl EventBus {
    /// A bus within this process, which keeps nothing.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A bus with other settings, or in another place.
    pub fn builder() -> EventBusBuilder {
        EventBusBuilder::default()
    }

    /// A handle of `bus` that acts for `who`, with the system's clock and entropy.
    pub fn over(bus: Arc<dyn Bus>, who: Who) -> Self {
        let settings = crate::core::Settings::default();
        Self::with(bus, who, settings.clock, settings.entropy)
    }

    pub(crate) fn with(
        bus: Arc<dyn Bus>,
        who: Who,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (tenant, source) = match &who {
            Who::System => (Tenant::default(), "runtime".into()),
            Who::Tenant { tenant, agent } => {
                let source = agent.as_ref().map_or("default", Name::as_str);
                (tenant.clone(), source.into())
            }
        };
        Self { bus, clock, entropy, who, tenant, source }
    }

    /// A handle for an agent of the same tenant. It has the agent's rights, and no way back.
    #[must_use]
    pub fn for_agent(&self, agent: Name) -> Self {
        let who = Who::Tenant { tenant: self.tenant.clone(), agent: Some(agent) };
        Self::with(Arc::clone(&self.bus), who, Arc::clone(&self.clock), Arc::clone(&self.entropy))
    }

    /// Publishes an event. What it lacks of id, time, tenant and source it gets here.
    ///
    /// # Errors
    /// [`BusError`]. After [`BusError::Unknown`] publish the same event again: an event that has its id is kept once.
    pub async fn publish(&self, event: impl Into<Arc<Event>>) -> Result<Published, BusError> {
        let event = self.stamped(event.into());
        self.bus.publishing(&self.who, event).await
    }

    /// Calls `handler` with each event that matches, one after the other, until the subscription is dropped.
    ///
    /// An error or a panic of the handler is told as [`HandlerFailed`](crate::catalogue::HandlerFailed).
    ///
    /// # Errors
    /// [`BusError::Topic`], [`BusError::Forbidden`]; [`BusError::Unavailable`].
    pub async fn subscribe<P, H, F>(&self, topics: P, handler: H) -> Result<Subscription, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
        H: FnMut(Arc<Event>) -> F + Send + 'static,
        F: Future<Output: Handled> + Send + 'static,
    {
        self.subscribe_with(self.live(topics)?, handler).await
    }

    /// As [`subscribe`](Self::subscribe), with another ring or another overflow.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_with<H, F>(&self, live: Live, handler: H) -> Result<Subscription, BusError>
    where
        H: FnMut(Arc<Event>) -> F + Send + 'static,
        F: Future<Output: Handled> + Send + 'static,
    {
        let reporter = report::Reporter::new(self, live.pattern.as_str());
        let stream = self.listen_with(live).await?;
        Ok(Subscription::live(stream, handler, reporter))
    }

    /// The events that match, as a stream of deliveries.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn listen<P>(&self, topics: P) -> Result<EventStream, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        self.listen_with(self.live(topics)?).await
    }

    /// As [`listen`](Self::listen), with another ring or another overflow.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub async fn listen_with(&self, live: Live) -> Result<EventStream, BusError> {
        Ok(EventStream::new(self.bus.listen(&self.who, live).await?))
    }

    /// A durable subscription to a topic that is kept, or to all that are kept and match, to be opened or handled.
    ///
    /// # Errors
    /// [`BusError::Topic`] for a bad pattern, [`BusError::Malformed`] for a bad name.
    pub fn durable<P>(&self, topics: P, name: &str) -> Result<DurableSubscription, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        let pattern = topics.try_into().map_err(Into::into)?;
        let name = Name::new(name).map_err(|error| BusError::malformed(error.to_string()))?;
        Ok(DurableSubscription::new(self.clone(), pattern, name))
    }

    /// Publishes a request and waits for the answer, which [`reply`](Self::reply) gives.
    ///
    /// # Errors
    /// [`BusError::NoAnswer`] when there is none within the deadline, else as [`publish`](Self::publish).
    pub async fn request(&self, event: Event, deadline: Duration) -> Result<Arc<Event>, BusError> {
        let mut event = self.stamped(Arc::new(event));
        let reply_to: Topic = format!("{REPLIES}/{}", event.id).parse()?;
        let mut answers = self.listen(reply_to.clone()).await?;
        Arc::make_mut(&mut event).reply_to = Some(reply_to);
        let topic = event.topic.clone();
        let asked = timeout(deadline, async {
            self.bus.publish(&self.who, event).await?;
            Ok(answers.next_event().await)
        });
        match asked.await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) | Err(_) => Err(BusError::NoAnswer { topic, within: deadline }),
        }
    }

    /// Answers a request with data in JSON.
    ///
    /// # Errors
    /// [`BusError::Malformed`] when the event expects no answer, else as [`publish`](Self::publish).
    pub async fn reply<D: Serialize + ?Sized>(
        &self,
        request: &Event,
        data: &D,
    ) -> Result<Published, BusError> {
        let expects = || BusError::malformed(format!("event {} expects no answer", request.id));
        let topic = request.reply_to.clone().ok_or_else(expects)?;
        self.publish(Event::new(topic, data)?.caused_by(request)).await
    }

    /// At most `limit` events of a topic that is kept, those at `from` and later.
    ///
    /// # Errors
    /// As [`Bus::read`].
    pub async fn read(&self, topic: &Topic, from: Position, limit: u32) -> Result<Page, BusError> {
        self.bus.read(&self.who, &self.tenant, topic, from, limit).await
    }

    /// The place of the first event of a topic that was appended at `time` or later.
    ///
    /// # Errors
    /// As [`Bus::find`].
    pub async fn find(&self, topic: &Topic, time: UnixMillis) -> Result<Position, BusError> {
        self.bus.find(&self.who, &self.tenant, topic, time).await
    }

    /// Sends dead letters of a durable subscription of this name again, to it alone: all that were not yet, or only the one
    /// at a place, or those of a topic. The answer tells of those that cannot be sent.
    ///
    /// # Errors
    /// [`BusError::Malformed`] for a bad name, else as [`Bus::requeue`].
    pub async fn requeue(
        &self,
        subscription: &str,
        position: Option<Position>,
        topic: Option<Topic>,
    ) -> Result<Requeued, BusError> {
        let name = Name::new(subscription).map_err(|error| BusError::malformed(error.to_string()))?;
        let requeue = Requeue { tenant: self.tenant.clone(), subscription: name, position, topic };
        self.bus.requeue(&self.who, &requeue, self.clock.now()).await
    }

    fn live<P>(&self, topics: P) -> Result<Live, BusError>
    where
        P: TryInto<Pattern, Error: Into<BusError>>,
    {
        let pattern = topics.try_into().map_err(Into::into)?;
        Ok(Live { tenant: self.tenant.clone(), ..Live::of(pattern) })
    }

    /// The event with all that it lacked.
    fn stamped(&self, mut event: Arc<Event>) -> Arc<Event> {
        let default_tenant = event.tenant != self.tenant && event.tenant == Tenant::default();
        let default_source = &*event.source == "default" && event.source != self.source;
        if event.id != EventId::UNSET && event.time.0 != 0 && !default_tenant && !default_source {
            return event;
        }
        let stamped = Arc::make_mut(&mut event);
        if stamped.id == EventId::UNSET {
            stamped.id = EventId::mint(&*self.clock, &*self.entropy);
        }
        if stamped.time.0 == 0 {
            stamped.time = self.clock.now();
        }
        if default_tenant {
            stamped.tenant = self.tenant.clone();
        }
        if default_source {
            stamped.source = Arc::clone(&self.source);
        }
        event
    }
}

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").field("bus", &self.bus).field("who", &self.who).finish_non_exhaustive()
    }
}

/// The event of a delivery, if it is one.
pub(crate) fn event_of(delivery: Delivery) -> Option<Arc<Event>> {
    match delivery {
        Delivery::Event { event, .. } => Some(event),
        Delivery::Gap(_) => None,
    }
}
