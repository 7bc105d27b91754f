//! `check`: everything that is wrong with a fleet file.

use agent_runtime::fleet::Fleet;
use agent_runtime::stores::{LiveProblem, LiveSort, check_live};
use serde_json::json;

use super::stores::existing;
use crate::error::CliError;
use crate::exit::Exit;
use crate::place::{FleetFile, Place};
use crate::progress::Progress;
use crate::render::answer::visible;
use crate::render::{Row, Tone, counted, table};
use crate::screen::Screen;

/// Says everything that is wrong with a fleet file, or what it declares.
pub(crate) fn check(screen: &Screen, file: &FleetFile, live: bool) -> Result<Exit, CliError> {
    let fleet = match file.check() {
        Ok(fleet) => fleet,
        Err(CliError::Faulty { path, faults }) if screen.lists_as_json() => {
            screen.json(&json!({ "file": path, "faults": faults.iter().collect::<Vec<_>>() }))?;
            return Ok(Exit::BadInput);
        }
        Err(error) => return Err(error),
    };
    // Their secrets are read as well.
    fleet.webhooks.iter().try_for_each(|webhook| webhook.webhook().map(drop))?;
    if screen.lists_as_json() {
        // What is stored is told in one object with it.
        if !live {
            screen.json(&json!({ "file": file.path, "faults": [] }))?;
        }
        return Ok(Exit::Done);
    }
    let path = visible(&file.path.to_string_lossy());
    let summary = visible(&summary(&fleet));
    screen.line(format!("{path} {}: {summary}", screen.paint().good("is fine")))?;
    if live {
        return Ok(Exit::Done);
    }
    let start = fleet.agents.iter().find(|agent| agent.start);
    let mut hints = vec![format!("serve {path}")];
    hints.extend(start.map(|agent| format!("run {} \"…\"", agent.spec.name)));
    screen.hint(&hints);
    Ok(Exit::Done)
}

/// Says what is stored that this program, with the kinds of the fleet file's folder, could not go on with. Changes nothing.
pub(crate) async fn live(screen: &Screen, place: &Place) -> Result<Exit, CliError> {
    let uri = &place.store;
    let store = existing(screen, uri).await?;
    let bar = Progress::begin(screen, &format!("reading {uri}"));
    let live = check_live(&*store, &place.kinds()).await;
    bar.end();
    let live = live.map_err(CliError::Verify)?;
    let exit = if live.found == 0 { Exit::Done } else { Exit::Refused };
    if screen.lists_as_json() {
        let file = place.file.as_ref().map(|file| &file.path);
        screen.json(&json!({ "file": file, "faults": [], "store": uri.to_string(), "live": live }))?;
        return Ok(exit);
    }
    let paint = screen.paint();
    if !live.problems.is_empty() {
        let rows = live.problems.iter().map(row).collect();
        let head = ["PROBLEM", "WHAT", "AGENT", "SESSION", "RUN"];
        screen.line(table(&head, rows, screen.terminal.width, paint.is_on()))?;
    }
    let seen = format!(
        "{}, {}, {} with a schema",
        counted(live.agents, "agent"),
        counted(live.open_runs, "open run"),
        counted(live.values, "value"),
    );
    if live.found == 0 {
        screen.line(format!("{uri} {}: {seen}", paint.good("can be gone on with")))?;
    } else {
        let problems = counted(live.found, "problem");
        screen.line(format!("{uri} {}: {problems}; {seen}", paint.bad("cannot be gone on with")))?;
    }
    Ok(exit)
}

fn row(problem: &LiveProblem) -> Row {
    let word = match problem.problem {
        LiveSort::UnknownKind => "unknown kind",
        LiveSort::Declaration => "declaration",
        LiveSort::Schema => "schema",
        LiveSort::KindVersion => "kind's version",
        LiveSort::Newer => "newer format",
        LiveSort::Damaged => "damaged",
    };
    let agent = problem.name.as_ref().map(ToString::to_string);
    let agent = agent.or_else(|| problem.whose.agent.map(|agent| agent.to_string()));
    let or_none = |text: Option<String>| (text.unwrap_or_default(), Tone::Plain);
    vec![
        (word.to_owned(), Tone::Bad),
        (problem.what.clone(), Tone::Plain),
        or_none(agent),
        or_none(problem.whose.session.as_ref().map(ToString::to_string)),
        or_none(problem.whose.run.map(|run| run.to_string())),
    ]
}

fn summary(fleet: &Fleet) -> String {
    let agents = match &fleet.agents[..] {
        [] => "no agents".to_owned(),
        [only] => format!("1 agent (`{}`)", only.spec.name),
        many => format!("{} agents", many.len()),
    };
    let http = fleet.http.map_or("no listener".to_owned(), |at| format!("HTTP on {at}"));
    format!("{agents}, store {}, {http}", fleet.store)
}
