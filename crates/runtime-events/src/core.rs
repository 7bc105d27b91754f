//! What both buses have: the rules, and live delivery within this process.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::time::Duration;

use futures_util::future::join_all;
use runtime_traits::Tenant;
use runtime_traits::bus::{
    Act, BusError, Event, EventLimits, Interest, Live, Pattern, Retention, Rights, Topic, TopicRule, Who,
};
use runtime_traits::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use tokio::time::timeout;

use crate::live::{Pushed, Reader, Ring, Table};

/// How a bus is set.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) limits: EventLimits,
    pub(crate) rights: Rights,
    pub(crate) rules: Vec<TopicRule>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// After how long without a sign of life another process may take a durable subscription.
    pub(crate) lease: Duration,
}

/// The rules of a bus, and the live readers of this process.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    /// What the topics of each rule begin with: a look at it spares most of the others.
    beginnings: Vec<Box<str>>,
    table: RwLock<Table>,
}

/// Answers are heard live, whatever the rules say: the first rule of every bus.
pub(crate) const REPLIES: &str = "replies";
/// Dead letters are kept unless the rules say otherwise: the last rule of every bus.
const DEAD_LETTERS: (&str, Retention) = (
    "system/dead-letters/*",
    Retention { age: Some(Duration::from_secs(30 * 86_400)), events: Some(100_000), bytes: None },
);

impl Core {
    pub(crate) fn new(mut settings: Settings) -> Arc<Self> {
        let pattern = |text: &str| text.parse::<Pattern>().expect("it is a pattern");
        let replies = pattern(&format!("{REPLIES}/*"));
        settings.rules.insert(0, TopicRule { pattern: replies, keep: None, block: None });
        settings.rules.push(TopicRule::keep(pattern(DEAD_LETTERS.0), DEAD_LETTERS.1));
        let beginnings = settings.rules.iter().map(|rule| beginning(&rule.pattern)).collect();
        Arc::new(Self { settings, beginnings, table: RwLock::default() })
    }

    pub(crate) fn rule(&self, topic: &Topic) -> Option<&TopicRule> {
        let mut rules = self.settings.rules.iter().zip(&self.beginnings);
        let found = rules.find(|(rule, beginning)| {
            topic.as_str().starts_with(&***beginning) && rule.pattern.matches(topic)
        });
        found.map(|(rule, _)| rule)
    }

    /// Whether a rule keeps events about some of these topics.
    pub(crate) fn may_keep(&self, topics: &Pattern) -> bool {
        self.settings.rules.iter().any(|rule| rule.keep.is_some() && rule.pattern.overlaps(topics))
    }

    /// What becomes of an event about a topic, where `keeps` says whether there is a place to keep it.
    pub(crate) fn interest(&self, tenant: &Tenant, topic: &Topic, keeps: bool) -> Interest {
        if keeps && self.rule(topic).is_some_and(|rule| rule.keep.is_some()) {
            Interest::Kept
        } else if self.readers() > 0 && self.readers_of(tenant, topic) > 0 {
            Interest::Heard
        } else {
            Interest::Nobody
        }
    }

    /// How long the events of a topic are kept.
    ///
    /// # Errors
    /// [`BusError::NotDurable`] when they are not.
    pub(crate) fn retention(&self, topic: &Topic) -> Result<Retention, BusError> {
        let keep = self.rule(topic).and_then(|rule| rule.keep);
        keep.ok_or_else(|| BusError::NotDurable { topic: topic.clone().into() })
    }

    /// Decides whether somebody may publish this event.
    pub(crate) fn admit(&self, who: &Who, event: &Event) -> Result<(), BusError> {
        self.settings.limits.check(event)?;
        if let (Who::Tenant { .. }, Some(header)) = (who, event.reserved_header()) {
            let what = format!("its header `{header}` is the bus's own; leave it out, or name it otherwise");
            return Err(BusError::malformed(what));
        }
        self.settings.rights.may_publish(who, &event.tenant, &event.topic)
    }

    /// Decides whether somebody may read these topics.
    pub(crate) fn may_read(&self, who: &Who, tenant: &Tenant, topics: &Pattern) -> Result<(), BusError> {
        self.settings.rights.decide(who, tenant, Act::Read, topics)
    }

