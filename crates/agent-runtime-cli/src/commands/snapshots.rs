//! `snapshots` and `snapshot`: what was saved.

use agent_runtime::runtime::SnapshotFilter;
use agent_runtime::snapshot::{SnapshotDiff, SnapshotInfo};
use agent_runtime::{AgentRef, Runtime, StateId};
use serde_json::json;

use super::snapshot_files;
use crate::args::{KeepArgs, SnapshotCommand};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::time::moment;
use crate::render::{Row, Tone, counted, pairs, table};

/// Lists snapshots, oldest first.
pub(crate) async fn list(
    desk: &Desk,
    runtime: &dyn Runtime,
    agent: Option<&AgentRef>,
) -> Result<Exit, CliError> {
    let agent = match agent {
        // An agent that is gone is known by its id only.
        Some(AgentRef::Id(id)) => Some(*id),
        Some(agent) => Some(runtime.agent(agent).await?.id),
        None => None,
    };
    let mut filter = SnapshotFilter { agent, after: None, limit: 0 };
    let mut snapshots = Vec::new();
    loop {
        let page = runtime.snapshots(filter.clone()).await?;
        snapshots.extend(page.items);
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    snapshots.sort_by_key(|info| (info.at, info.state));
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&snapshots)?;
        return Ok(Exit::Done);
    }
    if snapshots.is_empty() {
        screen.say(screen.paint_err().dim("there are no snapshots; `save AGENT` makes one"));
        return Ok(Exit::Done);
    }
    let head = ["SNAPSHOT", "AGENT", "SAVED", "SESSIONS", "MESSAGES", "BYTES"];
    let rows = snapshots.iter().map(row).collect();
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    if let Some(last) = snapshots.last() {
        screen.hint(&[format!("snapshot show {}", last.state), format!("restore {}", last.state)]);
    }
    Ok(Exit::Done)
}

fn row(info: &SnapshotInfo) -> Row {
    let number = |number: u64| (number.to_string(), Tone::Plain);
    vec![
        (info.state.to_string(), Tone::Plain),
        (info.name.to_string(), Tone::Plain),
        (moment(info.at), Tone::Dim),
        number(info.sessions.into()),
        number(info.messages),
        number(info.bytes),
    ]
}

/// Does what is asked with a snapshot.
pub(crate) async fn snapshot(
    desk: &Desk,
    runtime: &dyn Runtime,
    command: &SnapshotCommand,
) -> Result<Exit, CliError> {
    match command {
        SnapshotCommand::Show { state } => show(desk, runtime, state).await,
        SnapshotCommand::Diff { before, after } => diff(desk, runtime, before, after).await,
        SnapshotCommand::Delete { state } => delete(desk, runtime, state).await,
        SnapshotCommand::Keep(args) => keep(desk, runtime, args).await,
        SnapshotCommand::Export { state, file } => snapshot_files::export(desk, runtime, state, file).await,
        SnapshotCommand::Import { file } => snapshot_files::import(desk, runtime, file).await,
    }
}

async fn show(desk: &Desk, runtime: &dyn Runtime, state: &StateId) -> Result<Exit, CliError> {
    let view = runtime.snapshot(state).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&view)?;
        return Ok(Exit::Done);
    }
    let info = &view.info;
    let rows = vec![
        ("snapshot", info.state.to_string()),
        ("agent", format!("{}  {}", info.name, info.agent)),
        ("kind", format!("{}, version {}", info.kind, view.kind_version)),
        ("saved", moment(info.at)),
        ("revision", view.revision.to_string()),
        ("declaration", view.spec.clone()),
        ("messages", info.messages.to_string()),
        ("bytes", info.bytes.to_string()),
    ];
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    let row = |session: &agent_runtime::snapshot::SnapshotSession| {
        let state = if session.state.is_some() { "yes" } else { "no" };
        vec![
            (session.name.to_string(), Tone::Plain),
            (session.messages.to_string(), Tone::Plain),
            (session.bytes.to_string(), Tone::Plain),
            (state.to_owned(), Tone::Dim),
        ]
    };
    if !view.sessions.is_empty() {
        screen.line("")?;
        let rows = view.sessions.iter().map(row).collect();
        let head = ["SESSION", "MESSAGES", "BYTES", "STATE"];
        screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    }
    screen.hint(&[format!("restore {state}"), format!("snapshot export {state} FILE")]);
    Ok(Exit::Done)
}

async fn diff(
    desk: &Desk,
    runtime: &dyn Runtime,
    before: &StateId,
    after: &StateId,
) -> Result<Exit, CliError> {
    let diff = runtime.diff_snapshots(before, after).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&diff)?;
        return Ok(Exit::Done);
    }
    if diff.is_empty() {
        screen.say(screen.paint_err().dim("they do not differ"));
    }
    for line in told(&diff) {
        screen.line(line)?;
    }
    Ok(Exit::Done)
}

/// How two snapshots differ, line by line.
fn told(diff: &SnapshotDiff) -> Vec<String> {
    let spec = diff.spec.iter().map(|change| {
        let of = |json: &Option<String>| json.clone().unwrap_or_else(|| "nothing".to_owned());
        format!("~ {}: {} is now {}", change.field, of(&change.before), of(&change.after))
    });
    let added = diff.added.iter().map(|name| format!("+ session {name}"));
    let removed = diff.removed.iter().map(|name| format!("- session {name}"));
    let changed = diff.changed.iter().map(|change| {
        let mut what = vec![format!("{} in both", counted(change.shared, "message"))];
        if change.only_before > 0 {
            what.push(format!("{} before only", change.only_before));
        }
        if change.only_after > 0 {
            what.push(format!("{} after only", change.only_after));
        }
        if change.state_differs {
            what.push("another state".to_owned());
        }
        format!("~ session {}: {}", change.name, what.join(", "))
    });
    spec.chain(added).chain(removed).chain(changed).collect()
}

async fn delete(desk: &Desk, runtime: &dyn Runtime, state: &StateId) -> Result<Exit, CliError> {
    runtime.delete_snapshot(state).await?;
    deleted(desk, &[*state])
}

async fn keep(desk: &Desk, runtime: &dyn Runtime, args: &KeepArgs) -> Result<Exit, CliError> {
    let gone = runtime.retain_snapshots(&args.agent, args.retention()).await?;
    deleted(desk, &gone)
}

fn deleted(desk: &Desk, gone: &[StateId]) -> Result<Exit, CliError> {
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "deleted": gone }))?;
        return Ok(Exit::Done);
    }
    for state in gone {
        screen.line(format!("{state} is deleted"))?;
    }
    if gone.is_empty() {
        screen.say(screen.paint_err().dim("all of them are kept"));
    }
    Ok(Exit::Done)
}
