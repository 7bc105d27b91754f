//! Topics as streams, and cursors as hashes with a lease.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use runtime_codec::{CursorRecord, decode, decode_event, encode, encode_event};
use runtime_traits::bus::{BusError, Event, Kept, Page, Pattern, Position, Topic};
use runtime_traits::clock::Entropy;
use runtime_traits::{Name, Tenant};
use tokio::time::{sleep, timeout};

use super::hub::Hub;
use super::keys;
use super::link::{Link, text};
use super::scripts::Script;
use crate::core::{Core, REPLIES};
use crate::journal::{Claim, CursorName, Journal, Place, Sharing};
use crate::store_journal::damaged;
use crate::watch::Watch;

/// How many ids of a topic's last events are kept, so that each is appended once.
const IDS: &str = "1024";
/// How many events of a topic are held for live readers, where none are kept.
const LIVE: &str = "16384";
/// How long an answer to a request is held, in milliseconds.
const ANSWER: &str = "60000";
/// How many topics are remembered as announced.
const REMEMBERED: usize = 16_384;

/// Topics as streams, and cursors as hashes with a lease.
#[derive(Debug)]
pub(super) struct RedisJournal {
    pub(super) link: Arc<Link>,
    hub: Arc<Hub>,
    core: Arc<Core>,
    /// The topics that were announced, in which life of the server.
    announced: Mutex<(u64, HashSet<Place>)>,
    pub(super) lease: Duration,
}

impl RedisJournal {
    pub(super) fn new(link: Arc<Link>, hub: Arc<Hub>, core: Arc<Core>) -> Self {
        let lease = core.settings.lease;
        Self { link, hub, core, announced: Mutex::default(), lease }
    }

    /// Says that there is this topic, before its first event from here.
    async fn announce(&self, place: &Place) -> Result<(), BusError> {
        if self.announced().1.contains(place) {
            return Ok(());
        }
        let life = self.link.lives();
        let topic = keys::text(place);
        let keys = [keys::TOPICS, keys::ANNOUNCED];
        self.link.script::<u8>(Script::Announce, &keys, &[topic.as_bytes()]).await?;
        let mut announced = self.announced();
        if announced.0 == life && announced.1.len() < REMEMBERED {
            announced.1.insert(place.clone());
        }
        Ok(())
    }

