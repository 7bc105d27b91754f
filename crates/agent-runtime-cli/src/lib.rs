//! The `agent-runtime` command, and the code that serves, for other programs to serve with.
#![doc = include_str!("../README.md")]

mod args;
mod asks;
mod bus;
mod chat;
mod commands;
mod desk;
mod error;
mod exit;
mod input;
mod open;
mod place;
mod progress;
mod reach;
mod render;
mod screen;
mod serve;
mod signals;
mod socket;
mod teller;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use args::{Cli, Command, ServeArgs};
use commands::{
    agents, answer, cancel, check, decide, events, fork, health, limits, log, messages, requeue, run, runs,
    schedules, sizes, snapshots, state, status, stores, webhooks,
};
use desk::Desk;
use open::Opened;
use place::{FleetFile, Place};
use reach::Reached;

pub use error::CliError;
pub use exit::Exit;

pub use screen::{Screen, Terminal};
pub use serve::{Ready, Server, serve};
pub use signals::Signals;
pub use socket::SocketPath;

/// The whole program: reads the arguments, does what they say, and tells how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let screen = Screen::new(Terminal::ask(), cli.global.json);
    let exit = match start(cli, &screen) {
        Ok(exit) => exit,
        // Who reads has read enough, as `head` does.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            screen.fail(&error);
            error.exit()
        }
    };
    exit.into()
}

/// Tells what is wrong with the arguments, or what was asked of them: help and the version.
fn misused(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(Exit::BadInput.code());
    // The arguments could not be read, so they are looked at: what follows `--` is no option.
    let mut options = std::env::args_os().skip(1).take_while(|arg| arg != "--");
    if code == 0 || !options.any(|arg| arg == "--json") {
        // Nobody may be there to read it.
        drop(error.print());
        return code.into();
    }
    let said = error.to_string();
    let message = said.strip_prefix("error: ").unwrap_or(&said).trim_end();
    let told = serde_json::json!({ "code": "usage", "message": message });
    Screen::new(Terminal::ask(), true).say(told.to_string());
    code.into()
}

fn start(cli: Cli, screen: &Screen) -> Result<Exit, CliError> {
    trace(screen);
    let executor = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CliError::System { what: "to start threads", source })?;
    let exit = executor.block_on(obey(cli, screen));
    // Whatever still blocks a thread must not keep the process: all that matters has been committed.
    executor.shutdown_timeout(Duration::from_millis(200));
    exit
}

