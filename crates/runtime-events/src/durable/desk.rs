//! All durable subscriptions of a bus in this process, and the tasks that work for them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use runtime_traits::bus::{BusError, Durable, Page, Position, Start};
use runtime_traits::clock::UnixMillis;
use runtime_traits::error::Cause;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cursor::{Cursor, Joined, same_settings};
use super::member::Member;
use super::retention::below;
use super::window::blank;
use crate::core::Core;
use crate::journal::{CursorName, Journal, Place, find};

/// After how many events a topic is looked through for what is no longer kept.
const TRIM_EVERY: u64 = 64;
/// How often topics that were written to are looked through all the same.
const SWEEP: Duration = Duration::from_secs(60);
/// How many topics are remembered for that.
const REMEMBERED: usize = 4_096;

/// All durable subscriptions of a bus in this process.
pub(crate) struct Desk {
    core: Arc<Core>,
    journal: Arc<dyn Journal>,
    cursors: Mutex<HashMap<CursorName, Arc<Cursor>>>,
    /// One for each cursor, and the one that trims.
    tasks: Mutex<JoinSet<()>>,
    to_trim: mpsc::Sender<Place>,
    /// Taken by the task that trims, which begins with the first durable event.
    trimming: Mutex<Option<mpsc::Receiver<Place>>>,
}

impl Desk {
    pub(crate) fn new(core: Arc<Core>, journal: Arc<dyn Journal>) -> Arc<Self> {
        let (to_trim, trimming) = mpsc::channel(64);
        Arc::new(Self {
            core,
            journal,
            cursors: Mutex::default(),
            tasks: Mutex::default(),
            to_trim,
            trimming: Mutex::new(Some(trimming)),
        })
    }

