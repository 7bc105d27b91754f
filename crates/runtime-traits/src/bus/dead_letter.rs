//! Dead letters, and sending them again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Bus, BusError, Event, EventId, Headers, Kept, Position, Topic, Who};
use crate::clock::UnixMillis;
use crate::name::{Name, Tenant};

/// How many events are read at once.
const PAGE: u32 = 256;
/// By how much clocks of processes may differ.
const CLOCKS: Duration = Duration::from_secs(60);
/// The header of an event that is for one durable subscription only.
const ONLY_FOR: &str = "onlyfor";
/// The headers of a mark: what it says, and of which place.
const MARK: &str = "deadmark";
const MARKED: &str = "deadmarked";
/// What a dead letter says beside what its event said.
const SAID: [&str; 5] = ["deadtopic", "deadposition", "deadattempts", "deadcause", "deadpanicked"];
/// What marks say.
const BEGUN: &str = "begun";
const SENT: &str = "sent";

/// An event at which a durable subscription failed too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// It, in the topic of the subscription's dead letters: its headers say why it is there.
    pub kept: Kept,
    /// Whether it was sent again.
    pub again: SentAgain,
}

/// Whether a dead letter was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentAgain {
    /// Nobody did.
    No,
    /// Somebody began to, then: it may be in its topic or not.
    Begun(UnixMillis),
    /// It was, then.
    Sent(UnixMillis),
}

/// The dead letters of a durable subscription, as the events of their topic tell, from the first on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetters(BTreeMap<Position, DeadLetter>);

/// Which dead letters are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// Whose.
    pub tenant: Tenant,
    /// The durable subscription.
    pub subscription: Name,
    /// Only the one at this place.
    pub position: Option<Position>,
    /// Only those of this topic.
    pub topic: Option<Topic>,
}

/// How many dead letters were sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Requeued {
    /// Now.
    pub sent: u64,
    /// Before, and therefore not now.
    pub before: u64,
}

impl DeadLetters {
    /// Takes in the next event of the topic.
    pub fn take(&mut self, kept: Kept) {
        let Some(mark) = kept.event.headers.get(MARK) else {
            let again = SentAgain::No;
            self.0.insert(kept.position, DeadLetter { kept, again });
            return;
        };
        let marked = kept.event.headers.get(MARKED).and_then(|place| place.parse().ok()).map(Position);
        let letter = marked.and_then(|place| self.0.get_mut(&place));
        if let Some(letter) = letter {
            letter.again = match mark {
                SENT => SentAgain::Sent(kept.at),
                // Whoever began first may have been the one who sent it.
                BEGUN if letter.again == SentAgain::No => SentAgain::Begun(kept.at),
                _ => letter.again,
            };
        }
    }

    /// All, in their order.
    pub fn into_letters(self) -> impl Iterator<Item = DeadLetter> {
        self.0.into_values()
    }
}

impl DeadLetter {
    /// The topic in which it failed.
    pub fn topic(&self) -> Option<&str> {
        self.kept.event.headers.get("deadtopic")
    }

    /// It as an event of its topic, for its subscription alone. It has the same id however often it is made.
    fn again(&self, subscription: &Name, now: UnixMillis) -> Result<Event, BusError> {
        let letter = &self.kept.event;
        let untold =
            || BusError::malformed(format!("dead letter {} does not say its topic", self.kept.position));
        let topic = self.topic().ok_or_else(untold)?.parse()?;
        let mut headers = Headers::default();
        for (name, value) in letter.headers.iter().filter(|(name, _)| !SAID.contains(name)) {
            headers.set(name, value)?;
        }
        headers.set(ONLY_FOR, subscription.as_str())?;
        let id = derived(letter.id, 1);
        Ok(Event { id, topic, headers, causation: Some(letter.id), time: now, ..Event::clone(letter) })
    }

    fn mark(&self, says: &str, now: UnixMillis) -> Result<Event, BusError> {
        let letter = &self.kept.event;
        let mut mark = Event::new(letter.topic.clone(), &says)?.from("runtime");
        mark.headers.set(MARK, says)?;
        mark.headers.set(MARKED, self.kept.position.to_string())?;
        mark.id = derived(letter.id, if says == BEGUN { 2 } else { 3 });
        (mark.tenant, mark.causation, mark.time) = (letter.tenant.clone(), Some(letter.id), now);
        Ok(mark)
    }
}

