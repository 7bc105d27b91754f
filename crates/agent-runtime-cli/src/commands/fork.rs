//! `fork`: copies a run into a new conversation.

use agent_runtime::Runtime;
use agent_runtime::runtime::ForkRequest;
use serde_json::json;

use super::{name_of, run_of};
use crate::args::ForkArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;

/// Copies a run; the copy goes on.
pub(crate) async fn fork(desk: &Desk, runtime: &dyn Runtime, args: &ForkArgs) -> Result<Exit, CliError> {
    let of = run_of(runtime, args.run).await?;
    let input = args.input.as_ref().map(|input| input.as_str().into());
    let request = ForkRequest { upto: args.at, session: args.session.clone(), input };
    let run = runtime.fork(&of, request).await?;
    let view = runtime.run_status(&run).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "run_id": run, "session": view.session, "copied_from": of }))?;
    } else {
        screen.line(run.to_string())?;
        let agent = name_of(runtime, view.agent).await;
        screen.say(screen.paint_err().dim(format!("a copy of {of}, in session {}", view.session)));
        screen.hint(&[format!("log --follow {run}"), format!("chat {agent} --session {}", view.session)]);
    }
    Ok(Exit::Done)
}
