//! Buses that each break one clause: what shows that the suite can fail.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::bus::{
    Bus, BusError, Deliveries, Delivery, Durable, DurablePattern, Event, EventId, Failure, Listener, Live,
    Overflow, Page, PatternDeliveries, Position, Published, Start, Topic, Who,
};
use runtime_traits::{Name, Tenant, UnixMillis};

use super::{BusFixture, BusSettings};

/// One way to break one clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Keeps every fiftieth event from a live reader.
    HearsLess,
    /// Hears the tenant `other` as well.
    HearsOthers,
    /// Says nothing of a gap.
    HidesGaps,
    /// Never disconnects.
    NeverDisconnects,
    /// Waits for good, after many events, for a reader that has stopped.
    WaitsForReaders,
    /// Lets everybody write to system topics.
    TakesSystem,
    /// Answers every second place.
    SkipsPlaces,
    /// Takes an event again under a new id.
    ForgetsIds,
    /// Loses the last event of each topic in a crash.
    LosesLast,
    /// Begins a cursor behind what it was in the midst of when it crashed.
    SkipsUnsettled,
    /// Calls every event of `bob` another source's.
    MixesSources,
    /// Never gives up.
    NeverDead,
    /// Sends dead letters again to everybody.
    RequeuesForAll,
    /// Begins new cursors at the first event.
    BeginsFirst,
    /// Finds the place behind the one at a time.
    FindsLater,
    /// Gives every member of a group every event.
    GivesToAll,
    /// Opens a cursor for as many as ask.
    OpensForAll,
    /// Says that a gap of age is no gap.
    HidesAge,
    /// Says that a gap of bytes is no gap.
    HidesBytes,
    /// Begins in a topic that comes to be later at the second event.
    JoinsLate,
    /// Takes what is done at a place for done in all topics.
    SettlesEverywhere,
    /// Gives every process of a group every event.
    GivesToEachProcess,
}

impl Flaw {
    /// Every flaw with the clause that it breaks.
    pub const ALL: [(Self, &'static str); 22] = [
        (Self::HearsLess, "heard-in-order"),
        (Self::HearsOthers, "nothing-else"),
        (Self::HidesGaps, "gap-is-exact"),
        (Self::NeverDisconnects, "disconnect-is-told"),
        (Self::WaitsForReaders, "slow-slows-nobody"),
        (Self::TakesSystem, "refused-leaves-nothing"),
        (Self::SkipsPlaces, "numbered-without-gap"),
        (Self::ForgetsIds, "once-by-id"),
        (Self::LosesLast, "kept-when-ok"),
        (Self::SkipsUnsettled, "delivered-until-settled"),
        (Self::MixesSources, "ordered-by-source"),
        (Self::NeverDead, "failed-then-dead"),
        (Self::RequeuesForAll, "requeued-for-one"),
        (Self::BeginsFirst, "begins-where-told"),
        (Self::FindsLater, "replayed"),
        (Self::GivesToAll, "shared-by-a-group"),
        (Self::OpensForAll, "one-name-one-cursor"),
        (Self::HidesAge, "trimmed-by-its-rule"),
        (Self::HidesBytes, "trimmed-by-bytes"),
        (Self::JoinsLate, "joined-by-a-pattern"),
        (Self::SettlesEverywhere, "settled-in-its-topic"),
        (Self::GivesToEachProcess, "shared-between-processes"),
    ];
}

/// The buses of another fixture, with one flaw.
pub struct WrongBuses<F> {
    right: F,
    flaw: Flaw,
    /// The right bus of the one that was opened last.
    last: Mutex<Option<Arc<dyn Bus>>>,
}

impl<F> WrongBuses<F> {
    /// Breaks the clause of `flaw`.
    pub fn new(right: F, flaw: Flaw) -> Self {
        Self { right, flaw, last: Mutex::default() }
    }

    fn wrong(&self, right: Arc<dyn Bus>, has_crashed: bool) -> Arc<dyn Bus> {
        *lock(&self.last) = Some(Arc::clone(&right));
        Arc::new(WrongBus::new(right, self.flaw, has_crashed))
    }
}

impl<F> std::fmt::Debug for WrongBuses<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrongBuses").field("flaw", &self.flaw).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F: BusFixture> BusFixture for WrongBuses<F> {
    async fn open(&self, settings: BusSettings) -> Arc<dyn Bus> {
        self.wrong(self.right.open(settings).await, false)
    }

