//! Accepts connections and converses on them.
//!
//! `axum::serve` sets no timer, and without one hyper waits for headers forever. So the connections are driven here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fault::Fault;
use crate::guard::only_this_machine;
use crate::listeners::{Listeners, Socket};
use crate::problem::Problem;
use crate::rim::Rim;

/// How long nothing is accepted after the system refused a connection: most often it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections beyond the limit are told so at once; more than these are closed without a word.
const REFUSED_AT_ONCE: usize = 64;
/// The most bytes of headers.
const HEADER_BYTES: usize = 64 * 1024;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) headers_within: Duration,
    pub(crate) write_within: Duration,
    pub(crate) grace: Duration,
}

/// What answers on which listeners.
#[derive(Clone, Debug)]
pub(crate) struct Routers {
    pub(crate) tcp: Router,
    pub(crate) unix: Router,
}

/// Serves routers on listeners until it is told to stop.
#[derive(Debug)]
pub(crate) struct Server {
    routers: Routers,
    limits: Limits,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// Something that connections come from.
trait Accept: Send + Sync {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            headers_within: Duration::from_secs(30),
            write_within: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

impl Server {
    pub(crate) fn new(routers: Routers, limits: Limits, stop: CancellationToken) -> Self {
        Self {
            routers,
            limits,
            stop,
            places: Arc::new(Semaphore::new(limits.connections)),
            refusals: Arc::new(Semaphore::new(REFUSED_AT_ONCE)),
            tasks: TaskTracker::new(),
        }
    }

    /// Serves until it is told to stop and all connections are closed.
    pub(crate) async fn serve(self, listeners: Listeners) {
        let server = Arc::new(self);
        // Browsers reach loopback, and no unix socket.
        let guarded = server.routers.tcp.clone().layer(from_fn(only_this_machine));
        for listener in listeners.tcp {
            let accepting = Arc::clone(&server).accept(listener, guarded.clone());
            server.tasks.spawn(accepting);
        }
        for socket in listeners.unix {
            let accepting = Arc::clone(&server).accept(socket, server.routers.unix.clone());
            server.tasks.spawn(accepting);
        }
        server.stop.cancelled().await;
        server.tasks.close();
        server.tasks.wait().await;
    }

    async fn accept<L: Accept>(self: Arc<Self>, listener: L, router: Router) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(io) => self.admit(io, &router),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Gives a connection one of the places, or tells it that there is none.
    fn admit(self: &Arc<Self>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: &Router) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let converse = Arc::clone(self).converse(io, router.clone(), place);
            self.tasks.spawn(converse);
        } else if let Ok(place) = Arc::clone(&self.refusals).try_acquire_owned() {
            let refuse = Router::new().fallback(too_many);
            let converse = Arc::clone(self).converse(io, refuse, place);
            self.tasks.spawn(converse);
        }
    }

    async fn converse<I>(self: Arc<Self>, io: I, router: Router, _place: OwnedSemaphorePermit)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Rim::new(io, self.limits.write_within));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers_within)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(io, TowerToHyperService::new(router));
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match timeout(self.limits.grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::warn!("a connection outlived the grace and was cut"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (io, _) = Self::accept(self).await?;
        // Answers are small and waited for.
        io.set_nodelay(true)?;
        Ok(io)
    }
}

impl Accept for Socket {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let (io, _) = self.listener.accept().await?;
        Ok(io)
    }
}

async fn too_many() -> impl IntoResponse {
    let close = [(axum::http::header::CONNECTION, "close")];
    (close, Problem::from(Fault::TooManyConnections))
}
