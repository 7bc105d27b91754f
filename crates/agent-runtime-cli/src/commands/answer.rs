//! `answer`, `approve`, `deny`: says to a run what it waits for.

use std::io::IsTerminal;

use agent_runtime::runtime::Reply;
use agent_runtime::{Runtime, RuntimeError, StepKey};
use serde_json::json;

use super::run_of;
use crate::args::{AnswerArgs, ApproveArgs, DenyArgs, RunArg};
use crate::asks::{Asked, What, who_waits};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::{line, text};

/// What whoever asked is told where no reason is given.
pub(crate) const NO_REASON: &str = "no reason was given";

/// Gives a run the answer that it waits for.
pub(crate) async fn answer(desk: &Desk, runtime: &dyn Runtime, args: &AnswerArgs) -> Result<Exit, CliError> {
    let (step, given) = match args.words.as_slice() {
        [step, given] => (Some(step.parse().map_err(RuntimeError::Name)?), given),
        words => (None, &words[0]),
    };
    let asked = the_one(runtime, args.run, step.as_ref(), Asked::is_question).await?;
    runtime.answer(&asked.run, &asked.step, Reply::Answer(text(given)?.into())).await?;
    told(desk, "answered", &asked)
}

/// Consents to a call, which is shown first, or named by its hash.
pub(crate) async fn approve(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &ApproveArgs,
) -> Result<Exit, CliError> {
    let asked = the_one(runtime, args.run, args.step.as_ref(), |asked| !asked.is_question()).await?;
    let screen = &desk.screen;
    match &args.digest {
        Some(digest) if asked.digest.to_string().starts_with(digest.as_str()) => {}
        Some(_) => return Err(RuntimeError::OtherCall { run: asked.run, step: asked.step }.into()),
        None if screen.json || !screen.terminal.err || !std::io::stdin().is_terminal() => {
            return Err(CliError::WhichCall { run: asked.run, step: asked.step.clone(), mark: asked.mark() });
        }
        None => {
            for line in crate::render::ask::lines(&asked, screen.paint_err()) {
                screen.say(line);
            }
            screen.ask("consent to exactly this? [y/N] ");
            let said = line()?.unwrap_or_default();
            if !matches!(said.trim().to_lowercase().as_str(), "y" | "yes") {
                screen.say(screen.paint_err().warn("no consent was given; it waits still"));
                screen.hint(&asked.commands()[1..]);
                return Ok(Exit::Waits);
            }
        }
    }
    runtime.answer(&asked.run, &asked.step, asked.consent()).await?;
    told(desk, "approved", &asked)
}

/// Refuses consent.
pub(crate) async fn deny(desk: &Desk, runtime: &dyn Runtime, args: &DenyArgs) -> Result<Exit, CliError> {
    let consent = |asked: &Asked| !asked.is_question();
    let (asked, reason) = match args.words.as_slice() {
        [] => (the_one(runtime, args.run, None, consent).await?, NO_REASON),
        [step, reason] => {
            let step = step.parse().map_err(RuntimeError::Name)?;
            (the_one(runtime, args.run, Some(&step), consent).await?, reason.as_str())
        }
        // The name of a step that asks, or the reason.
        words => {
            let word = words[0].as_str();
            let step = word.parse::<StepKey>().ok();
            match the_one(runtime, args.run, step.as_ref(), consent).await {
                Ok(asked) if step.is_some() => (asked, NO_REASON),
                _ => (the_one(runtime, args.run, None, consent).await?, word),
            }
        }
    };
    runtime.answer(&asked.run, &asked.step, Reply::Deny { reason: reason.to_owned() }).await?;
    told(desk, "denied", &asked)
}

/// What is meant: what the named step asks, or the one thing that is asked.
async fn the_one(
    runtime: &dyn Runtime,
    run: RunArg,
    step: Option<&StepKey>,
    fits: impl Fn(&Asked) -> bool,
) -> Result<Asked, CliError> {
    let run = run_of(runtime, run).await?;
    let view = runtime.run_status(&run).await?;
    if view.outcome.is_some() {
        return Err(RuntimeError::RunOver { run }.into());
    }
    let mut asked: Vec<Asked> = Asked::all(&view).into_iter().filter(&fits).collect();
    if asked.is_empty() {
        // It may wait for a run that asks.
        let waits = who_waits(runtime, &run).await?;
        asked = waits.iter().flat_map(Asked::all).filter(fits).collect();
    }
    if let Some(step) = step {
        asked.retain(|asked| asked.step == *step);
        return asked.pop().ok_or(RuntimeError::NothingToAnswer { run, step: step.clone() }.into());
    }
    match asked.len() {
        0 => Err(CliError::NothingAsked { run }),
        1 => Ok(asked.remove(0)),
        _ => Err(CliError::WhichStep { run, steps: asked.into_iter().map(|asked| asked.step).collect() }),
    }
}

fn told(desk: &Desk, done: &str, asked: &Asked) -> Result<Exit, CliError> {
    let Asked { run, step, what, .. } = asked;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "run_id": run, "step": step }))?;
    } else {
        let what = match what {
            What::Question(_) => "question",
            What::Consent(_) => "call",
        };
        screen.line(format!("{done}: the {what} of step `{step}` of {run}"))?;
        screen.hint(&[format!("log --follow {run}")]);
    }
    Ok(Exit::Done)
}
