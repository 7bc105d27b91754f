//! What is new in the topics that somebody of this process reads: one connection that waits for all of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, RedisResult, Value};
use runtime_codec::decode_event;
use runtime_traits::Tenant;
use runtime_traits::bus::{BusError, Delivery, Listener, Live, Pattern, Position};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::journal::{entries, last_of, read};
use super::link::{Link, text};
use super::{keys, server};
use crate::core::{Core, REPLIES};
use crate::journal::Place;
use crate::live::Reader;
use crate::marks::Marks;
use crate::steady::steady_now;
use crate::watch::Watches;

/// How long the server is asked to wait for what is new.
const BLOCK: Duration = Duration::from_millis(500);
/// How long it may take to answer beyond that.
const GRACE: Duration = Duration::from_secs(5);
/// How long a topic is left out of which nothing can be read.
const ASIDE: Duration = Duration::from_secs(5);
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
    /// The topics that somebody reads.
    topics: Mutex<HashMap<Place, Followed>>,
    /// The number of the connection that waits, to interrupt it; -1 when there is none.
    waits: AtomicI64,
}

/// A topic that somebody reads.
struct Followed {
    seen: watch::Sender<Seen>,
    marks: Marks,
    /// Nothing of it can be read; until when nobody tries.
    aside: Option<Instant>,
}

/// How far a topic was seen.
#[derive(Clone, Copy, PartialEq)]
struct Seen {
    /// The last place.
    last: u64,
    /// Another number each time when whoever waits is to look at the topic itself.
    turn: u64,
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
            let life = self.link.lives();
            let last = last_of(&self.link, &place).await?.0;
            let seen = self.watch(&place, last);
            self.interrupt().await;
            // What was published before is not for this reader.
            self.wait_for(seen, last, life).await;
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

    /// Waits until a topic has more than `last`, or the server is not in this life any more.
    pub(super) async fn beyond(&self, place: &Place, last: u64, life: u64) {
        let seen = self.watch(place, last);
        if seen.borrow().last <= last {
            self.interrupt().await;
        }
        self.wait_for(seen, last + 1, life).await;
    }

