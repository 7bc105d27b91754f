//! `decide`: what becomes of a step with an unknown end.

use agent_runtime::runtime::Decision;
use agent_runtime::{Content, Runtime};
use serde_json::json;

use super::run_of;
use crate::args::{DecideArgs, Verdict};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;

/// Records the decision; the run goes on.
pub(crate) async fn decide(desk: &Desk, runtime: &dyn Runtime, args: &DecideArgs) -> Result<Exit, CliError> {
    let decision = decision(args)?;
    let run = run_of(runtime, args.run).await?;
    runtime.decide(&run, &args.step, decision).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "run_id": run, "step": args.step }))?;
    } else {
        screen.line(format!("decided: step `{}` of {run}", args.step))?;
        screen.hint(&[format!("log --follow {run}")]);
    }
    Ok(Exit::Done)
}

fn decision(args: &DecideArgs) -> Result<Decision, CliError> {
    let needless = |verdict| match &args.value {
        None => Ok(()),
        Some(value) => Err(CliError::NeedlessValue { verdict, value: value.clone() }),
    };
    match args.verdict {
        Verdict::Repeat => needless("repeat").map(|()| Decision::Repeat),
        Verdict::Fail => needless("fail").map(|()| Decision::Fail),
        Verdict::Assume => {
            let given = args.value.as_deref().unwrap_or_default();
            let no_json = |source| CliError::NoJson { given: given.to_owned(), source };
            let value: serde_json::Value = serde_json::from_str(given).map_err(no_json)?;
            Content::json(&value).map(Decision::Assume).map_err(no_json)
        }
    }
}