    pub(crate) fn listen(self: &Arc<Self>, live: Live) -> Reader {
        let (ring, seat) = self.write().join(live);
        Reader::new(Arc::downgrade(self), ring, seat)
    }

    pub(crate) fn forget(&self, ring: &Arc<Ring>, seat: usize) {
        self.write().leave(ring, seat);
    }

    /// How many live readers there are.
    pub(crate) fn readers(&self) -> usize {
        self.read().len()
    }

    /// How many live readers a topic has.
    pub(crate) fn readers_of(&self, tenant: &Tenant, topic: &Topic) -> usize {
        let mut count = 0;
        self.read().each(tenant, topic, &mut |ring| count += ring.readers());
        count
    }

    /// Hands an event to all live readers that match, and says how many these are.
    ///
    /// A full ring loses its oldest event, unless the topic's owner lets publishers wait for it.
    pub(crate) async fn deliver(&self, event: &Arc<Event>, block: Option<Duration>) -> usize {
        match (self.offer(event, block.is_some()), block) {
            ((reached, full), Some(deadline)) if !full.is_empty() => {
                reached + wait_for_room(full, event, deadline).await
            }
            ((reached, _), _) => reached,
        }
    }

    /// Hands an event to all live readers that match. Says how many got it, and, if the publisher `waits`, whose rings
    /// are full; otherwise these lose their oldest.
    pub(crate) fn offer(&self, event: &Arc<Event>, waits: bool) -> (usize, Vec<Arc<Ring>>) {
        let (mut reached, mut wakers, mut full) = (0, Vec::new(), Vec::new());
        // What is sent again to a durable subscription is for nobody else.
        if event.only_for().is_some() {
            return (reached, full);
        }
        self.read().each(
            &event.tenant,
            &event.topic,
            &mut |ring| match ring.push(event, waits, &mut wakers) {
                Pushed::There(readers) => reached += readers,
                Pushed::Full => full.push(Arc::clone(ring)),
            },
        );
        // A waker may run its reader at once, which may subscribe or publish.
        wakers.into_iter().for_each(Waker::wake);
        (reached, full)
    }

    /// Tells all live readers of a topic that so many of its events are lost to them.
    #[cfg(feature = "redis")]
    pub(crate) fn lose(&self, tenant: &Tenant, topic: &Topic, count: u64) {
        let mut wakers = Vec::new();
        self.read().each(tenant, topic, &mut |ring| ring.lose(count, &mut wakers));
        wakers.into_iter().for_each(Waker::wake);
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        // Every change is whole before anything can panic.
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pattern up to its first wildcard.
fn beginning(pattern: &Pattern) -> Box<str> {
    pattern.as_str().split('*').next().unwrap_or_default().into()
}

/// Waits for room in these rings, at most until the deadline, and then pushes at the cost of the oldest. Says how many
/// readers got the event.
pub(crate) async fn wait_for_room(full: Vec<Arc<Ring>>, event: &Arc<Event>, deadline: Duration) -> usize {
    let waiting = full.iter().map(|ring| wait_and_push(ring, event, deadline));
    join_all(waiting).await.into_iter().sum()
}

async fn wait_and_push(ring: &Ring, event: &Arc<Event>, deadline: Duration) -> usize {
    let mut wakers = Vec::new();
    let waited = timeout(deadline, async {
        loop {
            let mut room = std::pin::pin!(ring.room());
            // From here on no notice is missed.
            room.as_mut().enable();
            match ring.push(event, true, &mut wakers) {
                Pushed::Full => room.await,
                Pushed::There(readers) => break readers,
            }
        }
    });
    let reached = match waited.await {
        Ok(readers) => readers,
        Err(_) => match ring.push(event, false, &mut wakers) {
            Pushed::There(readers) => readers,
            Pushed::Full => 0,
        },
    };
    wakers.into_iter().for_each(Waker::wake);
    reached
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: EventLimits::default(),
            rights: Rights::default(),
            rules: Vec::new(),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy::default()),
            lease: Duration::from_secs(6),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("readers", &self.readers()).finish_non_exhaustive()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // The readers get what is held for them, and then the end.
        let table = std::mem::take(self.table.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut wakers = Vec::new();
        table.rings().into_iter().for_each(|ring| ring.close(&mut wakers));
        wakers.into_iter().for_each(Waker::wake);
    }
}
