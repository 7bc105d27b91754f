//! `serve`: hosts the agents of a fleet until it is asked to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::{Applied, AppliedAgent, BusPlace, Change, Fleet};
use agent_runtime::service::{AgentService, CancellationToken, Listeners, Serving};
use agent_runtime::store::StateStore;
use agent_runtime::webhooks::Webhooks;
use agent_runtime::{AgentKind, Name, Runtime, RuntimeManager, SystemClock, Tenant};
use serde::{Serialize, Serializer};

use crate::error::CliError;
use crate::exit::Exit;
use crate::open::{self, How};
use crate::render::answer::visible;
use crate::render::counted;
use crate::screen::Screen;
use crate::signals::Signals;
use crate::socket::SocketPath;

/// How long a webhook's deliveries that are under way have to end when the server ends; what is left is delivered by the next one.
const DELIVERED_WITHIN: Duration = Duration::from_secs(3);

/// What is served, and where. Other programs (the crash laboratory) serve with other kinds and a store of their own.
#[derive(Debug)]
pub struct Server {
    /// The store, opened.
    pub store: Arc<dyn StateStore>,
    /// How the store is called.
    pub store_name: String,
    /// The disk that it is on, where it is on one.
    pub disk: Option<PathBuf>,
    /// The kinds that are hosted.
    pub kinds: Vec<Arc<dyn AgentKind>>,
    /// The agents, the durability.
    pub fleet: Fleet,
    /// Where to listen for HTTP.
    pub http: Option<SocketAddr>,
    /// Where to listen for the other commands.
    pub socket: Option<SocketPath>,
    /// How long runs have to end by themselves when the server is asked to end.
    pub drain: Duration,
}

/// What a server says once it is ready: one line of JSON where no person reads it.
#[derive(Debug, Serialize)]
pub struct Ready {
    /// The store.
    pub store: String,
    /// Where it listens for HTTP, with the port that the system chose.
    pub http: Vec<SocketAddr>,
    /// Where it listens for the other commands.
    pub socket: Option<PathBuf>,
    /// Where the bus is: `store`, or the address of a Redis server without its password.
    #[serde(serialize_with = "as_text")]
    pub events: BusPlace,
    /// The agents of the fleet file, and what applying it did to them.
    pub agents: Vec<AppliedAgent>,
    /// The agents that the fleet file does not name: they are stopped.
    pub left: Vec<Name>,
    /// What applying the fleet file did to what all agents may use together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Change>,
    /// Whom it tells how runs end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Name>,
    /// How many runs of an earlier process are open.
    pub open_runs: u64,
}

/// A server that is up.
struct Up {
    runtime: RuntimeManager,
    webhooks: Webhooks,
    serving: Serving,
    asked_to_end: CancellationToken,
    drain: Duration,
    ready: Ready,
    /// Its folder is reached through this as long as the socket is there.
    _socket: Option<SocketPath>,
}

/// Serves until a signal asks it to end, or somebody shuts the runtime down over HTTP. Then it takes no more runs, lets
/// what runs end, parks the rest, and returns. A second signal ends it at once.
///
/// # Errors
/// [`CliError`] when it cannot begin, or the store fails at the end.
pub async fn serve(server: Server, screen: &Screen, signals: &mut Signals) -> Result<Exit, CliError> {
    let up = tokio::select! {
        up = server.start(screen) => up?,
        signal = signals.next() => return Ok(Exit::Signal(signal)),
    };
    up.tell(screen)?;
    tokio::select! {
        _ = signals.next() => {}
        () = up.asked_to_end.cancelled() => {}
    }
    let open = up.runtime.status().await.map_or(0, |status| status.open_runs);
    let what = if open == 0 {
        "ending: no run is open".to_owned()
    } else {
        let drain = up.drain.as_secs();
        let open = counted(open, "open run");
        format!("ending: {drain} s for {open}, then parking; a second signal ends it at once")
    };
    screen.say(screen.paint_err().dim(what));
    tokio::select! {
        ended = up.end() => ended.map(|()| Exit::Done),
        signal = signals.next() => Ok(Exit::Signal(signal)),
    }
}

