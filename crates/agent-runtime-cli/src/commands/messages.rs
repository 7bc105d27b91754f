//! `messages`: what was said in a conversation.

use agent_runtime::runtime::Said;
use agent_runtime::{AgentRef, Runtime, SessionName};

use crate::args::MessagesArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::said;

/// Messages that are asked for at once.
const PAGE: u32 = 500;

/// Shows the last messages of a conversation, oldest first.
pub(crate) async fn messages(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &MessagesArgs,
) -> Result<Exit, CliError> {
    let messages = last(runtime, &args.agent, &args.session, args.limit).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&messages)?;
    } else if messages.is_empty() {
        screen.say(screen.paint_err().dim(format!("nothing was said in session {}", args.session)));
        screen.hint(&[format!("chat {} --session {}", args.agent, args.session)]);
    } else {
        for line in said::lines(&messages, screen.terminal.width.into(), screen.paint()) {
            screen.line(line)?;
        }
        screen.hint(&[format!("chat {} --session {}", args.agent, args.session)]);
    }
    Ok(Exit::Done)
}

/// The last messages of a conversation, oldest first.
pub(crate) async fn last(
    runtime: &dyn Runtime,
    agent: &AgentRef,
    session: &SessionName,
    most: u32,
) -> Result<Vec<Said>, CliError> {
    let mut messages: Vec<Said> = Vec::new();
    let mut before: Option<String> = None;
    let mut missing = most;
    while missing > 0 {
        let page = runtime.messages(agent, session, before.as_deref(), missing.min(PAGE)).await?;
        missing = missing.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        messages.splice(0..0, page.items);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(messages)
}
