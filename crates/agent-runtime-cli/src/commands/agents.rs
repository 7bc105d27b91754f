//! `agents`: what is registered, and what is wanted of it.

use agent_runtime::runtime::{AgentStatus, Want};
use agent_runtime::{AgentRef, Runtime};
use serde_json::json;

use super::{limits, usage};
use crate::args::AgentsCommand;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Tone, pairs, process, size, table, want};

/// Does what is asked with an agent, or lists them.
pub(crate) async fn agents(
    desk: &Desk,
    runtime: &dyn Runtime,
    command: Option<&AgentsCommand>,
) -> Result<Exit, CliError> {
    match command {
        None | Some(AgentsCommand::List) => return list(desk, runtime).await,
        Some(AgentsCommand::Show(arg)) => return show(desk, runtime, &arg.agent).await,
        Some(AgentsCommand::Delete(arg)) => return delete(desk, runtime, &arg.agent).await,
        Some(AgentsCommand::Usage(arg)) => return usage::usage(desk, runtime, &arg.agent).await,
        Some(AgentsCommand::Limit(args)) => return limits::limit(desk, runtime, args).await,
        Some(AgentsCommand::Start(arg)) => {
            runtime.start(&arg.agent).await?;
            now(desk, runtime, &arg.agent).await
        }
        Some(AgentsCommand::Stop(arg)) => {
            runtime.stop(&arg.agent).await?;
            now(desk, runtime, &arg.agent).await
        }
        Some(AgentsCommand::Pause(arg)) => {
            runtime.pause(&arg.agent).await?;
            now(desk, runtime, &arg.agent).await
        }
        Some(AgentsCommand::Resume(arg)) => {
            runtime.resume(&arg.agent).await?;
            now(desk, runtime, &arg.agent).await
        }
    }
}

/// All agents of the runtime, by name.
pub(crate) async fn all(runtime: &dyn Runtime) -> Result<Vec<AgentStatus>, CliError> {
    let mut agents = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = runtime.agents(after.as_deref(), 100).await?;
        agents.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(agents);
        }
    }
}

async fn list(desk: &Desk, runtime: &dyn Runtime) -> Result<Exit, CliError> {
    let agents = all(runtime).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&agents)?;
        return Ok(Exit::Done);
    }
    if agents.is_empty() {
        screen.say(screen.paint_err().dim("there are no agents yet; name some in the fleet file"));
        return Ok(Exit::Done);
    }
    let row = |agent: &AgentStatus| {
        vec![
            (agent.name.to_string(), Tone::Plain),
            (agent.kind.to_string(), Tone::Plain),
            want(agent.want, agent.hosted),
            (agent.running.to_string(), Tone::Plain),
            (agent.queued.to_string(), Tone::Plain),
            (size::bytes(agent.stored.bytes), size::tone(&agent.stored)),
            in_fleet(desk, agent),
            (agent.description.clone(), Tone::Dim),
        ]
    };
    let head = ["NAME", "KIND", "STATE", "RUNNING", "QUEUED", "STORED", "FLEET", "DESCRIPTION"];
    let rows = agents.iter().map(row).collect();
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    if let Some(agent) = agents.iter().find(|agent| agent.want == Want::Active) {
        screen.hint(&[format!("run {} \"…\"", agent.name), format!("agents show {}", agent.name)]);
    }
    Ok(Exit::Done)
}

async fn show(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let agent = runtime.agent(agent).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&agent)?;
        return Ok(Exit::Done);
    }
    let rows = vec![
        ("name", agent.name.to_string()),
        ("id", agent.id.to_string()),
        ("kind", agent.kind.to_string()),
        ("description", agent.description.clone()),
        ("state", want(agent.want, agent.hosted).0),
        ("revision", agent.revision.to_string()),
        ("running", agent.running.to_string()),
        ("queued", agent.queued.to_string()),
        ("stored", size::stored(&agent.stored)),
        ("tokens", limits::tokens(&agent)),
        ("limits", limits::shown(&agent)),
        ("process", agent.process.as_ref().map_or("nothing".to_owned(), process::taken)),
        ("fleet", in_fleet(desk, &agent).0),
    ];
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    screen.hint(&[format!("runs --agent {}", agent.name), format!("status {}", agent.name)]);
    Ok(Exit::Done)
}

/// Says what is wanted of an agent, after it was changed.
async fn now(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let agent = runtime.agent(agent).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&agent)?;
        return Ok(Exit::Done);
    }
    let left = match (agent.want, agent.running, agent.queued) {
        (Want::Active, ..) | (_, 0, 0) => String::new(),
        (_, running, queued) => format!(" ({running} running, {queued} queued)"),
    };
    screen.line(format!("{} is {}{left}", agent.name, want(agent.want, agent.hosted).0))?;
    Ok(Exit::Done)
}

async fn delete(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let status = runtime.agent(agent).await?;
    runtime.unregister(agent).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "deleted": status.id }))?;
        return Ok(Exit::Done);
    }
    let kept = "its snapshots stay; large contents that nothing else needs go within two days";
    screen.line(format!("{} is deleted, with its runs and conversations; {kept}", status.name))?;
    if in_fleet(desk, &status).0 == NAMED {
        let note =
            format!("the fleet file still names `{}`: take it out there, or it is made anew", status.name);
        screen.say(screen.paint_err().warn(note));
    }
    Ok(Exit::Done)
}

const NAMED: &str = "named";

/// Whether the fleet file names an agent. Those that it does not name are left stopped by `serve`.
fn in_fleet(desk: &Desk, agent: &AgentStatus) -> (String, Tone) {
    let folded = agent.name.folded();
    match &desk.place.fleet {
        Some(fleet) if fleet.agents.iter().any(|a| a.spec.name.folded() == folded) => {
            (NAMED.to_owned(), Tone::Plain)
        }
        Some(_) => ("not named".to_owned(), Tone::Warn),
        None => ("no file".to_owned(), Tone::Dim),
    }
}
