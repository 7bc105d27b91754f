//! Dead letters, and sending them again.

mod marks;
mod requeue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BusError, Event, EventId, Headers, Kept, Position, Topic};
use crate::clock::UnixMillis;
use crate::name::{Name, Tenant};

use marks::{MARK, MARKED, Marks};
pub(super) use requeue::requeue;

/// The header of an event that is for one durable subscription only.
const ONLY_FOR: &str = "onlyfor";
/// What a dead letter says beside what its event said.
const SAID: [&str; 5] = ["deadtopic", "deadposition", "deadattempts", "deadcause", "deadpanicked"];

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
pub struct DeadLetters {
    letters: BTreeMap<Position, Kept>,
    marks: Marks,
}

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

/// How many dead letters were sent again. One that is there several times is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requeued {
    /// Now.
    pub sent: u64,
    /// Before, and therefore not now.
    pub before: u64,
    /// Not at all, because they cannot be: they stay as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsent: u64,
    /// Which these are, and why: of the first [`Requeued::TOLD`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Unsent>,
}

/// A dead letter that cannot be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    /// Its place in the topic of the dead letters.
    pub position: Position,
    /// Why not.
    pub error: BusError,
}

impl Requeued {
    /// Of how many that cannot be sent it is told why.
    pub const TOLD: usize = 10;

    fn refuse(&mut self, position: Position, error: BusError) {
        self.unsent += 1;
        if self.why.len() < Self::TOLD {
            self.why.push(Unsent { position, error });
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl DeadLetters {
    /// Takes in the next event of the topic.
    pub fn take(&mut self, kept: Kept) {
        match Marks::says(&kept) {
            Some(said) => self.marks.take(&kept, said, |_| true),
            None => _ = self.letters.insert(kept.position, kept),
        }
    }

    /// All, in their order.
    pub fn into_letters(self) -> impl Iterator<Item = DeadLetter> {
        let Self { letters, marks } = self;
        letters.into_values().map(move |kept| DeadLetter { again: marks.of(kept.event.id), kept })
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
