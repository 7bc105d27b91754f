//! `cancel`: ends a run early.

use std::time::Duration;

use agent_runtime::Runtime;
use agent_runtime::log::Stopped;
use agent_runtime::runtime::CancelReceipt;

use super::run_of;
use crate::args::RunArg;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::outcome;

/// Ends a run early, and says what it left behind.
pub(crate) async fn cancel(
    desk: &Desk,
    runtime: &dyn Runtime,
    run: RunArg,
    reason: &str,
    within: Duration,
) -> Result<Exit, CliError> {
    let run = run_of(runtime, run).await?;
    let receipt = runtime.cancel(&run, reason, within).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&receipt)?;
        return Ok(Exit::Done);
    }
    match receipt {
        CancelReceipt::AlreadyEnded(ended) => {
            screen.line(format!("{run} was over before: {}", outcome(&ended).0))?;
        }
        CancelReceipt::Cancelled(receipt) => {
            let how = match receipt.stopped {
                Stopped::Complete => "nothing more is sent or read for it",
                Stopped::Dropped => "dropped at its next pause; nothing more is sent or read for it",
                Stopped::Abandoned => "shut out of its log, but its thread is still busy",
            };
            screen.line(format!("{run} is cancelled: {how}"))?;
            for step in &receipt.unknown {
                screen.line(format!("  step `{step}` had begun, and its end is not known"))?;
            }
        }
    }
    Ok(Exit::Done)
}
