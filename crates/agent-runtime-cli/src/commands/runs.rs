//! `runs`: what was accepted, and where it is.

use std::collections::HashMap;

use agent_runtime::log::Phase;
use agent_runtime::runtime::RunFilter;
use agent_runtime::{AgentId, AgentRef, Runtime};

use super::{all_runs, name_of};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Row, Tone, awaited, phase, table, time};

/// Lists runs, oldest first.
pub(crate) async fn runs(
    desk: &Desk,
    runtime: &dyn Runtime,
    agent: Option<&AgentRef>,
    open: bool,
    quarantined: bool,
) -> Result<Exit, CliError> {
    let agent = match agent {
        Some(agent) => Some(runtime.agent(agent).await?.id),
        None => None,
    };
    let filter = RunFilter { agent, open, quarantined, ..RunFilter::default() };
    let runs = all_runs(runtime, filter).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&runs)?;
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        let none = match (quarantined, open) {
            (true, _) => "no run is in quarantine",
            (false, true) => "no run is open",
            (false, false) => "there are no runs yet",
        };
        screen.say(screen.paint_err().dim(none));
        return Ok(Exit::Done);
    }
    let mut names: HashMap<AgentId, String> = HashMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for run in &runs {
        if let std::collections::hash_map::Entry::Vacant(unknown) = names.entry(run.agent) {
            unknown.insert(name_of(runtime, run.agent).await);
        }
        let (state, tone) = phase(run.phase, run.outcome.as_ref());
        let state = if run.swept_at.is_some() { format!("{state}, log swept") } else { state };
        let waits: Vec<String> = run.waits.iter().map(awaited).collect();
        let state = if waits.is_empty() { state } else { format!("{state} for {}", waits.join(", ")) };
        let took = match run.phase {
            Phase::Ended => time::duration(run.last_at.since(run.accepted_at)),
            _ => String::new(),
        };
        rows.push(vec![
            (run.run.to_string(), Tone::Plain),
            (names[&run.agent].clone(), Tone::Plain),
            (run.session.to_string(), Tone::Plain),
            (state, tone),
            (time::ago(desk.now(), run.accepted_at), Tone::Dim),
            (took, Tone::Dim),
        ]);
    }
    let head = ["RUN", "AGENT", "SESSION", "STATE", "ACCEPTED", "TOOK"];
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    match runs.first().filter(|_| quarantined) {
        Some(first) => screen.hint(&["log", "requeue", "cancel"].map(|verb| format!("{verb} {}", first.run))),
        None => screen.hint(&["log last".to_owned()]),
    }
    Ok(Exit::Done)
}
