//! Among dead letters it is told which of them were sent again.

use std::collections::HashMap;

use super::{SentAgain, derived};
use crate::bus::{BusError, Event, EventId, Kept, Topic};
use crate::clock::UnixMillis;
use crate::name::Tenant;

/// The header of a mark: what it says.
pub(super) const MARK: &str = "deadmark";
/// The header of marks that were about one letter: its place.
pub(super) const MARKED: &str = "deadmarked";
/// What marks say.
pub(super) const BEGUN: &str = "begun";
pub(super) const SENT: &str = "sent";

/// What is told of dead letters, by their ids: one that is there several times is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(HashMap<EventId, SentAgain>);

impl Marks {
    /// What an event says, if it is no letter but a mark.
    pub(super) fn says(kept: &Kept) -> Option<&str> {
        kept.event.headers.get(MARK)
    }

    /// Takes in a mark that says `said`, as far as it is about letters that are wanted.
    pub(super) fn take(&mut self, mark: &Kept, said: &str, is_wanted: impl Fn(EventId) -> bool) {
        // Those that were about one letter said its id as their cause.
        let about = mark.event.json().unwrap_or_else(|_| Vec::from_iter(mark.event.causation));
        for letter in about.into_iter().filter(|letter| is_wanted(*letter)) {
            let again = self.0.entry(letter).or_insert(SentAgain::No);
            *again = match said {
                SENT => SentAgain::Sent(mark.at),
                // Whoever began first may have been the one who sent it.
                BEGUN if *again == SentAgain::No => SentAgain::Begun(mark.at),
                _ => *again,
            };
        }
    }

    /// Of which letters something is told.
    pub(super) fn letters(self) -> impl Iterator<Item = EventId> {
        self.0.into_keys()
    }

    /// What is told of a letter.
    pub(super) fn of(&self, letter: EventId) -> SentAgain {
        self.0.get(&letter).copied().unwrap_or(SentAgain::No)
    }
}

/// A mark about dead letters, by their ids. It has the same id however often it is made.
///
/// # Errors
/// Never for a topic of dead letters.
pub(super) fn mark(
    tenant: &Tenant,
    letters: &Topic,
    said: &str,
    about: &[EventId],
    now: UnixMillis,
) -> Result<Event, BusError> {
    let mut mark = Event::new(letters.clone(), about)?.from("runtime");
    mark.headers.set(MARK, said)?;
    let all = about.iter().fold([0; 16], |mut all, letter| {
        all.iter_mut().zip(letter.to_bytes()).for_each(|(all, byte)| *all ^= byte);
        all
    });
    mark.id = derived(EventId::from_bytes(all), if said == BEGUN { 2 } else { 3 });
    (mark.tenant, mark.time) = (tenant.clone(), now);
    Ok(mark)
}
