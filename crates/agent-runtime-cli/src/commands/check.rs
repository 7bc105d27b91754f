//! `check`: everything that is wrong with a fleet file.

use agent_runtime::fleet::Fleet;
use serde_json::json;

use crate::error::CliError;
use crate::exit::Exit;
use crate::place::FleetFile;
use crate::render::answer::visible;
use crate::screen::Screen;

/// Says everything that is wrong with a fleet file, or what it declares.
pub(crate) fn check(screen: &Screen, file: &FleetFile) -> Result<Exit, CliError> {
    let fleet = match file.check() {
        Ok(fleet) => fleet,
        Err(CliError::Faulty { path, faults }) if screen.lists_as_json() => {
            screen.json(&json!({ "file": path, "faults": faults.iter().collect::<Vec<_>>() }))?;
            return Ok(Exit::BadInput);
        }
        Err(error) => return Err(error),
    };
    if screen.lists_as_json() {
        screen.json(&json!({ "file": file.path, "faults": [] }))?;
        return Ok(Exit::Done);
    }
    let path = visible(&file.path.to_string_lossy());
    let summary = visible(&summary(&fleet));
    screen.line(format!("{path} {}: {summary}", screen.paint().good("is fine")))?;
    let start = fleet.agents.iter().find(|agent| agent.start);
    let mut hints = vec![format!("serve {path}")];
    hints.extend(start.map(|agent| format!("run {} \"…\"", agent.spec.name)));
    screen.hint(&hints);
    Ok(Exit::Done)
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
