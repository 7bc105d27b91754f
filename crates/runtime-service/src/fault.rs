//! What can be wrong with a request before it reaches the runtime.

use std::time::Duration;

use runtime_traits::Cause;
use runtime_traits::bus::{Position, Topic};
use thiserror::Error;

/// What is wrong with a request, or with the service's answer to it.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("the body is not the JSON that this route takes: {0}")]
    BadJson(Cause),
    #[error("the query is not what this route takes: {0}")]
    BadQuery(Cause),
    #[error("the path holds bytes that are no UTF-8; escape what it names as UTF-8, like `%C3%BC`")]
    BadPath,
    #[error("the header `{name}` {problem}")]
    BadHeader { name: &'static str, problem: &'static str },
    #[error("the body could not be read to its end ({0}); send it again")]
    BadBody(Cause),
    #[error("name the agent: give `agent` in the body, or start the service with a default agent")]
    NoAgent,
    #[error(
        "a request without an `Idempotency-Key` begins a new run, of which there is no `Last-Event-ID`; send the key of the run"
    )]
    NothingToResume,
    #[error("a page of `{origin}` asks for this; only programs and pages of this machine may")]
    ForeignOrigin { origin: String },
    #[error(
        "`{path}` answers on the unix socket of this service only (beside the store, `STORE.sock`), because every user of this machine can connect to a TCP port; ask there, as in `curl --unix-socket STORE.sock http://localhost/v1/status`"
    )]
    SocketOnly { path: String },
    #[error("nothing is served under `{path}`; see the routes in the documentation")]
    NoRoute { path: String },
    #[error("`{path}` does not take the method `{method}`; the header `Allow` says what it takes")]
    WrongMethod { path: String, method: String },
    #[error("the body did not arrive: nothing more came for {} s", .quiet.as_secs())]
    BodyTimeout { quiet: Duration },
    #[error("send the body as `application/json`, with that `Content-Type`")]
    WrongMediaType,
    #[error("send the snapshot file as `application/octet-stream`, with that `Content-Type`")]
    NoFile,
    #[error("send the event as `application/cloudevents+json`, with that `Content-Type`")]
    NoCloudEvent,
    #[error("this service has no bus; serve a fleet with `agent-runtime serve`, or give the service one")]
    NoEvents,
    #[error("{what} is about one topic that is kept; name it in full, without `*`")]
    OneTopic { what: &'static str },
    #[error("`ring` is a number of events from 1 to 1024")]
    BadRing,
    #[error(
        "the next event of `{topic}` gets the place {next}, and what was asked for lies beyond: is it another store? begin without `Last-Event-ID` and `from`"
    )]
    BeyondEnd { topic: Topic, next: Position },
    #[error(
        "nobody reads the durable subscription `{name}` to `{topic}` here; open it first with `GET /v1/events?topic={topic}&durable={name}`"
    )]
    NotReading { name: String, topic: Topic },
    #[error("`{host}` is not a name of this machine; ask for `localhost` or `127.0.0.1`")]
    ForeignHost { host: String },
    #[error("too many large requests at once; try again")]
    TooManyBodies,
    #[error("too many connections; try again")]
    TooManyConnections,
    #[error("the service failed in the middle of this request; its log says why")]
    Panicked,
    #[error("the request is no HTTP/1.1; speak that, without TLS, as `curl http://…` does")]
    NoHttp,
    #[error("the headers of the request are too large; send fewer or shorter ones")]
    HeadersTooLarge,
    #[error("the path of the request is too long; put what is long into the body")]
    PathTooLong,
}

impl Fault {
    /// A short, stable word for programs: the last part of a problem document's `type`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad-json",
            Self::BadQuery(_) => "bad-query",
            Self::BadPath => "bad-path",
            Self::BadHeader { .. } => "bad-header",
            Self::BadBody(_) => "bad-body",
            Self::NoAgent => "no-agent-named",
            Self::NothingToResume => "nothing-to-resume",
            Self::ForeignOrigin { .. } => "foreign-origin",
            Self::SocketOnly { .. } => "socket-only",
            Self::NoRoute { .. } => "no-such-route",
            Self::WrongMethod { .. } => "method-not-allowed",
            Self::BodyTimeout { .. } => "body-timeout",
            Self::WrongMediaType | Self::NoFile | Self::NoCloudEvent => "unsupported-media-type",
            Self::NoEvents => "no-events",
            Self::OneTopic { .. } => "one-topic",
            Self::BadRing => "bad-query",
            Self::BeyondEnd { .. } => "beyond-the-end",
            Self::NotReading { .. } => "subscription-not-open",
            Self::ForeignHost { .. } => "foreign-host",
            Self::TooManyBodies => "too-many-bodies",
            Self::TooManyConnections => "too-many-connections",
            Self::Panicked => "panicked",
            Self::NoHttp => "bad-request",
            Self::HeadersTooLarge => "headers-too-large",
            Self::PathTooLong => "path-too-long",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::BadJson(_)
            | Self::BadQuery(_)
            | Self::BadPath
            | Self::BadHeader { .. }
            | Self::BadBody(_)
            | Self::NoAgent
            | Self::NothingToResume
            | Self::OneTopic { .. }
            | Self::BadRing
            | Self::NoHttp => 400,
            Self::ForeignOrigin { .. } | Self::SocketOnly { .. } => 403,
            Self::NoRoute { .. } => 404,
            Self::WrongMethod { .. } => 405,
            Self::BodyTimeout { .. } => 408,
            Self::BeyondEnd { .. } | Self::NotReading { .. } => 409,
            Self::PathTooLong => 414,
            Self::WrongMediaType | Self::NoFile | Self::NoCloudEvent => 415,
            Self::ForeignHost { .. } => 421,
            Self::HeadersTooLarge => 431,
            Self::Panicked => 500,
            Self::NoEvents => 501,
            Self::TooManyBodies | Self::TooManyConnections => 503,
        }
    }

    /// When to ask again, for faults that pass.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::TooManyBodies | Self::TooManyConnections).then_some(Duration::from_secs(1))
    }
}
