//! What happens is told on the bus. What the bus keeps rides in the batch of its cause; what is heard at most is published
//! from memory after it; what interests nobody costs nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_codec::{SpecRecord, encode_announced};
use runtime_traits::bus::{Announcer, Bus, Event, EventId, Happening, Interest, Subject, TellingStatus, Who};
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Entry, EntryKind};
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{StateError, Then};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::attempt::READ_AGAIN_AFTER;
use super::commit::{PATIENCE, Patience};
use super::finish::store_error;
use super::held::{Aside, Placed};
use super::inner::Inner;
use super::post::Post;
use super::register::parse_spec;
use super::run_slot::lock;
use crate::engine::announced::{Told, ended_by};
use crate::engine::batches::{Place, Writes};
use crate::engine::keys;
use crate::engine::machine::Outgoing;

/// How many events wait in memory to be published to live readers.
const HEARD: usize = 4_096;
/// How many names of agents are kept in memory.
const NAMES: usize = 65_536;
/// How long the bus may take to publish an event.
pub(super) const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);

/// The bus, and what is on its way there.
#[derive(Debug)]
pub(super) struct Announcing {
    pub(super) bus: Arc<dyn Bus>,
    announcer: Arc<dyn Announcer>,
    /// What agents are called; a copy that may be dropped at any time.
    names: Mutex<HashMap<AgentId, Name>>,
    heard: mpsc::Sender<Event>,
    /// Live events for which there was no room.
    unheard: AtomicU64,
    /// Where there is something to deliver.
    pub(super) post: Post,
    /// Where some of what is not yet said to be delivered may have been.
    pub(super) unsure: Mutex<HashSet<Partition>>,
    /// How many batches are announced and not delivered.
    pub(super) waiting: AtomicU64,
    /// Of partitions where something waits, when the oldest of it happened.
    oldest: Mutex<BTreeMap<Partition, UnixMillis>>,
    /// How many were not announced, or not held aside, because too many waited.
    pub(super) left_out: AtomicU64,
    /// The damaged topics of partitions.
    pub(super) aside: Mutex<BTreeMap<Partition, Aside>>,
    pub(super) delivered: Notify,
}

/// Tells what happens to one agent; or nothing, if it interests nobody.
pub(super) struct Teller<'a>(Option<Known<'a>>);

struct Known<'a> {
    announcing: &'a Announcing,
    tenant: &'a Tenant,
    id: &'a AgentId,
    name: Name,
}

/// The events of a batch that is being committed. It may be there also when nobody waits for the answer any more.
pub(super) struct Announced<'a> {
    announcing: &'a Announcing,
    partition: Partition,
    heard: Vec<Event>,
    kept: bool,
}

