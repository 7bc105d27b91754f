//! Durable topics in a state store: a log for each topic, a cell for each cursor.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use runtime_codec::{CursorRecord, decode, decode_event, encode, encode_event, keys};
use runtime_traits::bus::{BusError, Event, Kept, Page, Pattern, Position, Topic};
use runtime_traits::clock::Entropy;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, BatchId, Committed, Durability, Key, Log, Revision, Seq, StateError, StateStore, Then, When,
};
use runtime_traits::{Name, Pool, Tenant};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::xxh3_128;

use crate::core::Core;
use crate::journal::{Claim, CursorName, Journal, Place};
use crate::watch::{Watch, Watches};

/// How many topics are listed at once.
const TOPICS: u32 = 256;
/// How long a store that fails is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pauses between tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// Durable topics in a state store, for the readers of one process.
///
/// What it writes carries no fence: anybody may publish. A cursor is written on condition that nobody else wrote it.
pub(crate) struct StoreJournal {
    store: Arc<dyn StateStore>,
    pool: Pool,
    durability: Durability,
    core: Arc<Core>,
    /// Whom to tell that a topic has grown.
    bells: Mutex<HashMap<Place, Weak<Notify>>>,
    /// Whom to tell that one of many topics has grown.
    watches: Watches,
}

impl StoreJournal {
    pub(crate) fn new(
        store: Arc<dyn StateStore>,
        pool: Pool,
        durability: Durability,
        core: Arc<Core>,
    ) -> Self {
        Self { store, pool, durability, core, bells: Mutex::default(), watches: Watches::default() }
    }

    /// Applies one batch. While it is not known what became of it the same batch is submitted again.
    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        let unknown = StateError::Unknown { batch: batch.id.0 };
        patiently(unknown, || self.store.commit(batch.clone())).await
    }

    fn batch(&self, id: BatchId, partition: Partition, when: Vec<When>, then: Vec<Then>) -> Batch {
        Batch { id, partition, fence: None, when, then, durability: self.durability }
    }

    fn new_id(&self) -> BatchId {
        BatchId(u128::from_le_bytes(self.random()))
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let entropy: &dyn Entropy = &*self.core.settings.entropy;
        entropy.fill(&mut bytes);
        bytes
    }

    /// A cursor as it is kept, and the commit that wrote it.
    async fn kept(&self, name: &CursorName) -> Result<Option<(Revision, CursorRecord)>, BusError> {
        let key = self.key(name);
        let cells =
            patiently(silent(), || self.store.get(std::slice::from_ref(&key))).await.map_err(of_store)?;
        let Some(cell) = cells.into_iter().next().flatten() else { return Ok(None) };
        let record = decode::<CursorRecord>(&cell.value).map_err(|error| name.damaged(&error))?;
        Ok(Some((cell.revision, record)))
    }

    fn key(&self, name: &CursorName) -> Key {
        keys::pattern_subscription(self.pool, &name.tenant, &name.topics, &name.name)
    }

    fn log(&self, place: &Place) -> Log {
        keys::topic(self.pool, &place.tenant, &place.topic)
    }

    fn bell(&self, place: &Place) -> Arc<Notify> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(place).and_then(Weak::upgrade) {
            return bell;
        }
        bells.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        bells.insert(place.clone(), Arc::downgrade(&bell));
        bell
    }

    fn ring(&self, place: &Place) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(place).and_then(Weak::upgrade) {
            bell.notify_waiters();
        }
        drop(bells);
        self.watches.tell(place);
    }
}

#[async_trait]
impl Journal for StoreJournal {
    async fn append(&self, event: &Arc<Event>) -> Result<(Position, usize), BusError> {
        let place = Place::of(event);
        let log = self.log(&place);
        let entry = encode_event(self.core.settings.clock.now(), event);
        let then = vec![Then::Append(log.clone(), vec![entry])];
        // The batch has the event's id, so that the same event is the same batch.
        let id = BatchId(xxh3_128(&[&event.id.to_bytes()[..], log.path.as_bytes()].concat()));
        let committed = self.commit(self.batch(id, log.partition, Vec::new(), then)).await;
        let committed = committed.map_err(|error| match error {
            StateError::Unknown { .. } => BusError::Unknown { id: event.id, cause: Cause::of(&error) },
            StateError::TooLarge { limit, .. } => {
                BusError::TooLarge { size: event.size(), limit: usize::try_from(limit).unwrap_or(usize::MAX) }
            }
            error => of_store(error),
        })?;
        let position = committed.appended.last().map_or(Position::FIRST, |seq| Position(seq.0));
        self.ring(&place);
        let block = self.core.rule(&event.topic).and_then(|rule| rule.block);
        Ok((position, self.core.deliver(event, block).await))
    }

    async fn read(&self, place: &Place, from: Position, limit: u32) -> Result<Page, BusError> {
        let log = self.log(place);
        let tail =
            patiently(silent(), || self.store.read(&log, Seq(from.0), limit)).await.map_err(of_store)?;
        let mut events = Vec::with_capacity(tail.entries.len());
        for (nth, entry) in tail.entries.iter().enumerate() {
            let position = Position(tail.first.0 + nth as u64);
            let (at, event) = decode_event(entry).map_err(|error| damaged(place, &error))?;
            events.push(Kept { position, at, event: Arc::new(event) });
        }
        Ok(Page { first: Position(tail.first.0), next: Position(tail.next.0), events })
    }

