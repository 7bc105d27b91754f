//! `log`: everything that happened in a run.

use agent_runtime::log::{Phase, RunView, WaitOn};
use agent_runtime::runtime::StreamItem;
use agent_runtime::store::Seq;
use agent_runtime::{Content, Entry, Runtime};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::time::timeout;

use super::{name_of, run_of};
use crate::args::RunArg;
use crate::asks::{Asked, who_waits};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Before, Lines, ask, awaited, phase, time, waits_for};
use crate::watch::{QUIET, unhosted};

/// An entry, as programs read it: one to a line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a Content>,
}

/// Shows the entries of a run; with `follow`, until it is over.
pub(crate) async fn log(
    desk: &Desk,
    runtime: &dyn Runtime,
    run: RunArg,
    follow: bool,
) -> Result<Exit, CliError> {
    let run = run_of(runtime, run).await?;
    let view = runtime.run_status(&run).await?;
    let screen = &desk.screen;
    let json = screen.lists_as_json();
    let (width, paint) = (screen.terminal.width, screen.paint());
    let mut lines = Lines { begin: view.accepted_at, width, paint, before: Before::default() };
    if !json {
        let paint = screen.paint();
        let agent = name_of(runtime, view.agent).await;
        let accepted = time::moment(view.accepted_at);
        screen.line(format!("{}  {}  {}", paint.bold(run), agent, paint.dim(accepted)))?;
    }
    let mut items = runtime.stream(&run, Seq::FIRST).await?;
    let mut told = None;
    loop {
        let item = match timeout(QUIET, items.next()).await {
            Ok(Some(item)) => item?,
            Ok(None) => break,
            // A run that nobody can work gets no entry, and says nothing of it.
            Err(_) => match unhosted(runtime, &view).await {
                Some(wait) => {
                    let text = format!("the run waits for {}", waits_for(&wait));
                    screen.say(screen.paint_err().warn(text));
                    screen.hint(&[format!("cancel {run}")]);
                    return Ok(Exit::Waits);
                }
                None => {
                    // Nor does one say what a run waits for that it called.
                    let waiting = who_waits(runtime, &run).await?.filter(|waiting| waiting.run != run);
                    if let Some(waiting) = waiting.filter(|waiting| !json && told != Some(waiting.run)) {
                        super::run::say_waits(desk, &waiting);
                        told = Some(waiting.run);
                    }
                    continue;
                }
            },
        };
        let StreamItem::Entry { entry, content } = item else {
            continue;
        };
        told = None;
        if json {
            screen.json_line(&Line { entry: &entry, content: content.as_ref() })?;
        } else {
            screen.line(lines.line(&entry, content.as_ref()))?;
        }
        // Without `follow` the log is what it was when it was asked for.
        if !follow && entry.seq.0 >= view.entries {
            break;
        }
    }
    if !json && !follow && view.phase != Phase::Ended {
        let waiting = who_waits(runtime, &run).await?;
        hint(desk, &view, waiting.as_ref().unwrap_or(&view), unhosted(runtime, &view).await);
    }
    Ok(Exit::Done)
}

/// Says where a run is, and what to type next: `waiting` is the run that waits for somebody, this one or one that it called.
fn hint(desk: &Desk, view: &RunView, waiting: &RunView, unhosted: Option<WaitOn>) {
    let screen = &desk.screen;
    let recorded = view.waits.iter().map(awaited);
    let waits: Vec<String> = recorded.chain(unhosted.as_ref().map(waits_for)).collect();
    let state = phase(view.phase, None).0;
    let state = if waits.is_empty() { state } else { format!("waiting for {}", waits.join(", ")) };
    screen.say(screen.paint_err().warn(format!("the run is {state}")));
    for asked in Asked::all(waiting) {
        for line in ask::lines(&asked, screen.paint_err()) {
            screen.say(line);
        }
    }
    screen.hint(&super::run::next_of(waiting));
}
