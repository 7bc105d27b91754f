//! `status AGENT`: how much is stored of an agent, and of each of its conversations.

use std::cmp::Reverse;

use agent_runtime::runtime::SessionStatus;
use agent_runtime::{AgentRef, Runtime};
use serde_json::json;

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Row, Tone, pairs, size, table, want};

/// Conversations that people are shown: the largest.
const SHOWN: usize = 20;

/// Shows an agent's bytes and growth, and those of its conversations, the largest first.
pub(crate) async fn sizes(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let status = runtime.agent(agent).await?;
    let mut sessions = all_sessions(runtime, &AgentRef::from(status.id)).await?;
    sessions.sort_by_key(|session| Reverse(session.stored.bytes));
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&json!({ "agent": status, "sessions": sessions }))?;
        return Ok(Exit::Done);
    }
    let rows = vec![
        ("name", status.name.to_string()),
        ("id", status.id.to_string()),
        ("state", want(status.want, status.hosted).0),
        ("running", status.running.to_string()),
        ("queued", status.queued.to_string()),
        ("stored", size::stored(&status.stored)),
    ];
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    if sessions.is_empty() {
        return Ok(Exit::Done);
    }
    let head = ["SESSION", "STORED", "GROWN"];
    let rows = sessions.iter().take(SHOWN).map(row).collect();
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    if let Some(more) = sessions.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        screen.say(screen.paint_err().dim(format!("{more} smaller ones are not shown; --json has them all")));
    }
    Ok(Exit::Done)
}

fn row(session: &SessionStatus) -> Row {
    vec![
        (session.session.to_string(), Tone::Plain),
        (size::bytes(session.stored.bytes), size::tone(&session.stored)),
        (size::growth(session.stored.grown), Tone::Dim),
    ]
}

async fn all_sessions(runtime: &dyn Runtime, agent: &AgentRef) -> Result<Vec<SessionStatus>, CliError> {
    let mut sessions = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = runtime.sessions(agent, after.as_deref(), 1_000).await?;
        sessions.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(sessions);
        }
    }
}
