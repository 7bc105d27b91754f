//! `save` and `restore`: snapshots of agents.

use agent_runtime::{AgentRef, Runtime};
use serde_json::json;

use crate::args::RestoreArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;

/// Freezes an agent.
pub(crate) async fn save(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let state = runtime.save_state(agent).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "state": state }))?;
    } else {
        screen.line(state.to_string())?;
        screen.hint(&[format!("restore {state}")]);
    }
    Ok(Exit::Done)
}

/// Makes a new agent from a snapshot, or puts one back to it.
pub(crate) async fn restore(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &RestoreArgs,
) -> Result<Exit, CliError> {
    if let Some(agent) = &args.in_place {
        runtime.restore_in_place(&args.state, agent).await?;
        return put_back(desk, runtime, agent).await;
    }
    let id = runtime.restore_agent(&args.state, args.name.clone()).await?;
    let restored = runtime.agent(&id.into()).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&restored)?;
    } else {
        screen.line(format!("{}  {}", restored.name, restored.id))?;
        screen.hint(&[
            format!("run {} \"tell me more\"", restored.name),
            format!("agents show {}", restored.name),
        ]);
    }
    Ok(Exit::Done)
}

/// Says what an agent is, after it was put back.
async fn put_back(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let agent = runtime.agent(agent).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&agent)?;
    } else {
        screen.line(format!("{} is put back, and stopped", agent.name))?;
        screen.hint(&[format!("agents start {}", agent.name)]);
    }
    Ok(Exit::Done)
}
