//! A reader of a durable subscription.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use runtime_traits::bus::{
    BusError, Deliveries, Delivery, Event, EventId, Failure, Headers, Position, Topic,
};
use runtime_traits::clock::UnixMillis;
use xxhash_rust::xxh3::xxh3_128;

use super::Desk;
use super::cursor::Cursor;
use super::window::Take;
use crate::journal::Place;

/// A reader of a durable subscription.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) cursor: Arc<Cursor>,
    pub(super) number: u64,
    pub(super) desk: Weak<Desk>,
}

impl Member {
    /// What may be worked on now.
    pub(super) fn try_next(&self, now: UnixMillis) -> Result<Take, BusError> {
        self.cursor.try_take(self.number, now)
    }

    /// Whether it has anything in the hand.
    pub(super) fn has_taken(&self) -> bool {
        self.cursor.has_taken(self.number)
    }
}

#[async_trait]
impl Deliveries for Member {
    async fn next(&self) -> Result<Delivery, BusError> {
        self.cursor.take(self.number).await
    }

    async fn done(&self, position: Position) -> Result<(), BusError> {
        self.cursor.settle(position, self.number).await
    }

    async fn failed(&self, position: Position, failure: &Failure) -> Result<bool, BusError> {
        let cursor = &self.cursor;
        let found = cursor.taken(position, self.number);
        // Somebody else works on it now.
        let Some((event, failures)) = found else { return Ok(false) };
        let attempt = failures + 1;
        if let Some(pause) = cursor.retry.pause(attempt) {
            let until = cursor.clock.now().after(pause);
            cursor.pause(position, self.number, until);
            return Ok(false);
        }
        let letter = self.letter(&event, position, attempt, failure)?;
        let (place, size) = (Place::of(&letter), letter.size());
        let (at, _) = cursor.journal.append(&Arc::new(letter)).await?;
        if let Some(desk) = self.desk.upgrade() {
            desk.appended(place, at, size);
        }
        self.done(position).await?;
        Ok(true)
    }
}

impl Member {
    /// The dead letter of an event. It has the same id however often it is written.
    fn letter(
        &self,
        event: &Event,
        position: Position,
        attempts: u32,
        failure: &Failure,
    ) -> Result<Event, BusError> {
        let name = &self.cursor.name.name;
        let mut letter = event.clone().for_everybody();
        letter.topic = Topic::dead_letters(name.as_str())?;
        letter.id = dead_id(event, name.as_str(), position);
        letter.causation = Some(event.id);
        letter.correlation = event.correlation.or(Some(event.id));
        letter.time = self.cursor.clock.now();
        for (header, value) in [
            ("deadtopic", event.topic.to_string()),
            ("deadposition", position.to_string()),
            ("deadattempts", attempts.to_string()),
            ("deadcause", sayable(&failure.cause.to_string())),
            ("deadpanicked", failure.panicked.to_string()),
        ] {
            // An event with as many headers as there may be loses what is said here; it is a dead letter all the same.
            let _ = letter.headers.set(header, value);
        }
        Ok(letter)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.cursor.leave(self.number);
        if self.desk.strong_count() == 0 {
            self.cursor.end(super::desk::bus_is_gone());
        }
    }
}

fn dead_id(event: &Event, name: &str, position: Position) -> EventId {
    let of = format!("{} {name} {} {position}", event.id, event.topic);
    EventId::from_bytes(xxh3_128(of.as_bytes()).to_be_bytes())
}

/// A text as the value of a header.
fn sayable(text: &str) -> String {
    let mut said: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let mut end = said.len().min(Headers::VALUE);
    while !said.is_char_boundary(end) {
        end -= 1;
    }
    said.truncate(end);
    said
}