    /// Waits until a topic was seen up to `place`, or the server is not in this life any more, or the hub ends.
    async fn wait_for(&self, mut seen: watch::Receiver<Seen>, place: u64, life: u64) {
        let turn = seen.borrow().turn;
        // The link knows of a new life before those who wait here are told.
        if self.link.lives() == life {
            let _ = seen.wait_for(|seen| seen.last >= place || seen.turn != turn).await;
        }
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
            topics.entry(place.clone()).or_insert_with(|| Followed::from(last));
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
    fn watch(&self, place: &Place, last: u64) -> watch::Receiver<Seen> {
        let mut topics = self.lock();
        let watched = topics.entry(place.clone());
        watched.or_insert_with(|| Followed::from(last)).seen.subscribe()
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
        let (mut pause, mut life) = (PAUSES.0, None);
        loop {
            let error = self.wait_on_one_connection(&mut announced, &mut life, &mut pause).await;
            self.waits.store(-1, Ordering::Relaxed);
            tracing::warn!(error, "the connection that waits for events is made again");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Waits until the connection ends, and says why. The pauses begin anew with each answer.
    async fn wait_on_one_connection(
        &self,
        announced: &mut String,
        life: &mut Option<String>,
        pause: &mut Duration,
    ) -> String {
        let waiting = async {
            let mut connection = self.link.connection(None).await.map_err(|error| error.to_string())?;
            let said = |error: RedisError| error.to_string();
            let id: RedisResult<i64> = ask(&mut connection, redis::cmd("CLIENT").arg("ID"), GRACE).await?;
            let id = id.map_err(said)?;
            let info: RedisResult<String> =
                ask(&mut connection, redis::cmd("INFO").arg("server"), GRACE).await?;
            let info = info.map_err(said)?;
            let now = server::life(&info);
            if life.as_ref().is_some_and(|known| *known != now) {
                self.look_again().await.map_err(|error| error.to_string())?;
            }
            *life = Some(now);
            self.waits.store(id, Ordering::Relaxed);
            loop {
                self.wait_once(&mut connection, announced).await?;
                *pause = PAUSES.0;
            }
        };
        let ended: Result<Infallible, String> = waiting.await;
        let Err(error) = ended;
        error
    }

    /// The server began anew, and may have lost what it answered for: goes back to where topics are what they were.
    async fn look_again(&self) -> Result<(), BusError> {
        for (place, seen) in self.wanted() {
            let marks = self.lock().get(&place).map(|followed| followed.marks.clone()).unwrap_or_default();
            let common = match self.common(&place, &marks).await {
                Ok(common) => common.min(seen),
                Err(error) if error.is_transient() => return Err(error),
                // What cannot be read is seen to when that is tried.
                Err(_) => continue,
            };
            if common < seen {
                tracing::error!(topic = %place.topic, common, "the server has lost events that it had answered for");
                self.core.lose(&place.tenant, &place.topic, seen - common);
            }
            if let Some(followed) = self.lock().get_mut(&place) {
                followed.marks.go_back(common);
                followed.seen.send_modify(|seen| *seen = Seen { last: common, turn: seen.turn + 1 });
            }
        }
        Ok(())
    }

    /// The last place up to which a topic is what it was.
    async fn common(&self, place: &Place, marks: &Marks) -> Result<u64, BusError> {
        let common = marks.common(|from| read(&self.link, place, from, 1)).await?;
        Ok(common.unwrap_or(last_of(&self.link, place).await?.0))
    }

    /// Waits for what is new, not for long, and hands it out.
    async fn wait_once(
        &self,
        connection: &mut MultiplexedConnection,
        announced: &mut String,
    ) -> Result<(), String> {
        let places = self.wanted();
        let mut ids: Vec<String> = places.iter().map(|(_, seen)| format!("0-{seen}")).collect();
        ids.insert(0, announced.clone());
        let mut streams: Vec<String> = places.iter().map(|(place, _)| keys::stream(place)).collect();
        streams.insert(0, keys::ANNOUNCED.to_owned());
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        cmd.arg("STREAMS").arg(&streams).arg(&ids);
        let news = match ask(connection, &cmd, BLOCK + GRACE).await? {
            Ok(Value::Array(news)) => news,
            Ok(_) => return Ok(()),
            Err(error) => {
                let may_pass = server::meaning(&error).is_transient();
                let found = !may_pass && self.set_aside(places).await.map_err(|error| error.to_string())?;
                return if found { Ok(()) } else { Err(error.to_string()) };
            }
        };
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
        Ok(())
    }

    /// Leaves out for a moment what cannot be read, so that it holds up nothing else. Whether there is any such topic.
    async fn set_aside(&self, places: Vec<(Place, u64)>) -> Result<bool, BusError> {
        let mut any = false;
        for (place, _) in places {
            match read(&self.link, &place, Position::FIRST, 1).await {
                Ok(_) => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    any = true;
                    tracing::error!(topic = %place.topic, %error, "nothing is heard of a topic");
                    if let Some(followed) = self.lock().get_mut(&place) {
                        followed.aside = Some(steady_now() + ASIDE);
                        followed.seen.send_modify(|seen| seen.turn += 1);
                    }
                }
            }
        }
        Ok(any)
    }

    /// The topics that somebody reads, with the last place that was seen. The others are let go.
    fn wanted(&self) -> Vec<(Place, u64)> {
        let mut topics = self.lock();
        topics.retain(|place, followed| {
            followed.seen.receiver_count() > 0
                || self.core.readers_of(&place.tenant, &place.topic) > 0
                || self.is_watched(place)
        });
        let now = steady_now();
        let may_be_read = |followed: &Followed| followed.aside.is_none_or(|until| until <= now);
        let read = topics.iter().filter(|(_, followed)| may_be_read(followed));
        read.map(|(place, followed)| (place.clone(), followed.seen.borrow().last)).collect()
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
        let mut mark = None;
        for (Position(position), entry) in found {
            if position > seen + 1 {
                self.core.lose(&place.tenant, &place.topic, position - seen - 1);
            }
            seen = position;
            match decode_event(entry) {
                Ok((_, event)) => {
                    mark = Some((Position(position), event.id));
                    self.core.deliver(&Arc::new(event), None).await;
                }
                Err(error) => {
                    tracing::error!(topic = %place.topic, position, %error, "an event cannot be read");
                    self.core.lose(&place.tenant, &place.topic, 1);
                }
            }
        }
        if let Some(followed) = self.lock().get_mut(place) {
            if let Some((position, id)) = mark {
                followed.marks.put(position, id);
            }
            followed.seen.send_modify(|known| known.last = seen);
        }
        self.watches.tell(place);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Followed>> {
        // Every change is whole before anything can panic.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    /// From behind `last` on.
    fn from(last: u64) -> Self {
        Self { seen: watch::Sender::new(Seen { last, turn: 0 }), marks: Marks::default(), aside: None }
    }
}

async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    cmd: &redis::Cmd,
    within: Duration,
) -> Result<RedisResult<T>, String> {
    timeout(within, cmd.query_async(connection)).await.map_err(|_| "the server does not answer".to_owned())
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
