//! `AgentService`: a runtime behind HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::Bus;
use runtime_traits::clock::Clock;
use runtime_traits::{AgentRef, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::body::Bodies;
use crate::bus::Door;
use crate::face::Face;
use crate::listeners::Listeners;
use crate::server::{Limits, Routers, Server};

/// A runtime behind HTTP: `POST /run`, `GET /health`, `GET /status`, and one route under `/v1` for each method of
/// [`Runtime`]. What controls the runtime answers on unix sockets only, unless
/// [`Listeners::all_routes_on_tcp`] says otherwise.
#[derive(Clone, Debug)]
#[must_use = "a service does nothing until it is served"]
pub struct AgentService {
    runtime: Arc<dyn Runtime>,
    default_agent: Option<AgentRef>,
    events: Option<Door>,
    wait_limit: Duration,
    keep_alive: Duration,
    body_limit: usize,
    body_quiet: Duration,
    limits: Limits,
    on_shutdown: CancellationToken,
}

/// A service that was started; it stops when this is dropped.
#[derive(Debug)]
#[must_use = "a service stops when this is dropped"]
pub struct Serving {
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _guard: DropGuard,
}

impl AgentService {
    /// The service of `runtime`, with the settings that suit one machine.
    pub fn over(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            default_agent: None,
            events: None,
            wait_limit: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            body_limit: 128 * 1024 * 1024,
            body_quiet: Duration::from_secs(30),
            limits: Limits::default(),
            on_shutdown: CancellationToken::new(),
        }
    }

    /// The agent of a `POST /run` that names none. Without one, such a request is refused.
    pub fn default_agent(mut self, agent: impl Into<AgentRef>) -> Self {
        self.default_agent = Some(agent.into());
        self
    }

    /// The bus behind `/v1/events`, and the time of events that come without one. Without a bus these routes are refused.
    pub fn events(mut self, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        self.events = Some(Door::new(bus, clock));
        self
    }

    /// How many bytes the body of a request may have; 128 MiB unless set. JSON takes up to 6 bytes for a byte of text:
    /// less than that times the runtime's own limit refuses inputs that the runtime would take.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long the body of a request may pause; 30 s unless set.
    pub fn body_timeout(mut self, quiet: Duration) -> Self {
        self.body_quiet = quiet;
        self
    }

    /// How long a request waits for a run's outcome before it is answered with where the run is; 60 s unless set.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// How often a stream of events says that it is alive while nothing happens; 15 s unless set.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// How many connections are held at once; 1,024 unless set. Those beyond are answered 503.
    pub fn connection_limit(mut self, connections: usize) -> Self {
        self.limits.connections = connections;
        self
    }

    /// How long the headers of a request may take to arrive, also on an idle connection; 30 s unless set.
    pub fn header_timeout(mut self, limit: Duration) -> Self {
        self.limits.headers_within = limit;
        self
    }

    /// How long a caller may leave an answer unread; 30 s unless set.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.limits.write_within = limit;
        self
    }

    /// How long open requests have to end once the service is told to stop; 5 s unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// A token that is cancelled when a caller has shut the runtime down over this service, so that the process can
    /// end. The service itself goes on: it answers that the runtime is shutting down.
    pub fn on_shutdown(mut self, token: CancellationToken) -> Self {
        self.on_shutdown = token;
        self
    }

    /// Serves until `stop` is cancelled: then takes no more requests, ends event streams, answers who waits with where
    /// the run is, and returns when all connections are closed, at the latest after the grace.
    pub async fn serve(self, listeners: Listeners, stop: CancellationToken) {
        let face = Arc::new(Face {
            runtime: self.runtime,
            default_agent: self.default_agent,
            events: self.events,
            wait_limit: self.wait_limit,
            keep_alive: self.keep_alive,
            bodies: Bodies::new(self.body_limit, self.body_quiet),
            stop: stop.clone(),
            on_shutdown: self.on_shutdown,
        });
        let unix = face.router();
        let tcp = if listeners.all_routes_on_tcp { unix.clone() } else { face.open_router() };
        Server::new(Routers { tcp, unix }, self.limits, stop).serve(listeners).await;
    }

    /// Serves in the background.
    pub fn start(self, listeners: Listeners) -> Serving {
        let addresses = listeners.addresses();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(self.serve(listeners, stop.clone()));
        tasks.close();
        let _guard = stop.clone().drop_guard();
        Serving { addresses, stop, tasks, _guard }
    }
}

impl Serving {
    /// The TCP addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What stops it when it is cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until it has stopped.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// Stops it and waits until all its connections are closed, at the latest after its grace.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}
