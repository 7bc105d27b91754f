//! All durable subscriptions of a bus in this process, and the tasks that work for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Page, Position, Start, Topic};
use runtime_traits::error::Cause;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::bell::Bell;
use super::cursor::{Cursor, Joined, Keeping};
use super::member::Member;
use super::trimming::{is_time, trim_all};
use super::wanted::{Wanted, same_settings};
use super::window::blank;
use crate::core::Core;
use crate::journal::{CursorName, Journal, Place, find};

/// All durable subscriptions of a bus in this process.
pub(crate) struct Desk {
    pub(super) core: Arc<Core>,
    pub(super) journal: Arc<dyn Journal>,
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
    pub(super) async fn open(
        self: &Arc<Self>,
        wanted: &Wanted,
        bell: Option<Arc<Bell>>,
    ) -> Result<Member, BusError> {
        loop {
            let cursor = match lock(&self.cursors).entry(wanted.name.clone()) {
                Entry::Occupied(known) => Arc::clone(known.get()),
                Entry::Vacant(free) => {
                    let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.core.settings.clock));
                    Arc::clone(free.insert(Arc::new(Cursor::new(wanted, journal, clock))))
                }
            };
            let opened = cursor.opened.get_or_try_init(|| self.begin(&cursor, wanted)).await;
            if let Err(error) = opened {
                self.forget(&cursor);
                return Err(error);
            }
            match cursor.join(wanted, bell.clone())? {
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
    async fn begin(self: &Arc<Self>, cursor: &Arc<Cursor>, wanted: &Wanted) -> Result<(), BusError> {
        let (keeping, record) = self.take(wanted).await?;
        if matches!(keeping, Keeping::Alone(_)) {
            cursor.go_on(&record);
        }
        // Somebody whose turn failed may have taken it out meanwhile.
        lock(&self.cursors).entry(cursor.name.clone()).or_insert_with(|| Arc::clone(cursor));
        let (desk, cursor) = (Arc::downgrade(self), Arc::clone(cursor));
        self.spawn(async move {
            cursor.work(keeping).await;
            if let Some(desk) = desk.upgrade() {
                desk.forget(&cursor);
            }
            cursor.gone.send_replace(true);
        });
        Ok(())
    }

    /// Takes a durable subscription, and makes it if there is none.
    async fn take(&self, wanted: &Wanted) -> Result<(Keeping, CursorRecord), BusError> {
        if let Some(sharing) = self.journal.sharing().filter(|_| wanted.group) {
            let record = match sharing.kept(&wanted.name).await? {
                Some(kept) => kept,
                None => sharing.found(&wanted.name, &self.new_record(wanted).await?).await?,
            };
            same_settings(wanted, &record)?;
            let has_slots = wanted.name.place().is_some();
            let keeping = if has_slots { Keeping::Shared(sharing.new_token()) } else { Keeping::Nothing };
            return Ok((keeping, record));
        }
        let (mut claim, kept) = self.journal.claim(&wanted.name).await?;
        let found = match kept {
            Some(kept) => same_settings(wanted, &kept).map(|()| kept),
            None => match self.new_record(wanted).await {
                Err(error) => Err(error),
                Ok(record) => self.journal.save(&wanted.name, &mut claim, &record).await.map(|()| record),
            },
        };
        match found {
            Ok(record) => Ok((Keeping::Alone(claim), record)),
            Err(error) => {
                self.journal.release(&wanted.name, claim).await;
                Err(error)
            }
        }
    }

    /// The record of a subscription that begins. Before one to a pattern begins its cursors are there in all topics that
    /// there are, so that what comes to be later may begin at its first event.
    async fn new_record(&self, wanted: &Wanted) -> Result<CursorRecord, BusError> {
        let mut record = blank(wanted.group, &wanted.retry);
        match wanted.name.place() {
            Some(place) => record.done = self.starting_place(&place, wanted.start).await?.0 - 1,
            // A cursor that is not there begins at the first event by itself.
            None if wanted.start == Start::Earliest => {}
            None => {
                for topic in self.topics(&wanted.name).await? {
                    self.make(wanted.over(&topic, wanted.start)).await?;
                }
            }
        }
        Ok(record)
    }

    /// Makes a cursor if there is none, and leaves it to others.
    fn make(&self, wanted: Wanted) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            if let (Keeping::Alone(claim), _) = self.take(&wanted).await? {
                self.journal.release(&wanted.name, claim).await;
            }
            Ok(())
        })
    }

    /// The topics that a subscription to a pattern is about, and that have events.
    pub(super) async fn topics(&self, name: &CursorName) -> Result<Vec<Topic>, BusError> {
        let mut topics = self.journal.topics(&name.tenant, &name.topics).await?;
        topics.retain(|topic| self.is_about(name, topic));
        Ok(topics)
    }

    /// Whether a topic that matches is one of a subscription: it is kept, and is not where its own dead letters go.
    pub(super) fn is_about(&self, name: &CursorName, topic: &Topic) -> bool {
        self.core.retention(topic).is_ok() && Topic::dead_letters(name.name.as_str()).as_ref() != Ok(topic)
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
    pub(crate) fn appended(self: &Arc<Self>, place: Place, position: Position, size: usize) {
        if is_time(&self.core, &place, position, size) {
            if let Some(trimming) = lock(&self.trimming).take() {
                self.spawn(trim_all(Arc::downgrade(self), trimming));
            }
            // Where many topics wait for it, this one's turn comes with its next events.
            let _ = self.to_trim.try_send(place);
        }
    }

    /// The last place that all durable subscriptions of this process have done.
    pub(super) fn slowest(&self, place: &Place) -> Option<Position> {
        let topics = place.topic.clone().into();
        let is_there = |name: &CursorName| name.tenant == place.tenant && name.topics == topics;
        let cursors = lock(&self.cursors);
        cursors
            .values()
            .filter(|cursor| is_there(&cursor.name))
            .filter_map(|cursor| cursor.done_up_to())
            .min()
    }

    fn forget(&self, cursor: &Arc<Cursor>) {
        let mut cursors = lock(&self.cursors);
        if cursors.get(&cursor.name).is_some_and(|known| Arc::ptr_eq(known, cursor)) {
            cursors.remove(&cursor.name);
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        // What has ended is let go.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
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
