//! A delivery, as it stands in its queue.

use std::sync::Arc;

use runtime_traits::bus::{BusError, Event, EventId, Position, Topic};
use runtime_traits::{Cause, Digest, Name, RunId, UnixMillis};

/// What is said of a delivery beside its body: its id for the receiver, how often it was tried, since when, and when it is due.
const ID: &str = "webhookid";
const TRIED: &str = "webhooktried";
const SINCE: &str = "webhooksince";
const DUE: &str = "webhookdue";

/// A delivery, as it stands in its queue.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) position: Position,
    /// The same in every try.
    pub(super) id: String,
    /// How often it was tried.
    pub(super) tried: u32,
    /// When it was first to be tried.
    pub(super) since: UnixMillis,
    /// When it is to be tried.
    pub(super) due: UnixMillis,
    event: Arc<Event>,
}

/// A delivery of `body` that nobody has tried, because of `cause`. However often it is made, it has one id.
pub(super) fn first(
    webhook: &Name,
    queue: Topic,
    cause: &Event,
    run: Option<RunId>,
    body: String,
    now: UnixMillis,
) -> Result<Event, BusError> {
    let id = first_id(webhook, cause);
    let message = format!("msg_{id}");
    let mut event = Event::of_bytes(queue, Event::JSON, body)?;
    // Of its own source, so that it waits for no other.
    event = Event { id, source: message.as_str().into(), run, time: now, ..event };
    event.tenant = cause.tenant.clone();
    event.causation = Some(cause.id);
    event.headers.set(ID, message)?;
    Ok(event)
}

/// The id of a delivery that nobody has tried.
pub(super) fn first_id(webhook: &Name, cause: &Event) -> EventId {
    hashed(&format!("webhook {webhook} {}", cause.id))
}

impl Job {
    /// The delivery that an event of the queue is.
    pub(super) fn of(position: Position, event: Arc<Event>) -> Self {
        let said = |header| event.headers.get(header).and_then(|said| said.parse::<u64>().ok());
        // A dead letter that somebody sends again begins anew.
        let said = |header| said(header).filter(|_| event.only_for().is_none());
        Self {
            position,
            id: event.headers.get(ID).map_or_else(|| format!("msg_{}", event.id), str::to_owned),
            tried: said(TRIED).and_then(|tried| tried.try_into().ok()).unwrap_or(0),
            since: said(SINCE).map_or(event.time, UnixMillis),
            due: said(DUE).map_or(event.time, UnixMillis),
            event,
        }
    }

    /// What is delivered.
    ///
    /// # Errors
    /// What is no text was not put there by a webhook.
    pub(super) fn body(&self) -> Result<String, Cause> {
        String::from_utf8(self.event.data.to_vec()).map_err(|error| Cause::of(&error))
    }

    /// It, to be tried once more.
    pub(super) fn again(&self, due: UnixMillis, now: UnixMillis) -> Result<Event, BusError> {
        let tried = self.tried + 1;
        let mut event = Event::clone(&self.event).for_everybody();
        event.id = hashed(&format!("again {} {tried} {}", self.id, self.since.0));
        event.time = now;
        event.headers.set(ID, self.id.as_str())?;
        event.headers.set(TRIED, tried.to_string())?;
        event.headers.set(SINCE, self.since.0.to_string())?;
        event.headers.set(DUE, due.0.to_string())?;
        Ok(event)
    }
}

fn hashed(of: &str) -> EventId {
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(of.as_bytes()).0[..16]);
    EventId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued() -> Event {
        let cause =
            Event { id: EventId::from_bytes([7; 16]), ..Event::new("agents/a/run.completed", &1).unwrap() };
        let queue = "system/webhooks/hook/queue".parse().unwrap();
        first(&Name::new("hook").unwrap(), queue, &cause, None, "{}".to_owned(), UnixMillis(1_000)).unwrap()
    }

    #[test]
    fn a_delivery_has_one_id_in_all_of_its_tries_and_each_try_is_an_event_of_its_own() {
        let job = Job::of(Position(1), Arc::new(queued()));
        assert_eq!((job.tried, job.since, job.due), (0, UnixMillis(1_000), UnixMillis(1_000)));
        let again = job.again(UnixMillis(9_000), UnixMillis(2_000)).unwrap();
        let second = Job::of(Position(2), Arc::new(again.clone()));
        assert_eq!((second.id.as_str(), second.tried), (job.id.as_str(), 1));
        assert_eq!((second.since, second.due), (UnixMillis(1_000), UnixMillis(9_000)));
        assert_ne!(again.id, queued().id);
        assert_eq!(again.id, job.again(UnixMillis(9_999), UnixMillis(3_000)).unwrap().id, "kept once");
        assert_eq!(queued().id, queued().id);
    }

    #[test]
    fn a_dead_letter_that_is_sent_again_begins_anew_with_its_id() {
        let mut letter =
            Job::of(Position(1), Arc::new(queued())).again(UnixMillis(9_000), UnixMillis(2_000)).unwrap();
        letter.time = UnixMillis(50_000);
        letter.headers.set("onlyfor", "webhook.hook").unwrap();
        let job = Job::of(Position(3), Arc::new(letter));
        assert_eq!((job.tried, job.since, job.due), (0, UnixMillis(50_000), UnixMillis(50_000)));
        assert_eq!(job.id, Job::of(Position(1), Arc::new(queued())).id);
    }
}
