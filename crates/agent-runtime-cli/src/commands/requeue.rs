//! `requeue`: lets a run out of quarantine.

use agent_runtime::Runtime;
use serde_json::json;

use super::run_of;
use crate::args::RunArg;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;

/// Lets the run go on.
pub(crate) async fn requeue(desk: &Desk, runtime: &dyn Runtime, run: RunArg) -> Result<Exit, CliError> {
    let run = run_of(runtime, run).await?;
    runtime.requeue(&run).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "run_id": run }))?;
    } else {
        screen.line(format!("requeued: {run}"))?;
        screen.hint(&[format!("log --follow {run}")]);
    }
    Ok(Exit::Done)
}
