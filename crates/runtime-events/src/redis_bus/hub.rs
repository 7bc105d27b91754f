//! What is new in the topics that somebody of this process reads: one connection that waits for all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use runtime_codec::decode_event;
use runtime_traits::Tenant;
use runtime_traits::bus::{BusError, Delivery, Listener, Live, Pattern, Position};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::journal::{entries, last_of};
use super::keys;
use super::link::{Link, text};
use crate::core::{Core, REPLIES};
use crate::journal::Place;
use crate::live::Reader;
use crate::watch::Watches;

/// How long the server is asked to wait for what is new.
const BLOCK: Duration = Duration::from_millis(500);
/// How long it may take to answer beyond that.
const GRACE: Duration = Duration::from_secs(5);
/// How many events of a topic are taken at once.
const COUNT: usize = 512;
/// The pauses between connections.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What is new in the topics that somebody of this process reads.
pub(super) struct Hub {
    link: Arc<Link>,
    core: Arc<Core>,
    /// Who wants to know of what grows in many topics.
    watches: Watches,
    /// The topics that somebody reads, with the last place that was seen.
    topics: Mutex<HashMap<Place, watch::Sender<u64>>>,
    /// The number of the connection that waits, to interrupt it; -1 when there is none.
    waits: AtomicI64,
}

/// A live reader over Redis.
#[derive(Debug)]
pub(super) struct RedisListener(Reader);

impl Hub {
    pub(super) fn new(link: Arc<Link>, core: Arc<Core>) -> Self {
        Self { link, core, watches: Watches::default(), topics: Mutex::default(), waits: AtomicI64::new(-1) }
    }

    /// Subscribes to what is published from now on, here and elsewhere.
    pub(super) async fn listen(&self, live: Live) -> Result<RedisListener, BusError> {
        let (tenant, pattern) = (live.tenant.clone(), live.pattern.clone());
        for place in self.places(&tenant, &pattern).await? {
            let last = last_of(&self.link, &place).await?.0;
            let mut seen = self.watch(&place, last);
            self.interrupt().await;
            // What was published before is not for this reader.
            let _ = seen.wait_for(|seen| *seen >= last).await;
        }
        let reader = self.core.listen(live);
        // What came to be meanwhile.
        for place in self.places(&tenant, &pattern).await? {
            if !self.lock().contains_key(&place) {
                let last = last_of(&self.link, &place).await?.0;
                self.watch(&place, last);
            }
        }
        self.interrupt().await;
        Ok(RedisListener(reader))
    }

    /// Waits until a topic has more than `last`.
    pub(super) async fn beyond(&self, place: &Place, last: u64) {
        let mut seen = self.watch(place, last);
        if *seen.borrow() <= last {
            self.interrupt().await;
        }
        // It ends early when the hub does.
        let _ = seen.wait_for(|seen| *seen > last).await;
    }

    pub(super) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Reads topics that are watched from behind these places on, if nobody does so yet.
    pub(super) async fn follow(&self, stands: impl Iterator<Item = (&Place, u64)>) {
        let mut new = false;
        for (place, last) in stands.filter(|(place, _)| self.is_watched(place)) {
            let mut topics = self.lock();
            new |= !topics.contains_key(place);
            topics.entry(place.clone()).or_insert_with(|| watch::Sender::new(last));
        }
        if new {
            self.interrupt().await;
        }
    }

    /// Whether somebody wants to know when a topic grows, and it is kept.
    fn is_watched(&self, place: &Place) -> bool {
        self.watches.want(place) && self.core.retention(&place.topic).is_ok()
    }

    /// The topics of a tenant that match.
    pub(super) async fn places(&self, tenant: &Tenant, pattern: &Pattern) -> Result<Vec<Place>, BusError> {
        if let Some(topic) = pattern.as_topic() {
            return Ok(vec![Place::new(tenant, &topic)]);
        }
        let all: Vec<String> = self.link.command(redis::cmd("SMEMBERS").arg(keys::TOPICS)).await?;
        let places = all.iter().filter_map(|text| keys::place(text));
        Ok(places.filter(|place| place.tenant == *tenant && pattern.matches(&place.topic)).collect())
    }

    /// Reads a topic from behind `last` on, if nobody does so yet.
    fn watch(&self, place: &Place, last: u64) -> watch::Receiver<u64> {
        let mut topics = self.lock();
        let watched = topics.entry(place.clone());
        watched.or_insert_with(|| watch::Sender::new(last)).subscribe()
    }

    /// Lets the connection that waits look at what it should wait for. If it is missed it looks soon by itself.
    async fn interrupt(&self) {
        let id = self.waits.load(Ordering::Relaxed);
        if id >= 0 {
            let _ = self.link.command::<u8>(redis::cmd("CLIENT").arg("UNBLOCK").arg(id)).await;
        }
    }

