//! The bus of a runtime in another process.

use std::time::Duration;

use reqwest::{Method, Request, header};
use runtime_traits::bus::{BusError, Event, Page, Position, Published, Requeued, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::{Cause, Name, RuntimeError, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::remote::bus_tail::{EventTail, TailOf};
use crate::remote::call::{Again, Failure};
use crate::remote::control::add;
use crate::remote::{PlaceError, RemoteRuntime};
use crate::wire::bus::{
    CLOUD_EVENT, For, KeptPage, KeptQuery, PublishedAnswer, RequeueBody, SettleBody, SettledAnswer,
    cloud_line,
};

/// The bus of a runtime in another process, over its routes under `/v1/events`.
///
/// Each handle acts for somebody: a tenant, or one of its agents, whose rights it has. It is no
/// [`Bus`](runtime_traits::bus::Bus): the runtime itself does not act from another process.
///
/// ```
/// # use runtime_service::{PlaceError, RemoteEvents};
/// let events = RemoteEvents::at("unix:/run/agents/control.sock")?;
/// # Ok::<(), PlaceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RemoteEvents {
    pub(super) remote: RemoteRuntime,
    pub(super) acts_for: For,
}

impl RemoteEvents {
    /// The bus at `place`: `http://HOST:PORT`, or `unix:PATH`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`PlaceError`] when `place` is neither.
    pub fn at(place: &str) -> Result<Self, PlaceError> {
        Ok(Self { remote: RemoteRuntime::at(place)?, acts_for: For::default() })
    }

    /// A handle that acts for a tenant, or for one of its agents.
    #[must_use]
    pub fn acting_for(mut self, tenant: Tenant, agent: Option<Name>) -> Self {
        self.acts_for = For { tenant: (tenant != Tenant::default()).then_some(tenant), agent };
        self
    }

    /// How long in a row the other side may be away while a tail goes on; 60 s unless set.
    #[must_use]
    pub fn away_within(mut self, limit: Duration) -> Self {
        self.remote = self.remote.away_within(limit);
        self
    }

    /// Publishes an event, which has its id. It is asked once.
    ///
    /// # Errors
    /// [`BusError`]. After [`BusError::Unknown`] publish the same event again: an event that is kept is kept once by its
    /// id.
    pub async fn publish(&self, event: &Event) -> Result<Published, BusError> {
        let mut request = self.asking(Method::POST, &["v1", "events"], &self.acts_for);
        let media = header::HeaderValue::from_static(CLOUD_EVENT);
        request.headers_mut().insert(header::CONTENT_TYPE, media);
        *request.body_mut() = Some(cloud_line(event).into());
        let bytes =
            self.remote.once(request, self.remote.deadlines.answer).await.map_err(
                |failure| match failure {
                    Failure::Away { cause, .. } => BusError::Unknown { id: event.id, cause },
                    failure => refused(failure),
                },
            )?;
        let answer: PublishedAnswer = parsed(&bytes)?;
        Ok(Published { position: answer.position, reached: answer.reached })
    }

    /// At most `limit` events of a topic that is kept, those at `from` and later; the other side may give fewer.
    ///
    /// # Errors
    /// [`BusError::BeforeRetention`], which names the first place that there is; [`BusError::NotDurable`],
    /// [`BusError::Forbidden`]; [`BusError::Unavailable`].
    pub async fn read(&self, topic: &Topic, from: Position, limit: u32) -> Result<Page, BusError> {
        let from = Some(from.0);
        self.kept(KeptQuery { topic: topic.to_string(), from, limit: Some(limit), ..KeptQuery::default() })
            .await
    }

    /// As [`read`](Self::read), from the first place on that there is.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what is no longer kept.
    pub async fn read_first(&self, topic: &Topic, limit: u32) -> Result<Page, BusError> {
        self.kept(KeptQuery { topic: topic.to_string(), limit: Some(limit), ..KeptQuery::default() }).await
    }

    /// As [`read`](Self::read), from the first event on that was appended at `time` or later.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_since(&self, topic: &Topic, time: UnixMillis, limit: u32) -> Result<Page, BusError> {
        let since = Some(time.to_rfc3339());
        self.kept(KeptQuery { topic: topic.to_string(), since, limit: Some(limit), ..KeptQuery::default() })
            .await
    }

    /// What is published about topics, as it comes. It goes on by itself after a break.
    pub fn tail(&self, of: TailOf) -> EventTail {
        EventTail::new(self.clone(), of)
    }

    /// Says what became of an event that a durable subscription delivered: it is done, or it failed, and why. Whether it is
    /// a dead letter now.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] also when the subscription's tail is not open: the event will be delivered again.
    pub async fn settle(
        &self,
        topic: &Topic,
        durable: &Name,
        position: Position,
        failed: Option<&str>,
    ) -> Result<bool, BusError> {
        let body = SettleBody {
            topic: topic.to_string(),
            durable: durable.clone(),
            position,
            failed: failed.map(str::to_owned),
        };
        let answer: SettledAnswer = self.tell(&["v1", "events", "done"], &body).await?;
        Ok(answer.dead_letter)
    }

    /// Sends dead letters of a durable subscription again, to it alone: all that were not yet, or only the one at a place, or
    /// those of a topic. The answer tells of those that cannot be sent.
    ///
    /// # Errors
    /// As [`Bus::requeue`](runtime_traits::bus::Bus::requeue); after one it may be asked again.
    pub async fn requeue(
        &self,
        durable: &Name,
        position: Option<Position>,
        topic: Option<&Topic>,
    ) -> Result<Requeued, BusError> {
        let body = RequeueBody { durable: durable.clone(), position, topic: topic.map(Topic::to_string) };
        self.tell(&["v1", "events", "requeue"], &body).await
    }

    /// Tells what may be told twice: to say it twice is to say it once.
    async fn tell<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, BusError> {
        let mut request = self.asking(Method::POST, path, &self.acts_for);
        let bytes = serde_json::to_vec(body).expect("names and texts have JSON");
        let media = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, media);
        *request.body_mut() = Some(bytes.into());
        self.ask(request, Again::Broken(RemoteRuntime::briefly())).await
    }

    async fn kept(&self, mut query: KeptQuery) -> Result<Page, BusError> {
        (query.tenant, query.agent) = (self.acts_for.tenant.clone(), self.acts_for.agent.clone());
        let request = self.asking(Method::GET, &["v1", "events", "kept"], &query);
        let page: KeptPage = self.ask(request, Again::Broken(RemoteRuntime::briefly())).await?;
        let events = page.events.into_iter().map(TryInto::try_into).collect::<Result<_, Cause>>();
        let events = events.map_err(|cause| BusError::Unavailable { cause })?;
        Ok(Page { first: page.first, next: page.next, events })
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request, again: Again) -> Result<T, BusError> {
        let bytes = self.remote.patient(request, Duration::ZERO, again).await.map_err(refused)?;
        parsed(&bytes)
    }

    /// A request with a query, of what has a value.
    pub(super) fn asking<T: Serialize>(&self, method: Method, segments: &[&str], query: &T) -> Request {
        let mut request = self.remote.request(method, segments);
        let values = serde_json::to_value(query).expect("names, texts and numbers have JSON");
        for (name, value) in values.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            add(&mut request, name, Some(text));
        }
        request
    }
}

/// The error for a failure that is final.
pub(super) fn refused(failure: Failure) -> BusError {
    match failure {
        Failure::OfBus(error) => *error,
        Failure::Said(RuntimeError::TooLarge { size, limit, .. }) => BusError::TooLarge {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        },
        Failure::Said(error) => BusError::Unavailable { cause: Cause::of(&error) },
        Failure::Away { cause, .. } | Failure::Unreached { cause } | Failure::Nonsense(cause) => {
            BusError::Unavailable { cause }
        }
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(bytes).map_err(|error| refused(Failure::Nonsense(Cause::of(&error))))
}
