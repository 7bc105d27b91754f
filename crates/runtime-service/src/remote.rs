//! `RemoteRuntime`: a runtime in another process, over HTTP.

mod backoff;
mod bus;
mod bus_tail;
mod call;
mod connection;
mod control;
mod file;
mod place;
mod tail;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;

pub use bus::RemoteEvents;
pub use bus_tail::{EventTail, TailOf};
pub use place::PlaceError;

use crate::remote::backoff::Backoff;
use crate::remote::place::Place;

/// A runtime in another process, over its `/v1` routes. Those answer on the service's unix socket; on TCP only after
/// [`Listeners::all_routes_on_tcp`](crate::Listeners::all_routes_on_tcp).
///
/// Reads, waits and streams are asked again when the other side cannot be reached: a wait or a stream survives a restart
/// over there. A `submit` is asked again only with an idempotency key, and what changes agents never: a request whose
/// answer got lost may have been done.
///
/// ```
/// # use runtime_service::{PlaceError, RemoteRuntime};
/// let over_a_socket = RemoteRuntime::at("unix:/run/agents/control.sock")?;
/// let over_tcp = RemoteRuntime::at("http://127.0.0.1:8000")?;
/// # Ok::<(), PlaceError>(())
/// ```
#[derive(Clone)]
pub struct RemoteRuntime {
    client: Client,
    place: Arc<Place>,
    deadlines: Deadlines,
}

/// How long the other side may take.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// For an answer, beyond what it was asked to wait.
    answer: Duration,
    /// Between two pieces of a stream.
    quiet: Duration,
    /// How long it may be away while a run is waited for or watched.
    away: Duration,
}

impl RemoteRuntime {
    /// The runtime at `place`: `http://HOST:PORT`, or `unix:PATH`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`PlaceError`] when `place` is neither.
    pub fn at(place: &str) -> Result<Self, PlaceError> {
        let place: Place = place.parse()?;
        let client = place.client()?;
        Ok(Self {
            client,
            place: Arc::new(place),
            deadlines: Deadlines {
                answer: Duration::from_secs(30),
                quiet: Duration::from_secs(45),
                away: Duration::from_secs(60),
            },
        })
    }

    /// How long an answer may take, beyond what it was asked to wait; 30 s unless set.
    #[must_use]
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.deadlines.answer = limit;
        self
    }

    /// How long nothing at all may come on a stream, not even a sign of life; 45 s unless set, which is three times
    /// what an `AgentService` takes between two of these.
    #[must_use]
    pub fn quiet_within(mut self, limit: Duration) -> Self {
        self.deadlines.quiet = limit;
        self
    }

    /// How long in a row the other side may be away while a run is waited for or watched; 60 s unless set.
    #[must_use]
    pub fn away_within(mut self, limit: Duration) -> Self {
        self.deadlines.away = limit;
        self
    }

    /// For reads: enough for a connection that broke, too little to hide that nobody is there.
    fn briefly() -> Backoff {
        Backoff::within(Duration::from_millis(350))
    }

    /// For waits and streams: enough for a restart.
    fn patiently(&self) -> Backoff {
        Backoff::within(self.deadlines.away)
    }
}

impl fmt::Debug for RemoteRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteRuntime")
            .field("place", &self.place.to_string())
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}