    /// The last announcement. Later ones are read; what was announced before is asked for.
    pub(super) async fn last_announcement(&self) -> Result<String, BusError> {
        let mut cmd = redis::cmd("XREVRANGE");
        cmd.arg(keys::ANNOUNCED).arg("+").arg("-").arg("COUNT").arg(1);
        let last: Value = self.link.command(&cmd).await?;
        Ok(first_id(&last).unwrap_or_else(|| "0-0".to_owned()))
    }

    /// Waits for what is new behind this announcement, for ever.
    pub(super) async fn work(self: Arc<Self>, mut announced: String) {
        let mut pause = PAUSES.0;
        loop {
            match self.wait_on_one_connection(&mut announced).await {
                Ok(()) => pause = PAUSES.0,
                Err(error) => {
                    tracing::warn!(error, "the connection that waits for events is made again");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
            self.waits.store(-1, Ordering::Relaxed);
        }
    }

    /// Ends when the connection does.
    async fn wait_on_one_connection(&self, announced: &mut String) -> Result<(), String> {
        let mut connection = self.link.connection(None).await.map_err(|error| error.to_string())?;
        let said = |error: RedisError| error.to_string();
        let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await.map_err(said)?;
        self.waits.store(id, Ordering::Relaxed);
        loop {
            let places = self.wanted();
            let mut ids: Vec<String> = places.iter().map(|(_, seen)| format!("0-{seen}")).collect();
            ids.insert(0, announced.clone());
            let mut streams: Vec<String> = places.iter().map(|(place, _)| keys::stream(place)).collect();
            streams.insert(0, keys::ANNOUNCED.to_owned());
            let news = self.ask(&mut connection, &streams, &ids).await?;
            let Value::Array(news) = news else { continue };
            for one in &news {
                let Value::Array(parts) = one else { continue };
                let [stream, found] = &parts[..] else { continue };
                let stream = text(stream).unwrap_or_default();
                if stream == keys::ANNOUNCED {
                    self.take_announcements(found, announced);
                } else if let Some(nth) = streams.iter().position(|known| known == stream) {
                    let (place, seen) = &places[nth - 1];
                    self.take(place, *seen, found).await;
                }
            }
        }
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        streams: &[String],
        ids: &[String],
    ) -> Result<Value, String> {
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT")
            .arg(COUNT)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64)
            .arg("STREAMS")
            .arg(streams)
            .arg(ids);
        let answer = timeout(BLOCK + GRACE, cmd.query_async(connection)).await;
        answer
            .map_err(|_| "the server does not answer".to_owned())?
            .map_err(|error: RedisError| error.to_string())
    }

    /// The topics that somebody reads, with the last place that was seen. The others are let go.
    fn wanted(&self) -> Vec<(Place, u64)> {
        let mut topics = self.lock();
        topics.retain(|place, seen| {
            seen.receiver_count() > 0
                || self.core.readers_of(&place.tenant, &place.topic) > 0
                || self.is_watched(place)
        });
        topics.iter().map(|(place, seen)| (place.clone(), *seen.borrow())).collect()
    }

    fn take_announcements(&self, found: &Value, announced: &mut String) {
        let Value::Array(found) = found else { return };
        for entry in found {
            let Value::Array(parts) = entry else { continue };
            let [id, Value::Array(fields)] = &parts[..] else { continue };
            if let Some(id) = text(id) {
                *announced = id.to_owned();
            }
            let place = fields.get(1).and_then(|topic| keys::place(text(topic)?));
            // Answers have their readers before they have events.
            let place = place.filter(|place| place.topic.segments().next() != Some(REPLIES));
            if let Some(place) = place
                && (self.core.readers_of(&place.tenant, &place.topic) > 0 || self.is_watched(&place))
            {
                self.watch(&place, 0);
            }
        }
    }

    /// Hands out what is new in a topic.
    async fn take(&self, place: &Place, mut seen: u64, found: &Value) {
        let Some(found) = entries(found) else {
            tracing::error!(topic = %place.topic, "the stream of a topic holds what is no event");
            return;
        };
        for (Position(position), entry) in found {
            if position > seen + 1 {
                self.core.lose(&place.tenant, &place.topic, position - seen - 1);
            }
            seen = position;
            match decode_event(entry) {
                Ok((_, event)) => {
                    self.core.deliver(&Arc::new(event), None).await;
                }
                Err(error) => {
                    tracing::error!(topic = %place.topic, position, %error, "an event cannot be read");
                    self.core.lose(&place.tenant, &place.topic, 1);
                }
            }
        }
        if let Some(watched) = self.lock().get(place) {
            watched.send_replace(seen);
        }
        self.watches.tell(place);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, watch::Sender<u64>>> {
        // Every change is whole before anything can panic.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of the first entry.
fn first_id(value: &Value) -> Option<String> {
    let Value::Array(entries) = value else { return None };
    let Value::Array(parts) = entries.first()? else { return None };
    text(parts.first()?).map(str::to_owned)
}

impl Listener for RedisListener {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll_next(cx)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("topics", &self.lock().len()).finish_non_exhaustive()
    }
}
