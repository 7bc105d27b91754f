//! Events as they are published, over connections that may break.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use runtime_traits::bus::{BusError, Gap, Pattern, Position, Topic};
use runtime_traits::{Cause, Name};
use tokio::time::sleep;

use crate::bus::Tailed;
use crate::problem::Problem;
use crate::remote::RemoteRuntime;
use crate::remote::bus::{RemoteEvents, refused};
use crate::remote::call::{Again, Failure};
use crate::remote::connection::{Connection, Piece};
use crate::remote::tail::parse;
use crate::sse::Event;
use crate::wire::bus::{EVENT, GAP, OPEN, OpenEvent, TailQuery, event_of};
use crate::wire::{LAST_EVENT_ID, PROBLEM};

/// What a tail is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailOf {
    pattern: Pattern,
    from: Option<Position>,
    durable: Option<Name>,
    attempts: Option<u32>,
}

/// Reads what is published, and goes on after a break: where it was in a topic that is kept or as a durable subscription,
/// and with what is published then in all others, after [`Tailed::Broken`].
#[derive(Debug)]
pub struct EventTail {
    events: RemoteEvents,
    of: TailOf,
    /// The last place that came.
    last: Option<Position>,
    again: Again,
    connection: Option<Connection>,
    ready: VecDeque<Tailed>,
    /// Whether it was open, and nobody was told yet that it is no more.
    open: bool,
    over: bool,
}

impl TailOf {
    /// What is published from now on about topics that match.
    pub fn topics(pattern: Pattern) -> Self {
        Self { pattern, from: None, durable: None, attempts: None }
    }

    /// What a durable subscription delivers; each event has to be [settled](RemoteEvents::settle). A new one begins with
    /// the first event that is kept, unless a place is named.
    pub fn durable(topic: Topic, name: Name) -> Self {
        Self { durable: Some(name), ..Self::topics(topic.into()) }
    }

    /// Begins at a place of a topic that is kept. What is no longer kept there is told as a gap.
    #[must_use]
    pub fn from(mut self, place: Position) -> Self {
        self.from = Some(place);
        self
    }

    /// How often a durable subscription tries an event; 5 times unless set.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }
}

impl EventTail {
    pub(super) fn new(events: RemoteEvents, of: TailOf) -> Self {
        let again = Again::Broken(RemoteRuntime::briefly());
        Self {
            events,
            of,
            last: None,
            again,
            connection: None,
            ready: VecDeque::new(),
            open: false,
            over: false,
        }
    }

    /// The next item; `None` after an error. A dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Tailed, BusError>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if self.over {
                return None;
            }
            let Err(failure) = self.advance().await else { continue };
            self.connection = None;
            if std::mem::take(&mut self.open) {
                self.ready.push_back(Tailed::Broken);
            }
            match self.again.after(&failure) {
                Some(wait) if self.ready.is_empty() => sleep(wait).await,
                // Who reads is told at once; it is tried after that.
                Some(_) => {}
                None => {
                    self.over = true;
                    return Some(Err(refused(failure)));
                }
            }
        }
    }

    /// Connects, or takes the next piece.
    async fn advance(&mut self) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return self.connect().await;
        };
        if let Piece::Closed = connection.read(&self.events.remote).await? {
            let cause = Cause::says("it closed the stream");
            return Err(Failure::Away { cause, spent: Duration::ZERO });
        }
        while let Some(event) = self.connection.as_mut().and_then(Connection::next) {
            self.take(&event)?;
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let query = TailQuery {
            topic: self.of.pattern.to_string(),
            tenant: self.events.acts_for.tenant.clone(),
            agent: self.events.acts_for.agent.clone(),
            from: self.of.from.filter(|_| self.last.is_none()).map(|place| place.0),
            durable: self.of.durable.clone(),
            attempts: self.of.attempts,
            ..TailQuery::default()
        };
        let mut request = self.events.asking(Method::GET, &["v1", "events"], &query);
        if let (Some(last), None) = (self.last, &self.of.durable) {
            request.headers_mut().insert(LAST_EVENT_ID, last.0.into());
        }
        self.connection = Some(Connection::open(&self.events.remote, request).await?);
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<(), Failure> {
        let place = event.id.as_ref().and_then(|id| id.parse().ok()).map(Position);
        let item = match event.name.as_str() {
            OPEN => {
                let OpenEvent { kept, after } = parse(&event.data)?;
                self.open = true;
                // A tail that was there is worth waiting for.
                self.again = Again::Ending(self.events.remote.patiently());
                Tailed::Open { kept, after }
            }
            EVENT => {
                let read = event_of(&event.data).map_err(|error| Failure::Nonsense(Cause::of(&error)))?;
                Tailed::Event { position: place, event: read.into() }
            }
            GAP => Tailed::Gap(parse::<Gap>(&event.data)?),
            PROBLEM => {
                let problem: Problem = parse(&event.data)?;
                return Err(match problem.bus {
                    Some(error) => Failure::OfBus(error),
                    None => Failure::Nonsense(Cause::says(problem.detail)),
                });
            }
            // A newer service may say more.
            _ => return Ok(()),
        };
        self.last = place.or(self.last);
        self.ready.push_back(item);
        Ok(())
    }
}
