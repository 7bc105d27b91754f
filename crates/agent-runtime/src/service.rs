//! Agents behind HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Runtime, RuntimeError};
use thiserror::Error;

use crate::RuntimeManager;

pub use runtime_service::{
    EventTail, ListenError, Listeners, PlaceError, RemoteEvents, RemoteRuntime, Serving, TailOf, Tailed,
};
pub use tokio_util::sync::CancellationToken;

/// How long runs have to end by themselves when a service stops.
const DRAIN: Duration = Duration::from_secs(10);

/// An agent as a standalone service: `POST /run`, `GET /health`, `GET /status`. What controls its runtime does not
/// answer on a TCP port, which every user of the machine can connect to.
///
/// ```no_run
/// use agent_runtime::prelude::*;
///
/// # async fn example() -> Result<(), agent_runtime::service::ServiceError> {
/// let service = AgentService::new(Librarian::new("docs"));
/// let serving = service.start(8000).await?;
/// # serving.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a service does nothing until it is started"]
pub struct AgentService {
    agent: Box<dyn Agent>,
    runtime: Option<RuntimeManager>,
}

/// An agent that is served. It is no longer when this is dropped; only [`ServedAgent::stop`] lets its runs end.
#[derive(Debug)]
#[must_use = "an agent is no longer served when this is dropped"]
pub struct ServedAgent {
    runtime: RuntimeManager,
    serving: Serving,
}

/// Why an agent could not be served.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The runtime does not take the agent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl AgentService {
    /// Makes a service from an agent, on a runtime of its own in memory.
    pub fn new(agent: impl Agent) -> Self {
        Self { agent: Box::new(agent), runtime: None }
    }

    /// The HTTP face of a whole runtime, with its settings.
    pub fn over(runtime: Arc<dyn Runtime>) -> runtime_service::AgentService {
        runtime_service::AgentService::over(runtime)
    }

    /// Registers the agent with this runtime instead of one of its own.
    pub fn on(mut self, runtime: RuntimeManager) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Registers and starts the agent, and serves it on this port of the loopback address; 0 is any free port.
    ///
    /// # Errors
    /// [`ServiceError`]: the port is taken, or the runtime does not take the agent.
    pub async fn start(self, port: u16) -> Result<ServedAgent, ServiceError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listeners = Listeners::none().tcp(address).await?;
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => RuntimeManager::new().await?,
        };
        let id = runtime.register_agent(Boxed(self.agent)).await?;
        runtime.start_agent(&id).await?;
        let serving = Self::over(runtime.shared()).default_agent(id).start(listeners);
        Ok(ServedAgent { runtime, serving })
    }
}

impl ServedAgent {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.addresses()[0]
    }

    /// Takes no more requests, lets runs end for 10 s, parks the rest.
    ///
    /// # Errors
    /// What kept the store from writing.
    pub async fn stop(self) -> Result<(), RuntimeError> {
        let ended = self.runtime.shutdown(DRAIN).await;
        self.serving.stop().await;
        ended
    }
}

/// An agent of a type that nobody needs to know.
#[derive(Debug)]
struct Boxed(Box<dyn Agent>);

#[async_trait]
impl Agent for Boxed {
    fn spec(&self) -> AgentSpec {
        self.0.spec()
    }

    fn remembers(&self) -> usize {
        self.0.remembers()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        self.0.run(ctx, input).await
    }
}
