//! `agents usage`: what an agent used, over time.

use agent_runtime::resource::{UsageHistory, UsedIn};
use agent_runtime::{AgentRef, Runtime};

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Tone, chart, table};

/// Shows what an agent used: as bars on a terminal, as a table elsewhere.
pub(super) async fn usage(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let history = runtime.usage_history(agent).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&history)?;
        return Ok(Exit::Done);
    }
    let UsageHistory { minutes, hours } = &history;
    if minutes.is_empty() {
        screen.line("nobody counts here what agents use")?;
        return Ok(Exit::Done);
    }
    for (what, spans, wide) in [("last hour, by minutes", minutes, 1), ("last day, by hours", hours, 2)] {
        screen.line(format!("{}: {}", screen.paint().bold(what), chart::sum(spans)))?;
        if screen.terminal.out {
            for line in chart::bars(spans, wide, screen.paint()) {
                screen.line(line)?;
            }
        } else if let Some(table) = listed(spans) {
            screen.line(table)?;
        }
    }
    Ok(Exit::Done)
}

/// The spans in which something was used, if there are any.
fn listed(spans: &[UsedIn]) -> Option<String> {
    let used = spans.iter().filter(|used| used.requests > 0 || used.tokens() > 0);
    let cell = |text: String| (text, Tone::Plain);
    let row = |used: &UsedIn| {
        vec![
            cell(chart::hour_and_minute(used.from)),
            cell(used.requests.to_string()),
            cell(used.input_tokens.to_string()),
            cell(used.output_tokens.to_string()),
            cell(chart::money(used.micros)),
        ]
    };
    let rows: Vec<_> = used.map(row).collect();
    (!rows.is_empty()).then(|| table(&["FROM (UTC)", "CALLS", "READ", "WRITTEN", "COST"], rows, 100, false))
}