async fn obey(cli: Cli, screen: &Screen) -> Result<Exit, CliError> {
    let Cli { mut global, command } = cli;
    match &command {
        Command::Serve(ServeArgs { file: Some(file), .. }) | Command::Check { file: Some(file), .. } => {
            global.fleet = Some(file.clone());
        }
        _ => {}
    }
    let mut signals = Signals::listen()?;
    if let Command::Check { live, .. } = command {
        let checked = check::check(screen, &FleetFile::named(global.fleet.as_deref())?, live);
        if !live || !matches!(checked, Ok(Exit::Done)) {
            return checked;
        }
        let place = Place::find(&global, false)?;
        return tokio::select! {
            looked = check::live(screen, &place) => looked,
            signal = signals.next() => Ok(Exit::Signal(signal)),
        };
    }
    if let Command::State { command } = &command {
        return stores::obey(screen, &global, command, &mut signals).await;
    }
    let makes = matches!(command, Command::Run(_) | Command::Chat(_) | Command::Serve(_));
    let place = Place::find(&global, makes)?;
    if place.store.is_in_memory()
        && !makes
        && !(matches!(command, Command::Events(_) | Command::Webhooks(_)) && place.has_bus_elsewhere())
    {
        return Err(CliError::InMemory);
    }
    if let Command::Events(args) = command {
        return events::events(screen, &place, args, &mut signals).await;
    }
    if let Command::Webhooks(args) = command {
        return webhooks::webhooks(screen, &place, args, &mut signals).await;
    }
    if let Command::Serve(args) = command {
        return serve_place(place, &args, screen, &mut signals).await;
    }
    let reached = Reached::at(&place, !works(&command), screen).await?;
    let desk = Desk::new(screen.clone(), place, reached.server());
    let runtime = reached.runtime();
    let done = match command {
        Command::Run(args) => run::run(&desk, runtime, &args, &mut signals).await,
        Command::Chat(args) => chat::chat(&desk, runtime, &args, &mut signals).await,
        Command::Agents { command } => agents::agents(&desk, runtime, command.as_ref()).await,
        Command::Limits { limits } => limits::limits(&desk, runtime, &limits).await,
        Command::Schedules { command } => schedules::schedules(&desk, runtime, command.as_ref()).await,
        Command::Health { agent } => health::health(&desk, runtime, agent.as_ref()).await,
        Command::Runs { agent, open, quarantined } => {
            runs::runs(&desk, runtime, agent.as_ref(), open, quarantined).await
        }
        Command::Log { run, follow } => log::log(&desk, runtime, run, follow).await,
        Command::Cancel { run, reason, within } => {
            let within = Duration::from_secs(within.into());
            cancel::cancel(&desk, runtime, run, &reason, within).await
        }
        Command::Decide(args) => decide::decide(&desk, runtime, &args).await,
        Command::Requeue { run } => requeue::requeue(&desk, runtime, run).await,
        Command::Answer(args) => answer::answer(&desk, runtime, &args).await,
        Command::Approve(args) => answer::approve(&desk, runtime, &args).await,
        Command::Deny(args) => answer::deny(&desk, runtime, &args).await,
        Command::Fork(args) => fork::fork(&desk, runtime, &args).await,
        Command::Messages(args) => messages::messages(&desk, runtime, &args).await,
        Command::Save { agent } => state::save(&desk, runtime, &agent).await,
        Command::Restore(args) => state::restore(&desk, runtime, &args).await,
        Command::Snapshots { agent } => snapshots::list(&desk, runtime, agent.as_ref()).await,
        Command::Snapshot { command } => snapshots::snapshot(&desk, runtime, &command).await,
        Command::Status { agent: None } => status::status(&desk, runtime).await,
        Command::Status { agent: Some(agent) } => sizes::sizes(&desk, runtime, &agent).await,
        Command::Serve(_)
        | Command::Check { .. }
        | Command::Events(_)
        | Command::Webhooks(_)
        | Command::State { .. } => Ok(Exit::Done),
    };
    let at_once = matches!(done, Ok(Exit::Signal(_)));
    let closed = reached.close(screen, &mut signals, at_once).await;
    let exit = done?;
    closed.map(|()| exit)
}

/// Whether a command works runs where nobody serves. All others leave them as they are.
fn works(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(_) | Command::Chat(_) | Command::Fork(_) | Command::Log { follow: true, .. }
    )
}

async fn serve_place(
    place: Place,
    args: &ServeArgs,
    screen: &Screen,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let kinds = place.kinds();
    let fleet = match &place.file {
        Some(file) => file.check_with(&kinds)?,
        None => agent_runtime::fleet::Fleet::default(),
    };
    let served = || Ok(place.socket()?.filter(SocketPath::is_served));
    let opened = open::store(&place.store, screen, served).await;
    let store = match opened.map_err(|error| place.refusal(error))? {
        Opened::Here(store) => store,
        Opened::Served(socket) => {
            let store = place.store.path().unwrap_or(Path::new("")).to_owned();
            return Err(CliError::Served { store, socket: socket.shown().to_owned() });
        }
    };
    let server = Server {
        store,
        store_name: place.store.to_string(),
        disk: place.store.path().map(Path::to_owned),
        kinds,
        http: args.listen.or(fleet.http),
        fleet,
        // Its folder is there now: the store is in it.
        socket: place.socket()?,
        drain: Duration::from_secs(args.drain.into()),
    };
    serve(server, screen, signals).await
}

fn trace(screen: &Screen) {
    let filter = EnvFilter::try_from_env("AGENT_RUNTIME_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Spans tell of themselves when they end, to who asked for that much.
    let closes = filter.max_level_hint().is_some_and(|level| level >= LevelFilter::DEBUG);
    let spans = if closes { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let ansi = screen.terminal.err && screen.terminal.colour;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(ansi).with_target(false).with_span_events(spans).init();
}
