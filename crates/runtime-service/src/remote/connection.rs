//! One answer that is a stream of events.

use reqwest::{Request, Response, header};
use runtime_traits::Cause;
use tokio::time::timeout;

use crate::remote::RemoteRuntime;
use crate::remote::call::{Failure, away, silence};
use crate::sse::{Event, Events};

/// A stream of events that is open.
#[derive(Debug)]
pub(super) struct Connection {
    response: Response,
    events: Events,
    /// Whether more than the opening has arrived.
    opened: bool,
}

/// What became of a piece of a stream.
pub(super) enum Piece {
    /// The first one. A side that accepts and hangs up at once is as good as away.
    Opening,
    Arrived,
    /// The other side has closed the stream in good order.
    Closed,
}

impl Connection {
    pub(super) async fn open(remote: &RemoteRuntime, mut request: Request) -> Result<Self, Failure> {
        let events = header::HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(header::ACCEPT, events);
        let within = remote.deadlines.answer;
        let response =
            timeout(within, remote.send(request)).await.unwrap_or_else(|_| Err(silence(within)))?;
        Ok(Self { response, events: Events::default(), opened: false })
    }

    /// Waits for the next piece, as long as the other side may be quiet.
    pub(super) async fn read(&mut self, remote: &RemoteRuntime) -> Result<Piece, Failure> {
        let within = remote.deadlines.quiet;
        let part =
            timeout(within, self.response.chunk()).await.map_err(|_| silence(within))?.map_err(away)?;
        let Some(part) = part else {
            return Ok(Piece::Closed);
        };
        self.events.push(&part).map_err(|_| Failure::Nonsense(Cause::says("an event is too long")))?;
        Ok(if std::mem::replace(&mut self.opened, true) { Piece::Arrived } else { Piece::Opening })
    }

    /// The next event that has arrived as a whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.events.next()
    }
}