    async fn trim(&self, place: &Place, below: Position) -> Result<(), BusError> {
        let log = self.log(place);
        let partition = log.partition;
        let then = vec![Then::Trim(log, Seq(below.0))];
        self.commit(self.batch(self.new_id(), partition, Vec::new(), then)).await.map_err(of_store)?;
        Ok(())
    }

    async fn claim(&self, name: &CursorName) -> Result<(Claim, Option<CursorRecord>), BusError> {
        let (revision, record) = self.kept(name).await?.unzip();
        Ok((Claim::Written(self.random(), revision), record))
    }

    async fn save(
        &self,
        name: &CursorName,
        claim: &mut Claim,
        record: &CursorRecord,
    ) -> Result<(), BusError> {
        let key = self.key(name);
        let (writer, written) = match claim {
            Claim::Written(writer, written) => (*writer, written),
            #[cfg(feature = "redis")]
            Claim::Token(_) => return Err(name.taken()),
        };
        let when = match written {
            None => When::Absent(key.clone()),
            Some(revision) => When::Revision(key.clone(), *revision),
        };
        let record = CursorRecord { writer, ..record.clone() };
        let batch =
            self.batch(self.new_id(), key.partition, vec![when], vec![Then::Put(key, encode(&record))]);
        match self.commit(batch).await {
            Ok(committed) => {
                *written = Some(committed.revision);
                Ok(())
            }
            Err(StateError::Conflict { .. }) => {
                // It may be this process's own, of which it was never told.
                let Some((revision, found)) = self.kept(name).await? else { return Err(name.taken()) };
                *written = Some(revision);
                if found == record { Ok(()) } else { Err(name.taken()) }
            }
            Err(error) => Err(of_store(error)),
        }
    }

    async fn release(&self, _: &CursorName, _: Claim) {}

    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn grown(&self, place: &Place, page: &Page, _: u64) {
        let bell = self.bell(place);
        let mut rung = std::pin::pin!(bell.notified());
        rung.as_mut().enable();
        // What was appended since is not rung for again.
        let log = self.log(place);
        match self.store.read(&log, Seq(page.next.0), 1).await {
            Ok(tail) if tail.next.0 <= page.next.0 => rung.await,
            _ => {}
        }
    }

    async fn slowest_elsewhere(&self, _: &Place) -> Result<Option<Position>, BusError> {
        Ok(None)
    }

    async fn topics(&self, tenant: &Tenant, pattern: &Pattern) -> Result<Vec<Topic>, BusError> {
        let partitions = patiently(silent(), || self.store.partitions()).await.map_err(of_store)?;
        let mut topics = Vec::new();
        // A tenant's topics are in all of them.
        for partition in partitions.into_iter().filter(|partition| partition.pool == self.pool) {
            let (under, mut after) = (keys::topics(partition, tenant), None);
            loop {
                let page = patiently(silent(), || self.store.logs(&under, after.as_ref(), TOPICS));
                let page = page.await.map_err(of_store)?;
                let names = page.iter().filter_map(|extent| keys::topic_of(&extent.log));
                topics.extend(names.filter(|topic| pattern.matches(topic)));
                let is_last = page.len() < TOPICS as usize;
                after = page.into_iter().next_back().map(|extent| extent.log);
                if is_last {
                    break;
                }
            }
        }
        Ok(topics)
    }

    fn watch(&self, tenant: &Tenant, pattern: &Pattern) -> Arc<Watch> {
        self.watches.watch(tenant, pattern)
    }

    async fn behind(&self, tenant: &Tenant, name: &Name, topics: &[Topic]) -> Result<Vec<Topic>, BusError> {
        let mut behind = Vec::new();
        for topic in topics {
            let name =
                CursorName { tenant: tenant.clone(), topics: topic.clone().into(), name: name.clone() };
            let next = self.kept(&name).await?.map_or(1, |(_, record)| record.done + 1);
            let log = self.log(&Place::new(tenant, topic));
            let tail = patiently(silent(), || self.store.read(&log, Seq(next), 1)).await.map_err(of_store)?;
            if tail.next.0 > next {
                behind.push(topic.clone());
            }
        }
        Ok(behind)
    }
}

/// Asks until there is an answer that stays, as long as a caller should wait. Where there is none it is what was in doubt,
/// or `silent`.
async fn patiently<T, F>(silent: StateError, ask: impl Fn() -> F) -> Result<T, StateError>
where
    F: Future<Output = Result<T, StateError>>,
{
    let mut doubt = None;
    let trying = async {
        let mut pause = PAUSES.0;
        loop {
            match ask().await {
                // Once it was unknown it stays so, until an answer comes.
                Err(error) if error.is_transient() && !matches!(doubt, Some(StateError::Unknown { .. })) => {
                    doubt = Some(error);
                }
                Err(error) if error.is_transient() => {}
                answer => return answer,
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    };
    match timeout(PATIENCE, trying).await {
        Ok(answer) => answer,
        Err(_) => Err(doubt.unwrap_or(silent)),
    }
}

pub(crate) fn damaged(place: &Place, error: &dyn std::error::Error) -> BusError {
    BusError::Damaged { what: format!("topic `{}` of tenant `{}`: {error}", place.topic, place.tenant) }
}

fn silent() -> StateError {
    StateError::Unavailable {
        retry_after: None,
        cause: Cause::says(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn of_store(error: StateError) -> BusError {
    match error {
        StateError::Damaged { what } => BusError::Damaged { what },
        error => BusError::Unavailable { cause: Cause::of(&error) },
    }
}

impl fmt::Debug for StoreJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreJournal").field("store", &self.store).finish_non_exhaustive()
    }
}