    async fn crash(&self, bus: Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus> {
        lock(&self.last).take();
        self.wrong(self.right.crash(bus, settings).await, true)
    }

    async fn beside(&self, bus: &Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus> {
        let right = lock(&self.last).clone();
        let right = self.right.beside(right.as_ref().unwrap_or(bus), settings).await;
        Arc::new(WrongBus { is_beside: true, ..WrongBus::new(right, self.flaw, false) })
    }

    async fn kill_beside(&self, bus: Arc<dyn Bus>) {
        self.right.kill_beside(bus).await;
    }

    /// Some flaws are seen by what does not come.
    fn patience(&self) -> Duration {
        Duration::from_secs(3)
    }
}

#[derive(Debug)]
struct WrongBus {
    right: Arc<dyn Bus>,
    flaw: Flaw,
    has_crashed: bool,
    /// It is that of another process.
    is_beside: bool,
    published: AtomicU64,
    /// The topics that were published to.
    topics: Mutex<HashSet<Topic>>,
    /// Readers with small rings.
    small: Arc<AtomicUsize>,
    seen: Mutex<HashSet<(Topic, EventId)>>,
    /// How many cursors were opened under a name, alone or as a group.
    opened: Mutex<HashMap<(Topic, Name, bool), usize>>,
}

impl WrongBus {
    fn new(right: Arc<dyn Bus>, flaw: Flaw, has_crashed: bool) -> Self {
        Self {
            right,
            flaw,
            has_crashed,
            is_beside: false,
            published: AtomicU64::new(0),
            topics: Mutex::default(),
            small: Arc::default(),
            seen: Mutex::default(),
            opened: Mutex::default(),
        }
    }

    /// How often a cursor of this name was opened before.
    fn opened_before(&self, durable: &Durable) -> usize {
        let mut opened = lock(&self.opened);
        let count = opened.entry((durable.topic.clone(), durable.name.clone(), durable.group)).or_default();
        *count += 1;
        *count - 1
    }
}

#[async_trait]
impl Bus for WrongBus {
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError> {
        let count = self.published.fetch_add(1, Ordering::SeqCst);
        lock(&self.topics).insert(event.topic.clone());
        if self.flaw == Flaw::WaitsForReaders && count > 1_000 && self.small.load(Ordering::SeqCst) > 0 {
            std::future::pending::<()>().await;
        }
        let who = match self.flaw {
            Flaw::TakesSystem if event.topic.is_system() => &Who::System,
            _ => who,
        };
        let mut event = event;
        if self.flaw == Flaw::ForgetsIds && !lock(&self.seen).insert((event.topic.clone(), event.id)) {
            let mut id = event.id.to_bytes();
            id[0] ^= 0xFF;
            Arc::make_mut(&mut event).id = EventId::from_bytes(id);
        }
        if self.flaw == Flaw::MixesSources && &*event.source == "bob" {
            let source = format!("{}-{count}", event.source);
            Arc::make_mut(&mut event).source = source.into();
        }
        if self.flaw == Flaw::RequeuesForAll && event.only_for().is_some() {
            event = Arc::new(Event::clone(&event).for_everybody());
        }
        let mut published = self.right.publish(who, event).await?;
        if self.flaw == Flaw::SkipsPlaces {
            published.position = published.position.map(|position| Position(position.0 * 2));
        }
        Ok(published)
    }

    async fn listen(&self, who: &Who, mut live: Live) -> Result<Box<dyn Listener>, BusError> {
        let is_small = live.ring.get() <= 4;
        let tells_end = live.overflow == Overflow::Disconnect;
        if self.flaw == Flaw::NeverDisconnects {
            live.overflow = Overflow::LoseOldest;
        }
        let others = match self.flaw {
            Flaw::HearsOthers => {
                let tenant = Tenant::new("other").expect("a good name");
                Some(self.right.listen(&Who::System, Live { tenant, ..live.clone() }).await?)
            }
            _ => None,
        };
        let right = self.right.listen(who, live).await?;
        let small = is_small.then(|| Arc::clone(&self.small));
        if let Some(small) = &small {
            small.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Box::new(WrongListener { right, others, flaw: self.flaw, tells_end, small, heard: 0 }))
    }

    async fn open(&self, who: &Who, mut durable: Durable) -> Result<Box<dyn Deliveries>, BusError> {
        let before = self.opened_before(&durable);
        match self.flaw {
            Flaw::BeginsFirst => durable.start = Start::Earliest,
            Flaw::GivesToEachProcess if self.is_beside => durable.name = renamed(&durable.name, 1),
            Flaw::GivesToAll if durable.group && before > 0 => durable.name = renamed(&durable.name, before),
            Flaw::OpensForAll if before > 0 && !durable.group => {
                match self.right.open(who, durable.clone()).await {
                    Err(BusError::Busy { .. }) => durable.name = renamed(&durable.name, before),
                    opened => return opened,
                }
            }
            _ => {}
        }
        let topic = durable.topic.clone();
        let right = self.right.open(who, durable).await?;
        if self.flaw == Flaw::SkipsUnsettled && self.has_crashed && before == 0 {
            // What was under way is taken for done; what is new comes.
            if let Ok(Delivery::Event { position, .. }) = right.next().await {
                right.done(position).await?;
            }
        }
        Ok(Box::new(WrongDeliveries { right, topic, flaw: self.flaw }))
    }

    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError> {
        let right = self.right.open_pattern(who, durable).await?;
        let known = lock(&self.topics).clone();
        let joins_late = self.flaw == Flaw::JoinsLate && !self.has_crashed;
        let settles_everywhere = self.flaw == Flaw::SettlesEverywhere;
        Ok(Box::new(WrongPatternDeliveries {
            right,
            known,
            joins_late,
            settles_everywhere,
            seen: Mutex::default(),
        }))
    }

    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError> {
        match self.right.read(who, tenant, topic, from, limit).await {
            Ok(mut page) if self.flaw == Flaw::LosesLast && self.has_crashed => {
                page.events.pop();
                Ok(page)
            }
            answer => answer,
        }
    }

    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError> {
        let found = self.right.find(who, tenant, topic, time).await?;
        Ok(if self.flaw == Flaw::FindsLater { found.next() } else { found })
    }
}

#[derive(Debug)]
struct WrongListener {
    right: Box<dyn Listener>,
    others: Option<Box<dyn Listener>>,
    flaw: Flaw,
    tells_end: bool,
    small: Option<Arc<AtomicUsize>>,
    heard: u64,
}

impl Listener for WrongListener {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if let Some(others) = &mut self.others
            && let ready @ Poll::Ready(Some(_)) = Pin::new(others).poll_next(cx)
        {
            return ready;
        }
        loop {
            let next = self.right.poll_next(cx);
            match &next {
                Poll::Ready(Some(Delivery::Gap(_))) if self.flaw == Flaw::HidesGaps && !self.tells_end => {}
                Poll::Ready(Some(Delivery::Event { event, .. })) => {
                    self.heard += u64::from(event.topic.as_str().starts_with("talk/"));
                    if self.flaw != Flaw::HearsLess || self.heard != 50 {
                        return next;
                    }
                }
                _ => return next,
            }
        }
    }
}

impl Drop for WrongListener {
    fn drop(&mut self) {
        if let Some(small) = &self.small {
            small.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[derive(Debug)]
struct WrongDeliveries {
    right: Box<dyn Deliveries>,
    topic: Topic,
    flaw: Flaw,
}

#[async_trait]
impl Deliveries for WrongDeliveries {
    async fn next(&self) -> Result<Delivery, BusError> {
        let hidden = match self.flaw {
            Flaw::HidesAge => "aged/",
            Flaw::HidesBytes => "heavy/",
            _ => return self.right.next().await,
        };
        match self.right.next().await {
            Ok(Delivery::Gap(_)) if self.topic.as_str().starts_with(hidden) => self.right.next().await,
            next => next,
        }
    }

    async fn done(&self, position: Position) -> Result<(), BusError> {
        self.right.done(position).await
    }

    async fn failed(&self, position: Position, failure: &Failure) -> Result<bool, BusError> {
        let dead = self.right.failed(position, failure).await?;
        Ok(dead && self.flaw != Flaw::NeverDead)
    }
}

#[derive(Debug)]
struct WrongPatternDeliveries {
    right: Box<dyn PatternDeliveries>,
    /// The topics that were there when it was opened.
    known: HashSet<Topic>,
    joins_late: bool,
    settles_everywhere: bool,
    seen: Mutex<HashSet<(Topic, Position)>>,
}

#[async_trait]
impl PatternDeliveries for WrongPatternDeliveries {
    async fn next(&self) -> Result<(Topic, Delivery), BusError> {
        loop {
            let (topic, delivery) = self.right.next().await?;
            if let Delivery::Event { position, .. } = &delivery {
                if self.joins_late && *position == Position::FIRST && !self.known.contains(&topic) {
                    self.right.done(&topic, *position).await?;
                    continue;
                }
                lock(&self.seen).insert((topic.clone(), *position));
            }
            return Ok((topic, delivery));
        }
    }

    async fn done(&self, topic: &Topic, position: Position) -> Result<(), BusError> {
        let seen = lock(&self.seen).clone();
        for (other, _) in seen.iter().filter(|(_, place)| *place == position && self.settles_everywhere) {
            self.right.done(other, position).await?;
        }
        self.right.done(topic, position).await
    }

    async fn failed(&self, topic: &Topic, position: Position, failure: &Failure) -> Result<bool, BusError> {
        self.right.failed(topic, position, failure).await
    }
}

fn renamed(name: &Name, nth: usize) -> Name {
    Name::new(format!("{name}-{nth}")).expect("the suite's names are short")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