    /// Becomes the reader of a durable subscription, or a member of its group.
    pub(crate) async fn open(self: &Arc<Self>, durable: &Durable) -> Result<Member, BusError> {
        self.core.retention(&durable.topic)?;
        let name =
            CursorName { place: Place::new(&durable.tenant, &durable.topic), name: durable.name.clone() };
        loop {
            let cursor = match lock(&self.cursors).entry(name.clone()) {
                Entry::Occupied(known) => Arc::clone(known.get()),
                Entry::Vacant(free) => {
                    let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.core.settings.clock));
                    let cursor = Cursor::new(name.clone(), durable, journal, clock);
                    Arc::clone(free.insert(Arc::new(cursor)))
                }
            };
            let opened = cursor.opened.get_or_try_init(|| self.begin(&cursor, durable)).await;
            if let Err(error) = opened {
                self.forget(&cursor);
                return Err(error);
            }
            match cursor.join(durable)? {
                Joined::Member(number) => return Ok(Member { cursor, number, desk: Arc::downgrade(self) }),
                Joined::Closing => {
                    let mut gone = cursor.gone.subscribe();
                    // The sender is the cursor's own.
                    let _ = gone.wait_for(|gone| *gone).await;
                }
            }
        }
    }

    /// Takes the cursor, makes it if there is none, and lets its task begin.
    async fn begin(self: &Arc<Self>, cursor: &Arc<Cursor>, durable: &Durable) -> Result<(), BusError> {
        let (mut claim, kept) = self.journal.claim(&cursor.name).await?;
        let found = match kept {
            Some(kept) => same_settings(durable, &kept).map(|()| kept),
            None => match self.starting_place(&cursor.name.place, durable.start).await {
                Err(error) => Err(error),
                Ok(start) => {
                    let mut record = blank(durable.group, &durable.retry);
                    record.done = start.0 - 1;
                    self.journal.save(&cursor.name, &mut claim, &record).await.map(|()| record)
                }
            },
        };
        let record = match found {
            Ok(record) => record,
            Err(error) => {
                self.journal.release(&cursor.name, claim).await;
                return Err(error);
            }
        };
        cursor.go_on(&record);
        // Somebody whose turn failed may have taken it out meanwhile.
        lock(&self.cursors).entry(cursor.name.clone()).or_insert_with(|| Arc::clone(cursor));
        let (desk, cursor) = (Arc::downgrade(self), Arc::clone(cursor));
        self.spawn(async move {
            cursor.work(claim).await;
            if let Some(desk) = desk.upgrade() {
                desk.forget(&cursor);
            }
            cursor.gone.send_replace(true);
        });
        Ok(())
    }

    async fn starting_place(&self, place: &Place, start: Start) -> Result<Position, BusError> {
        match start {
            Start::Earliest => {
                Ok(self.journal.read(place, Position::FIRST, 1).await?.first.max(Position::FIRST))
            }
            Start::Latest => Ok(self.journal.read(place, Position::FIRST, 1).await?.next),
            Start::At(position) => self
                .page(place, position.max(Position::FIRST), 1)
                .await
                .map(|_| position.max(Position::FIRST)),
            Start::Since(time) => find(&*self.journal, place, time).await,
        }
    }

    /// A page that begins where it was asked for.
    pub(crate) async fn page(&self, place: &Place, from: Position, limit: u32) -> Result<Page, BusError> {
        let page = self.journal.read(place, from, limit).await?;
        if page.first > from && from < page.next {
            return Err(BusError::BeforeRetention {
                topic: place.topic.clone(),
                asked: from,
                first: page.first,
            });
        }
        Ok(page)
    }

    /// Takes notice of an event that was appended: now and then its topic is trimmed.
    pub(crate) fn appended(self: &Arc<Self>, place: Place, position: Position) {
        if position.0.is_multiple_of(TRIM_EVERY) || position == Position::FIRST {
            if let Some(trimming) = lock(&self.trimming).take() {
                self.spawn(trim_all(Arc::downgrade(self), trimming));
            }
            // Where many topics wait for it, this one's turn comes with its next events.
            let _ = self.to_trim.try_send(place);
        }
    }

    async fn trim(&self, place: &Place) -> Result<(), BusError> {
        let retention = self.core.retention(&place.topic)?;
        let page = self.journal.read(place, Position::FIRST, 1).await?;
        let old = match retention.age {
            None => None,
            Some(age) => {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                let oldest = UnixMillis(self.core.settings.clock.now().0.saturating_sub(age));
                Some(find(&*self.journal, place, oldest).await?)
            }
        };
        let here = {
            let cursors = lock(&self.cursors);
            cursors
                .values()
                .filter(|cursor| cursor.name.place == *place)
                .map(|cursor| cursor.done_up_to())
                .min()
        };
        let elsewhere = self.journal.slowest_elsewhere(place).await?;
        let slowest = [here, elsewhere].into_iter().flatten().min();
        let below = below(&retention, page.next, old, slowest);
        if below > page.first {
            self.journal.trim(place, below).await?;
        }
        Ok(())
    }

    fn forget(&self, cursor: &Arc<Cursor>) {
        let mut cursors = lock(&self.cursors);
        if cursors.get(&cursor.name).is_some_and(|known| Arc::ptr_eq(known, cursor)) {
            cursors.remove(&cursor.name);
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        // What has ended is let go.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Trims the topics that are named, and once in a while all that were.
async fn trim_all(desk: Weak<Desk>, mut named: mpsc::Receiver<Place>) {
    let mut known: HashSet<Place> = HashSet::new();
    loop {
        let places = match timeout(SWEEP, named.recv()).await {
            Ok(None) => return,
            Ok(Some(place)) => {
                if known.len() < REMEMBERED {
                    known.insert(place.clone());
                }
                vec![place]
            }
            Err(_) => known.iter().cloned().collect(),
        };
        let Some(desk) = desk.upgrade() else { return };
        for place in places {
            if let Err(error) = desk.trim(&place).await {
                tracing::warn!(topic = %place.topic, %error, "a durable topic cannot be trimmed");
            }
        }
    }
}

pub(super) fn bus_is_gone() -> BusError {
    BusError::Unavailable { cause: Cause::says("the bus is gone") }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for cursor in lock(&self.cursors).values() {
            cursor.end(bus_is_gone());
        }
    }
}