    /// What was announced. A server that began anew may have lost that.
    fn announced(&self) -> MutexGuard<'_, (u64, HashSet<Place>)> {
        // Every change is whole before anything can panic.
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let life = self.link.lives();
        if announced.0 != life {
            *announced = (life, HashSet::new());
        }
        announced
    }

    /// A name for this process, which no other has.
    pub(super) fn token(&self) -> String {
        let mut bytes = [0; 16];
        let entropy: &dyn Entropy = &*self.core.settings.entropy;
        entropy.fill(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

#[async_trait]
impl Journal for RedisJournal {
    async fn append(&self, event: &Arc<Event>) -> Result<(Position, usize), BusError> {
        let place = Place::of(event);
        let is_answer = event.topic.segments().next() == Some(REPLIES);
        if !is_answer {
            self.announce(&place).await?;
        }
        let kept = self.core.rule(&event.topic).is_some_and(|rule| rule.keep.is_some());
        let entry = encode_event(self.core.settings.clock.now(), event);
        let id = event.id.to_bytes();
        let most = if kept { "" } else { LIVE };
        let expires = if is_answer { ANSWER } else { "" };
        let keys = [keys::stream(&place), keys::ids(&place), keys::order(&place)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let args: [&[u8]; 5] = [&id, &entry, IDS.as_bytes(), most.as_bytes(), expires.as_bytes()];
        let appended = self.link.script::<u64>(Script::Append, &keys, &args).await;
        let position = appended.map_err(|error| match error {
            // It may be there.
            BusError::Unavailable { cause } => BusError::Unknown { id: event.id, cause },
            error => about(&place, error),
        })?;
        Ok((Position(position), 0))
    }

    fn life(&self) -> u64 {
        self.link.lives()
    }

    async fn read(&self, place: &Place, from: Position, limit: u32) -> Result<Page, BusError> {
        read(&self.link, place, from, limit).await
    }

    async fn trim(&self, place: &Place, below: Position) -> Result<(), BusError> {
        let mut cmd = redis::cmd("XTRIM");
        cmd.arg(keys::stream(place)).arg("MINID").arg("=").arg(format!("0-{below}"));
        self.link.command::<u64>(&cmd).await.map(drop)
    }

    async fn claim(&self, name: &CursorName) -> Result<(Claim, Option<CursorRecord>), BusError> {
        let token = self.token();
        let (lease, cursor) = (keys::lease(name), keys::cursor(name));
        let ms = self.lease.as_millis().to_string();
        let claiming = async {
            loop {
                let args = [token.as_bytes(), ms.as_bytes()];
                let (won, answer): (u8, Value) =
                    self.link.script(Script::Claim, &[&lease, &cursor], &args).await?;
                match (won, answer) {
                    (1, Value::BulkString(record)) => {
                        let record = decode(&record).map_err(|error| name.damaged(&error))?;
                        return Ok((Claim::Token(token.clone()), Some(record)));
                    }
                    (1, _) => return Ok((Claim::Token(token.clone()), None)),
                    (_, Value::Int(left)) => {
                        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                        sleep(left.clamp(Duration::from_millis(20), Duration::from_millis(500))).await;
                    }
                    _ => return Err(strange_subscription(name)),
                }
            }
        };
        // Who died a moment ago has it no longer than this.
        timeout(self.lease + Duration::from_secs(1), claiming).await.unwrap_or_else(|_| Err(name.busy()))
    }

    async fn save(
        &self,
        name: &CursorName,
        claim: &mut Claim,
        record: &CursorRecord,
    ) -> Result<(), BusError> {
        let Claim::Token(token) = claim else { return Err(name.taken()) };
        let keys = [keys::lease(name), keys::cursor(name), keys::siblings(name)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (ms, done, bytes) = (self.lease.as_millis().to_string(), record.done.to_string(), encode(record));
        let args: [&[u8]; 5] =
            [token.as_bytes(), ms.as_bytes(), &bytes, done.as_bytes(), name.name.as_str().as_bytes()];
        match self.link.script::<u8>(Script::Save, &keys, &args).await? {
            1 => Ok(()),
            _ => Err(name.taken()),
        }
    }

    async fn release(&self, name: &CursorName, claim: Claim) {
        let Claim::Token(token) = claim else { return };
        let lease = keys::lease(name);
        // Where it cannot be given back it runs out.
        let _ = self.link.script::<u8>(Script::Release, &[&lease], &[token.as_bytes()]).await;
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.lease)
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(self)
    }

    async fn grown(&self, place: &Place, page: &Page, life: u64) {
        self.hub.beyond(place, page.next.0.saturating_sub(1), life).await;
    }

    async fn slowest_elsewhere(&self, place: &Place) -> Result<Option<Position>, BusError> {
        let (names, prefix) = (keys::names(place), keys::prefix(place));
        let slowest: String = self.link.script(Script::Slowest, &[&names], &[prefix.as_bytes()]).await?;
        Ok(slowest.parse().ok().map(Position))
    }

    async fn topics(&self, tenant: &Tenant, pattern: &Pattern) -> Result<Vec<Topic>, BusError> {
        Ok(self.hub.places(tenant, pattern).await?.into_iter().map(|place| place.topic).collect())
    }

    fn watch(&self, tenant: &Tenant, pattern: &Pattern) -> Arc<Watch> {
        self.hub.watches().watch(tenant, pattern)
    }

    async fn behind(&self, tenant: &Tenant, name: &Name, topics: &[Topic]) -> Result<Vec<Topic>, BusError> {
        let cursor = |topic: &Topic| CursorName {
            tenant: tenant.clone(),
            topics: topic.clone().into(),
            name: name.clone(),
        };
        let places: Vec<Place> = topics.iter().map(|topic| Place::new(tenant, topic)).collect();
        let turns: Vec<_> = places
            .iter()
            .map(|place| vec![keys::stream(place), keys::cursor(&cursor(&place.topic))])
            .collect();
        let stands: Vec<(u64, u64)> = self.link.each(Script::Stand, &turns).await?;
        // What comes behind these places is told.
        self.hub.follow(places.iter().zip(stands.iter().map(|(last, _)| *last))).await;
        let behind = topics.iter().zip(&stands).filter(|(_, (last, done))| last != done);
        Ok(behind.map(|(topic, _)| topic.clone()).collect())
    }
}

/// At most `limit` events of a topic, those at `from` and later.
pub(super) async fn read(link: &Link, place: &Place, from: Position, limit: u32) -> Result<Page, BusError> {
    let stream = keys::stream(place);
    let mut range = redis::cmd("XRANGE");
    range.arg(&stream).arg(format!("0-{from}")).arg("+").arg("COUNT").arg(limit);
    let read = link.both(&range, Script::Last, &[&stream]).await;
    let (found, last): (Value, u64) = read.map_err(|error| about(place, error))?;
    let mut events = Vec::new();
    for (position, entry) in entries(&found).ok_or_else(|| strange(place))? {
        let (at, event) = decode_event(entry).map_err(|error| damaged(place, &error))?;
        events.push(Kept { position, at, event: Arc::new(event) });
    }
    let next = Position(last).next();
    // What was asked for and is not here is trimmed.
    let first = match events.first() {
        Some(kept) => kept.position,
        None if from < next => next,
        None => from,
    };
    Ok(Page { first, next, events })
}

/// The last place that a topic ever had, also when all of it is trimmed.
pub(super) async fn last_of(link: &Link, place: &Place) -> Result<Position, BusError> {
    link.script(Script::Last, &[&keys::stream(place)], &[]).await.map(Position)
}

/// The entries of a stream as the server sends them: places and bytes.
pub(super) fn entries(value: &Value) -> Option<Vec<(Position, &[u8])>> {
    let Value::Array(entries) = value else { return None };
    entries
        .iter()
        .map(|entry| {
            let Value::Array(parts) = entry else { return None };
            let [id, Value::Array(fields)] = &parts[..] else { return None };
            let [_, Value::BulkString(bytes)] = &fields[..] else { return None };
            Some((position(text(id)?)?, &bytes[..]))
        })
        .collect()
}

fn position(id: &str) -> Option<Position> {
    id.strip_prefix("0-")?.parse().ok().map(Position)
}

/// Says of which topic something cannot be used.
fn about(place: &Place, error: BusError) -> BusError {
    match error {
        BusError::Damaged { what } => {
            BusError::Damaged { what: format!("the stream of `{}`: {what}", keys::text(place)) }
        }
        error => error,
    }
}

pub(super) fn strange_subscription(name: &CursorName) -> BusError {
    BusError::Damaged {
        what: format!("subscription `{}` to `{}`: Redis answers what is none", name.name, name.topics),
    }
}

pub(super) fn strange(place: &Place) -> BusError {
    BusError::Damaged { what: format!("the stream of `{}`: Redis answers what is none", keys::text(place)) }
}