impl Server {
    async fn start(self, screen: &Screen) -> Result<Up, CliError> {
        // Where it shall listen is asked first: nothing is resumed by a server that nobody can reach.
        let mut listeners = Listeners::none();
        if let Some(address) = self.http {
            listeners = listeners.tcp(address).await?;
        }
        if let Some(socket) = &self.socket {
            listeners = listeners.unix(socket.usable()).await?;
        }
        let durability = open::durability(&self.store, self.fleet.durability);
        let bus = self.fleet.bus.open(Arc::clone(&self.store), durability).await?;
        let how = How {
            durability: self.fleet.durability,
            keep_runs: self.fleet.keep_runs,
            scrub: self.fleet.scrub,
            resources: self.fleet.resources(&Tenant::default()),
            health: self.fleet.health_settings(self.disk.as_deref()),
            at_rest: false,
        };
        let runtime = open::runtime(self.store, Arc::clone(&bus), self.kinds, how, screen).await?;
        let applied = match self.fleet.apply(runtime.as_runtime()).await {
            Ok(applied) => applied,
            Err(error) => {
                runtime.shutdown(Duration::ZERO).await?;
                return Err(error.into());
            }
        };
        if let Err(error) = self.fleet.watch(&runtime).await {
            runtime.shutdown(Duration::ZERO).await?;
            return Err(error.into());
        }
        let webhooks = match self.fleet.start_webhooks(Arc::clone(&bus), runtime.shared()).await {
            Ok(webhooks) => webhooks,
            Err(error) => {
                runtime.shutdown(Duration::ZERO).await?;
                return Err(error.into());
            }
        };
        let Applied { agents, left, limits } = applied;
        let open_runs = runtime.as_runtime().status().await?.open_runs;
        let asked_to_end = CancellationToken::new();
        let service = AgentService::over(runtime.shared()).on_shutdown(asked_to_end.clone());
        let mut service = service.events(bus, Arc::new(SystemClock::default()));
        // Who asks without naming an agent means the only one.
        let mut started = self.fleet.agents.iter().filter(|agent| agent.start);
        if let (Some(only), None) = (started.next(), started.next()) {
            service = service.default_agent(only.spec.name.clone());
        }
        let serving = service.start(listeners);
        let ready = Ready {
            store: self.store_name,
            http: serving.addresses().to_vec(),
            socket: self.socket.as_ref().map(|socket| socket.shown().to_owned()),
            events: self.fleet.bus.place,
            agents,
            left,
            limits,
            webhooks: self.fleet.webhooks.into_iter().map(|webhook| webhook.name).collect(),
            open_runs,
        };
        Ok(Up { runtime, webhooks, serving, asked_to_end, drain: self.drain, ready, _socket: self.socket })
    }
}

impl Up {
    async fn end(self) -> Result<(), CliError> {
        // Callers are told that it is draining, and see how their runs end.
        let ended = self.runtime.shutdown(self.drain).await;
        self.webhooks.end(DELIVERED_WITHIN).await;
        self.serving.stop().await;
        Ok(ended?)
    }

    fn tell(&self, screen: &Screen) -> Result<(), CliError> {
        let ready = &self.ready;
        if screen.lists_as_json() {
            return screen.json_line(ready);
        }
        let paint = screen.paint();
        screen.line(format!("{} {}", paint.good("serving"), paint.bold(visible(&ready.store))))?;
        for address in &ready.http {
            screen.line(format!("  http    http://{address}"))?;
        }
        if let Some(socket) = &ready.socket {
            screen.line(format!("  socket  {}", visible(&socket.to_string_lossy())))?;
        }
        if ready.events != BusPlace::Store {
            screen.line(format!("  events  {}", visible(&ready.events.to_string())))?;
        }
        for AppliedAgent { name, change } in &ready.agents {
            let note = match change {
                Change::Added => "new",
                Change::Changed => "changed: this is its next revision",
                Change::Kept => "as before",
            };
            screen.line(format!("  agent   {name}  {}", paint.dim(note)))?;
        }
        if ready.limits == Some(Change::Changed) {
            let note = "of all agents are those of the fleet file again (`limits` shows them)";
            screen.line(format!("  limits  {}", paint.dim(note)))?;
        }
        for name in &ready.webhooks {
            screen.line(format!("  webhook {name}"))?;
        }
        for name in &ready.left {
            let note = "not in the fleet file: left stopped (`agents delete` deletes it)";
            screen.line(format!("  left    {name}  {}", paint.warn(note)))?;
        }
        if ready.open_runs > 0 {
            let open = counted(ready.open_runs, "open run");
            screen.line(format!("  runs    {open} from before"))?;
        }
        if screen.terminal.err {
            let paint = screen.paint_err();
            if let Some(address) = ready.http.first() {
                let curl = format!("curl -s http://{address}/run --json '{{\"input\": \"…\"}}'");
                screen.say(paint.dim(format!("\nnext: {curl}")));
            }
            screen.say(paint.dim("Ctrl-C ends it; no run is lost"));
        }
        Ok(())
    }
}

fn as_text<S: Serializer>(place: &BusPlace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}
