//! `save` and `restore`: snapshots of agents.

use agent_runtime::{AgentRef, Name, Runtime, StateId};
use serde_json::json;

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

/// Makes a new agent from a snapshot.
pub(crate) async fn restore(
    desk: &Desk,
    runtime: &dyn Runtime,
    state: &StateId,
    name: Option<Name>,
) -> Result<Exit, CliError> {
    let id = runtime.restore_agent(state, name).await?;
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