impl Event {
    /// The durable subscription that it is for, if it is for one only: a dead letter that was sent again.
    pub fn only_for(&self) -> Option<&str> {
        self.headers.get(ONLY_FOR)
    }

    /// A header of it that only whoever sends dead letters again sets: with it an event would be passed over by others.
    pub fn reserved_header(&self) -> Option<&'static str> {
        [ONLY_FOR, MARK, MARKED].into_iter().find(|name| self.headers.get(name).is_some())
    }

    /// It, for everybody.
    #[must_use]
    pub fn for_everybody(mut self) -> Self {
        self.headers.remove(ONLY_FOR);
        self
    }
}

/// An id that belongs to that of a dead letter, which is a hash.
fn derived(letter: EventId, which: u8) -> EventId {
    let mut id = letter.to_bytes();
    id[15] ^= which;
    EventId::from_bytes(id)
}

/// Sends dead letters again: told before, and told after, so that whoever comes after a crash knows which may be in their
/// topics already, and looks.
pub(super) async fn requeue<B: Bus + ?Sized>(
    bus: &B,
    who: &Who,
    wanted: &Requeue,
    now: UnixMillis,
) -> Result<Requeued, BusError> {
    let Requeue { tenant, subscription, position, topic } = wanted;
    let letters = Topic::dead_letters(subscription.as_str())?;
    let mut all = DeadLetters::default();
    each(bus, who, tenant, &letters, Position::FIRST, |kept| {
        all.take(kept);
        true
    })
    .await?;
    let mut requeued = Requeued::default();
    for letter in all.into_letters() {
        let is_wanted = position.is_none_or(|position| position == letter.kept.position)
            && topic.as_ref().is_none_or(|topic| letter.topic() == Some(topic.as_str()));
        if !is_wanted {
            continue;
        }
        if let SentAgain::Sent(_) = letter.again {
            requeued.before += 1;
            continue;
        }
        let again = letter.again(subscription, now)?;
        // Whoever may read the topic may have its events delivered. It is kept, or nothing of this is to be done.
        let end = Position(u64::MAX >> 1);
        bus.read(who, tenant, &again.topic, end, 1).await?;
        let is_there = match letter.again {
            SentAgain::Begun(at) => is_there(bus, &again, at).await?,
            _ => {
                bus.publish(&Who::System, Arc::new(letter.mark(BEGUN, now)?)).await?;
                false
            }
        };
        if !is_there {
            bus.publish(&Who::System, Arc::new(again)).await?;
        }
        bus.publish(&Who::System, Arc::new(letter.mark(SENT, now)?)).await?;
        requeued.sent += 1;
    }
    Ok(requeued)
}

/// Whether an event is in its topic, appended when somebody began to, or later.
async fn is_there<B: Bus + ?Sized>(bus: &B, event: &Event, at: UnixMillis) -> Result<bool, BusError> {
    let Event { tenant, topic, id, .. } = event;
    let since = UnixMillis(at.0.saturating_sub(CLOCKS.as_millis() as u64));
    let from = bus.find(&Who::System, tenant, topic, since).await?;
    let mut is_there = false;
    each(bus, &Who::System, tenant, topic, from, |kept| {
        is_there = kept.event.id == *id;
        !is_there
    })
    .await?;
    Ok(is_there)
}

/// Takes the events of a topic from a place on that are kept now, as long as they are wanted.
async fn each<B: Bus + ?Sized>(
    bus: &B,
    who: &Who,
    tenant: &Tenant,
    topic: &Topic,
    mut from: Position,
    mut take: impl FnMut(Kept) -> bool + Send,
) -> Result<(), BusError> {
    let mut end = None;
    loop {
        let page = match bus.read(who, tenant, topic, from, PAGE).await {
            Err(BusError::BeforeRetention { first, .. }) if first > from => {
                from = first;
                continue;
            }
            page => page?,
        };
        let end = *end.get_or_insert(page.next);
        let Some(last) = page.events.last().map(|kept| kept.position) else { return Ok(()) };
        for kept in page.events {
            if kept.position >= end || !take(kept) {
                return Ok(());
            }
        }
        from = last.next();
    }
}
