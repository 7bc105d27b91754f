//! The process that gets killed: the serving code of the command line, with scripted agents, agents with models, and a
//! trap in its store.

use std::path::PathBuf;
use std::sync::Arc;

use agent_runtime::fleet::{Faults, Fleet};
use agent_runtime::{AgentKind, OpenError, open_store};
use agent_runtime_cli::{CliError, Exit, Screen, Server, Signals, SocketPath, Terminal, serve};
use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use super::agent::{self, Scripted};
use super::effects::Witness;
use super::flaw::{Flaw, FlawedStore};
use super::talk::{HEIR, HELPER};
use super::thinker::{self, Thinking};
use super::trap::{Trap, TrapError, TrappedStore};

/// The name of the hidden command.
pub(super) const COMMAND: &str = "host";

/// What the parent tells the process that it will kill.
#[derive(Clone, Debug, Args)]
pub(super) struct HostArgs {
    /// The store's file.
    #[arg(long)]
    pub(super) store: PathBuf,
    /// Where executions are counted.
    #[arg(long)]
    pub(super) counter: PathBuf,
    /// The number of this process.
    #[arg(long)]
    pub(super) life: u32,
    /// How many agents there are.
    #[arg(long)]
    pub(super) agents: u32,
    /// Where it dies by its own hand.
    #[arg(long, value_parser = trap)]
    pub(super) trap: Option<Trap>,
    /// How its store breaks the contract.
    #[arg(long)]
    pub(super) flaw: Option<Flaw>,
}

/// Why it could not serve.
#[derive(Debug, Error)]
pub(super) enum HostError {
    /// The kernel does not tie it to its parent.
    #[error("this process cannot be tied to the life of its parent")]
    Tie(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The fleet of the laboratory is wrong.
    #[error("the laboratory's fleet has {}", .0.count())]
    Fleet(Faults),
    /// It cannot serve.
    #[error(transparent)]
    Serve(#[from] CliError),
}

fn trap(given: &str) -> Result<Trap, TrapError> {
    given.parse()
}

/// The agents' names.
pub(super) fn agent_name(nth: u32) -> String {
    format!("agent-{nth}")
}

/// How many agents with models callers talk to.
pub(super) const THINKERS: u32 = 3;

/// The names of the agents with models that callers talk to.
pub(super) fn thinker_name(nth: u32) -> String {
    format!("thinker-{nth}")
}

/// The names of all agents with models.
pub(super) fn thinkers() -> impl Iterator<Item = String> {
    (0..THINKERS).map(thinker_name).chain([HELPER, HEIR].map(str::to_owned))
}

/// Serves until it dies or is asked to end.
pub(super) async fn host(args: HostArgs) -> Result<Exit, HostError> {
    // A parent that is killed itself leaves nobody behind.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| HostError::Tie(errno.into()))?;
    let filter = EnvFilter::try_from_env("AGENT_RUNTIME_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let uri = format!("redb:{}", args.store.display());
    let mut store = open_store(&uri).await?;
    if let Some(flaw) = args.flaw {
        store = Arc::new(FlawedStore::new(store, flaw));
    }
    let witness = Arc::new(Witness::new(args.counter, args.life));
    let kinds: Vec<Arc<dyn AgentKind>> =
        vec![Arc::new(Scripted { witness: Arc::clone(&witness) }), Arc::new(Thinking::new(witness))];
    let fleet = Fleet::check(&fleet_file(args.agents), &kinds).map_err(HostError::Fleet)?;
    let server = Server {
        store: Arc::new(TrappedStore::new(store, args.trap)),
        store_name: uri,
        disk: None,
        kinds,
        fleet,
        http: None,
        socket: Some(SocketPath::beside(&args.store)?),
        drain: std::time::Duration::from_secs(5),
    };
    let screen = Screen::new(Terminal::ask(), true);
    Ok(serve(server, &screen, &mut Signals::listen()?).await?)
}

fn fleet_file(agents: u32) -> String {
    // What happens to agents is kept, so that it can be compared with the logs.
    let mut text =
        "durability = \"disk\"\n[[events.topics]]\nof = \"agents/**\"\nkeep = \"forever\"\n".to_owned();
    for nth in 0..agents {
        text.push_str(&format!("[agents.{}]\nkind = \"{}\"\n", agent_name(nth), agent::KIND));
    }
    for name in thinkers() {
        text.push_str(&format!("[agents.{name}]\nkind = \"{}\"\n", thinker::KIND));
    }
    text
}