impl Announced<'_> {
    /// Sends them on their way.
    pub(super) fn committed(mut self) {
        if std::mem::take(&mut self.kept) {
            self.announcing.post.ring(self.partition);
        }
        for event in self.heard.drain(..) {
            if self.announcing.heard.try_send(event).is_err() {
                self.announcing.unheard.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if self.kept {
            self.announcing.let_go(1);
            self.announcing.post.ring(self.partition);
        }
    }
}

impl Announcing {
    /// With the events that are to be published from memory.
    pub(super) fn new(bus: Arc<dyn Bus>, announcer: Arc<dyn Announcer>) -> (Self, mpsc::Receiver<Event>) {
        let (heard, to_publish) = mpsc::channel(HEARD);
        let announcing = Self {
            bus,
            announcer,
            names: Mutex::default(),
            heard,
            unheard: AtomicU64::new(0),
            post: Post::default(),
            unsure: Mutex::default(),
            waiting: AtomicU64::new(0),
            oldest: Mutex::default(),
            left_out: AtomicU64::new(0),
            aside: Mutex::default(),
            delivered: Notify::new(),
        };
        (announcing, to_publish)
    }

    pub(super) fn is_interested(&self) -> bool {
        self.bus.is_interested(self.announcer.topics())
    }

    /// So many announced batches no longer wait.
    pub(super) fn let_go(&self, batches: u64) {
        let less = |waiting: u64| Some(waiting.saturating_sub(batches));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// The oldest of what waits in a partition; `None`: nothing does.
    pub(super) fn note_oldest(&self, partition: Partition, oldest: Option<&Placed>) {
        let mut all = lock(&self.oldest);
        match oldest {
            Some(placed) => all.insert(partition, placed.event.time),
            None => all.remove(&partition),
        };
    }

    /// How it stands.
    pub(super) fn status(&self) -> TellingStatus {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let held = lock(&self.aside).values().flat_map(Aside::shown).take(TellingStatus::TOPICS).collect();
        TellingStatus {
            waiting,
            since: lock(&self.oldest).values().min().copied().filter(|_| waiting > 0),
            left_out: self.left_out.load(Ordering::Relaxed),
            held,
        }
    }

    /// Remembers what an agent is called.
    pub(super) fn note_name(&self, agent: AgentId, name: &Name) {
        let mut names = lock(&self.names);
        if names.len() >= NAMES {
            names.clear();
        }
        names.insert(agent, name.clone());
    }
}

impl Teller<'_> {
    /// Adds to a batch what happened to the agent, or in one of its runs.
    pub(super) fn tell(&self, told: &mut Told, what: &Happening<'_>, run: Option<RunId>, at: UnixMillis) {
        let Some(Known { announcing, tenant, id, name }) = &self.0 else { return };
        let Some(event) = announcing.announcer.announce(&Subject { id, name }, what) else { return };
        let event = Event { tenant: (*tenant).clone(), run, time: at, ..event };
        match announcing.bus.interest(tenant, &event.topic) {
            Interest::Kept => told.kept.push(event),
            Interest::Heard => told.heard.push(event),
            Interest::Nobody => {}
        }
    }

    /// Adds to a batch what its entries of a run say. Those of a run that ends are the last of its log.
    pub(super) fn tell_run(&self, told: &mut Told, place: &Place, log: &[Entry], entries: &[Entry]) {
        if self.0.is_none() {
            return;
        }
        let (run, session) = (&place.run, &place.session);
        for entry in entries {
            let ended_by = if matches!(entry.kind, EntryKind::Ended(_)) { ended_by(log) } else { None };
            self.tell(told, &Happening::Run { run, session, entry, ended_by }, Some(*run), entry.at);
        }
    }

    /// Adds to a batch of a run what its entries refuse because of a limit.
    pub(super) fn tell_refused(&self, told: &mut Told, run: &RunId, outgoing: &Outgoing) {
        let Some(last) = outgoing.entries.last() else { return };
        for no_room in &outgoing.refused {
            self.tell(told, &Happening::NoRoom { run: Some(run), no_room }, Some(*run), last.at);
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.0.is_none()
    }
}

impl Inner {
    /// Who tells of an agent.
    ///
    /// # Errors
    /// What kept the agent's name from being read.
    pub(super) async fn teller<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a AgentId,
        patience: Patience,
    ) -> Result<Teller<'a>, StateError> {
        let Some(announcing) = self.announcing.as_deref() else { return Ok(Teller(None)) };
        if !announcing.is_interested() {
            return Ok(Teller(None));
        }
        let known = lock(&announcing.names).get(id).cloned();
        let name = match known {
            Some(name) => Some(name),
            // Rare: kept out of the futures of what happens always.
            None => Box::pin(self.read_name(tenant, id, patience)).await.map_err(store_error)?,
        };
        Ok(Teller(name.map(|name| Known { announcing, tenant, id, name })))
    }

    /// Tells what happened to an agent without a batch of its own: what the process that saw it does not live to tell was of that
    /// process alone.
    pub(super) async fn tell_at_once(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        what: &Happening<'_>,
        run: Option<RunId>,
    ) {
        let teller = match self.teller(tenant, agent, Patience::OfCaller).await {
            Ok(teller) => teller,
            Err(error) => return tracing::warn!(%agent, %error, "an event of the agent was not told"),
        };
        let mut told = Told::default();
        teller.tell(&mut told, what, run, self.clock.now());
        let Some(announcing) = &self.announcing else { return };
        for event in told.kept.into_iter().chain(told.heard) {
            if announcing.heard.try_send(event).is_err() {
                announcing.unheard.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What an agent is called; `None`: there is no such agent.
    async fn read_name(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        patience: Patience,
    ) -> Result<Option<Name>, RuntimeError> {
        let key = keys::spec(tenant, agent);
        let until = self.clock.now().after(PATIENCE);
        let mut record = self.record::<SpecRecord>(&key).await;
        while let Err(RuntimeError::Store(error)) = &record
            && error.is_transient()
            && !self.ending.is_cancelled()
            && (patience == Patience::OfRun || self.clock.now() < until)
        {
            tokio::time::sleep(READ_AGAIN_AFTER).await;
            record = self.record::<SpecRecord>(&key).await;
        }
        let Some(record) = record? else { return Ok(None) };
        let name = parse_spec(&record)?.name;
        if let Some(announcing) = &self.announcing {
            announcing.note_name(*agent, &name);
        }
        Ok(Some(name))
    }

    /// Puts the events that are kept into the batch of their cause.
    pub(super) fn announce(&self, partition: Partition, writes: &mut Writes) -> Option<Announced<'_>> {
        let announcing = self.announcing.as_deref()?;
        let Told { mut kept, heard } = std::mem::take(&mut writes.told);
        if !kept.is_empty() && announcing.waiting.load(Ordering::Relaxed) >= self.config.max_announced {
            let before = announcing.left_out.fetch_add(1, Ordering::Relaxed);
            if before.is_multiple_of(1_000) {
                let limit = self.config.max_announced;
                tracing::error!(%partition, limit, left_out = before + 1, "too much waits for the bus; events are left out");
            }
            kept.clear();
        }
        if kept.is_empty() && heard.is_empty() {
            return None;
        }
        if !kept.is_empty() {
            announcing.waiting.fetch_add(1, Ordering::Relaxed);
            let entry = encode_announced(self.clock.now(), &kept);
            writes.then.push(Then::Append(keys::announced(partition), vec![entry]));
        }
        Some(Announced { announcing, partition, heard, kept: !kept.is_empty() })
    }

    /// Publishes to live readers what happened, in its order, until the runtime ends.
    pub(super) async fn keep_telling(self: Arc<Self>, mut events: mpsc::Receiver<Event>) {
        let Some(announcing) = self.announcing.clone() else { return };
        loop {
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                () = self.ending.cancelled() => None,
            };
            let Some(event) = event else { return };
            let id = EventId::mint(self.clock.as_ref(), self.entropy.as_ref());
            let topic = event.topic.clone();
            let publish = announcing.bus.publish(&Who::System, Arc::new(Event { id, ..event }));
            match timeout(PUBLISHED_WITHIN, publish).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%topic, %error, "live readers were not told of an event"),
                Err(_) => {
                    tracing::warn!(%topic, "live readers were not told of an event: the bus is too slow")
                }
            }
            let lost = announcing.unheard.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::warn!(lost, "live readers were not told of events: there were too many at once");
            }
        }
    }
}
