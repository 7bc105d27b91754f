//! `state …`: whole stores, while nobody else has them.

use std::path::Path;
use std::sync::Arc;

use agent_runtime::OpenError;
use agent_runtime::fleet::StoreUri;
use agent_runtime::store::{StateError, StateStore};
use agent_runtime::stores::{
    AgentLeft, Copied, CopyError, CopyStep, Verified, check_pages, copy_store, verify_store,
};
use serde::Serialize;
use serde_json::json;

use super::{keys, repairs};
use crate::args::{Global, StateCommand, VerifyArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::open::{self, Opened};
use crate::place::Place;
use crate::progress::Progress;
use crate::render::{Row, Tone, counted, table};
use crate::screen::Screen;
use crate::signals::Signals;
use crate::socket::SocketPath;

/// Does what a command of `state` says. A signal ends it; what it leaves then is said by the next try.
pub(crate) async fn obey(
    screen: &Screen,
    global: &Global,
    command: &StateCommand,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let work = async {
        match command {
            StateCommand::Copy { from, to } => copy(screen, global, from, to).await,
            StateCommand::Verify(args) => {
                verify(screen, &the_store(global, args.store.as_ref())?, args).await
            }
            StateCommand::Repair(args) => repairs::repair(screen, global, args).await,
            StateCommand::Export { store, to } => repairs::export(screen, global, store, to).await,
            StateCommand::Rekey { store, into } => {
                keys::rekey(screen, global, &the_store(global, store.as_ref())?, into.as_ref()).await
            }
            StateCommand::Keys { store } => keys::list(screen, &the_store(global, store.as_ref())?).await,
        }
    };
    tokio::select! {
        done = work => done,
        signal = signals.next() => Ok(Exit::Signal(signal)),
    }
}

/// The store that was named, or else that of every other command.
fn the_store(global: &Global, named: Option<&StoreUri>) -> Result<StoreUri, CliError> {
    match named {
        Some(store) => Ok(store.clone()),
        None => Ok(Place::find(global, false)?.store),
    }
}

async fn copy(screen: &Screen, global: &Global, from: &StoreUri, to: &StoreUri) -> Result<Exit, CliError> {
    open::may_take(&[from, to], global.nobody_serves)?;
    let source = existing(screen, from).await?;
    let target = opened(screen, to).await?;
    let bar = Progress::begin(screen, &format!("copying {from}"));
    let copied = copy_store(&*source, &*target, |step, done| bar.note(&doing(step, done))).await;
    bar.end();
    let copied = copied.map_err(|error| not_copied(error, from, to))?;
    if screen.json {
        screen.json(&json!({ "from": from.to_string(), "to": to.to_string(), "copied": copied }))?;
    } else {
        screen.line(format!("copied {} into {to}", amount(&copied)))?;
        screen.hint(&[format!("--store {to} status")]);
    }
    Ok(Exit::Done)
}

/// What `state verify` found, as JSON.
#[derive(Debug, Serialize)]
struct Report {
    store: String,
    /// `whole`, what is wrong with the pages, or nothing where none were checked.
    pages: Option<String>,
    #[serde(flatten)]
    verified: Verified,
}

async fn verify(screen: &Screen, uri: &StoreUri, args: &VerifyArgs) -> Result<Exit, CliError> {
    let store = left_of(screen, uri).await?;
    let bar = Progress::begin(screen, &format!("reading {uri}"));
    let verified = verify_store(&*store, |so_far| {
        bar.note(&format!("{}, {}", counted(so_far.cells, "cell"), entries(so_far.entries)));
    });
    let verified = verified.await.map_err(CliError::Verify)?;
    // The pages are checked by who opens the file.
    drop(store);
    let pages = if args.pages {
        bar.note("checking pages");
        match check_pages(&uri.address()) {
            Ok(true) => Some("whole".to_owned()),
            Ok(false) => None,
            Err(OpenError::Damaged { cause, .. }) => Some(cause.to_string()),
            Err(error) => return Err(error.into()),
        }
    } else {
        None
    };
    bar.end();
    let is_whole = verified.damaged == 0 && pages.as_ref().is_none_or(|pages| pages == "whole");
    let report = Report { store: uri.to_string(), pages, verified };
    if screen.lists_as_json() {
        screen.json(&report)?;
    } else {
        tell(screen, &report, is_whole)?;
    }
    Ok(if is_whole { Exit::Done } else { Exit::Store })
}

fn tell(screen: &Screen, report: &Report, is_whole: bool) -> Result<(), CliError> {
    let Report { store, pages, verified } = report;
    let paint = screen.paint();
    if !verified.damages.is_empty() {
        let or_none = |text: Option<String>| text.unwrap_or_default();
        let rows = verified.damages.iter().map(|damage| -> Row {
            vec![
                (damage.partition.to_string(), Tone::Plain),
                (damage.place.to_string(), Tone::Bad),
                (damage.what.clone(), Tone::Plain),
                (or_none(damage.tenant.as_ref().map(ToString::to_string)), Tone::Plain),
                (or_none(damage.agent.map(|agent| agent.to_string())), Tone::Plain),
                (or_none(damage.session.as_ref().map(ToString::to_string)), Tone::Plain),
                (or_none(damage.run.map(|run| run.to_string())), Tone::Plain),
            ]
        });
        let head = ["PARTITION", "DAMAGED", "WHAT", "TENANT", "AGENT", "SESSION", "RUN"];
        screen.line(table(&head, rows.collect(), screen.terminal.width, paint.is_on()))?;
    }
    if let Some(pages) = pages.as_ref().filter(|pages| *pages != "whole") {
        screen.line(format!("{}: {pages}", paint.bad("pages")))?;
    }
    for agent in &verified.left {
        screen.line(what_is_left(agent))?;
    }
    if verified.newer > 0 {
        let newer = counted(verified.newer, "value");
        screen.line(format!(
            "{newer} of a newer version: use the version that wrote them, and let none be repaired"
        ))?;
    }
    let read = format!(
        "{}, {}, {}, {} in {}",
        counted(verified.cells, "cell"),
        counted(verified.logs, "log"),
        entries(verified.entries),
        counted(verified.contents, "large content"),
        counted(verified.partitions, "partition"),
    );
    if is_whole {
        return screen.line(format!("{store} {}: {read}", paint.good("is whole")));
    }
    let named = verified.damages.len() as u64;
    let more = verified.damaged.saturating_sub(named);
    let more = if more > 0 { format!(", {more} of them not named here") } else { String::new() };
    let places = counted(verified.damaged, "damaged place");
    screen.line(format!("{store} {}: {places}{more}; whole are {read}", paint.bad("is damaged")))
}

/// One agent of which something is damaged, and what is left of it.
fn what_is_left(agent: &AgentLeft) -> String {
    let name = agent.name.as_ref().map_or_else(|| agent.agent.to_string(), ToString::to_string);
    let sessions = agent.sessions.iter().map(|session| {
        let had = session.messages.map_or_else(|| "?".to_owned(), |messages| messages.to_string());
        format!("session {}: {} of {had} messages follow one another", session.session, session.whole)
    });
    let runs = agent.runs.iter().map(|left| match left.whole {
        Some(whole) => format!("{}: {} before the damage", left.run, entries(whole)),
        None => format!("{}: its log is whole", left.run),
    });
    let told: Vec<String> = sessions.chain(runs).collect();
    if told.is_empty() {
        format!("left of {name}: its conversations")
    } else {
        format!("left of {name}: {}", told.join("; "))
    }
}

/// Opens a store that has to be there: looking for one does not make it.
pub(super) async fn existing(screen: &Screen, uri: &StoreUri) -> Result<Arc<dyn StateStore>, CliError> {
    existing_for(screen, uri, false).await
}

/// As [`existing`], to read what is left of it.
pub(super) async fn left_of(screen: &Screen, uri: &StoreUri) -> Result<Arc<dyn StateStore>, CliError> {
    existing_for(screen, uri, true).await
}

async fn existing_for(
    screen: &Screen,
    uri: &StoreUri,
    to_salvage: bool,
) -> Result<Arc<dyn StateStore>, CliError> {
    if let Some(path) = uri.path().filter(|path| !path.exists()) {
        return Err(CliError::NoStore { path: path.to_owned() });
    }
    opened_for(screen, uri, to_salvage).await
}

/// Opens a store for this command alone; one on a Redis server together with whoever else works on it.
pub(super) async fn opened(screen: &Screen, uri: &StoreUri) -> Result<Arc<dyn StateStore>, CliError> {
    opened_for(screen, uri, false).await
}

async fn opened_for(
    screen: &Screen,
    uri: &StoreUri,
    to_salvage: bool,
) -> Result<Arc<dyn StateStore>, CliError> {
    if uri.is_in_memory() {
        return Err(CliError::InMemory);
    }
    let place = Place::of(uri.clone());
    let served = || Ok(place.socket()?.filter(SocketPath::is_served));
    match open::store_for(uri, screen, served, to_salvage).await.map_err(|error| place.refusal(error))? {
        Opened::Here(store) => Ok(store),
        Opened::Served(socket) => {
            let store = uri.path().unwrap_or(Path::new("")).to_owned();
            Err(CliError::Served { store, socket: socket.shown().to_owned() })
        }
    }
}

/// Why a store was not copied, with its name where only that can help.
pub(super) fn not_copied(error: CopyError, from: &StoreUri, to: &StoreUri) -> CliError {
    match error {
        CopyError::To(StateError::NoSpace) => {
            CliError::NoRoom { store: to.to_string(), from: from.to_string() }
        }
        error => error.into(),
    }
}

pub(super) fn doing(step: CopyStep, done: &Copied) -> String {
    let step = match step {
        CopyStep::Copying => "written",
        CopyStep::Comparing => "compared",
    };
    format!("{step}: {}, {}", counted(done.cells, "cell"), entries(done.entries))
}

pub(super) fn amount(copied: &Copied) -> String {
    format!(
        "{}, {} with {} ({})",
        counted(copied.cells, "cell"),
        counted(copied.logs, "log"),
        entries(copied.entries),
        counted(copied.bytes, "byte"),
    )
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}
