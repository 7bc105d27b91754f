//! `status`: the runtime itself.

use agent_runtime::Runtime;
use agent_runtime::store::{Durability, Sharing};

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{pairs, readiness, time};

/// Shows store, readiness and open runs.
pub(crate) async fn status(desk: &Desk, runtime: &dyn Runtime) -> Result<Exit, CliError> {
    let status = runtime.status().await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&status)?;
        return Ok(Exit::Done);
    }
    let now = desk.now();
    let durability = match status.store.best {
        Durability::Memory => "survives nothing",
        Durability::Process => "survives the end of the process",
        Durability::Disk => "survives the loss of power",
    };
    let sharing = match status.store.sharing {
        Sharing::Single => "one process",
        Sharing::Shared => "any number of processes",
    };
    let progress = status.last_progress.map_or("none yet".to_owned(), |at| time::ago(now, at));
    let rows = vec![
        ("served by", desk.server()),
        ("readiness", readiness(&status.readiness).0),
        ("store", format!("{} ({durability}; {sharing})", desk.place.store)),
        ("since", format!("{} ({})", time::moment(status.since), time::ago(now, status.since))),
        ("open runs", status.open_runs.to_string()),
        ("active agents", status.active_agents.to_string()),
        ("last progress", progress),
        ("node", status.node.to_string()),
        ("build", status.build),
    ];
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    Ok(Exit::Done)
}
