//! `agents usage`: what an agent used, over time.

use agent_runtime::resource::{UsageHistory, UsedIn};
use agent_runtime::{AgentRef, Runtime};

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::chart;

/// Shows what an agent used in the last hour and in the last day.
pub(super) async fn usage(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let history = runtime.usage_history(agent).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&history)?;
        return Ok(Exit::Done);
    }
    let UsageHistory { minutes, hours } = &history;
    if minutes.is_empty() {
        screen.say(screen.paint_err().dim("nobody counts here what agents use"));
        return Ok(Exit::Done);
    }
    let (width, paint) = (screen.terminal.width.into(), screen.paint());
    for (when, spans) in [("last hour", minutes), ("last day", hours)] {
        let sum = UsedIn::sum(spans);
        screen.line(chart::used(when, &sum, width, paint))?;
        if sum.tokens() > 0 {
            for line in chart::bars(spans, width, paint) {
                screen.line(line)?;
            }
        }
    }
    screen.hint(&[format!("agents show {agent}"), format!("agents usage {agent} --json")]);
    Ok(Exit::Done)
}
