//! `run`: gives an agent an input, and shows its answer as it comes.

use agent_runtime::log::{RunView, WaitOn};
use agent_runtime::{Content, Media, Outcome, Payload, RunId, RunRequest, Runtime, RuntimeError};
use serde_json::{Value, json};

use crate::args::RunArgs;
use crate::asks::Asked;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::text;
use crate::progress::Progress;
use crate::render::{ask, awaited, needs_somebody, time, waits_for};
use crate::signals::Signals;
use crate::teller::Teller;
use crate::watch::{Left, watch};

/// Gives an agent an input, and shows its answer as it comes.
pub(crate) async fn run(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &RunArgs,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let mut request = RunRequest::new(text(&args.input)?).in_session(args.session.clone());
    request.policy = args.when_busy.map(Into::into);
    request.idempotency_key = args.key.clone();
    request.priority = args.priority;
    let progress = Progress::begin(&desk.screen, &args.agent.to_string());
    let submitted = runtime.submit(&args.agent, request).await?;
    let mut teller = Teller::new(desk.screen.clone(), progress);
    let left = watch(runtime, submitted.run, &mut teller, signals).await;
    teller.stop();
    match left? {
        Left::Ended(view, content) => {
            let output = output_of(&view, content)?;
            if desk.screen.json {
                desk.screen.json(&facts(&view, &output))?;
            } else {
                teller.answer(&output)?;
            }
            hint(desk, args, &view, &output);
            Ok(Exit::Done)
        }
        Left::Waits(view) => {
            // What was said before it asked is no answer.
            teller.withdraw()?;
            say_waits(desk, &view);
            Ok(Exit::Waits)
        }
        Left::Unhosted(run, wait) => {
            say_unhosted(desk, run, &wait);
            Ok(Exit::Waits)
        }
        Left::Interrupted(run, signal) => {
            say_left(desk, run);
            Ok(Exit::Signal(signal))
        }
    }
}

/// Says what a run waits for, what it asks, and what to type.
pub(crate) fn say_waits(desk: &Desk, view: &RunView) {
    let screen = &desk.screen;
    for wait in view.waits.iter().filter(|wait| needs_somebody(&wait.on)) {
        let text = format!("{} waits for {}", view.run, awaited(wait));
        screen.say(screen.paint_err().warn(text));
    }
    for asked in Asked::all(view) {
        for line in ask::lines(&asked, screen.paint_err()) {
            screen.say(line);
        }
        // Programs read it too: without the exact words nobody can go on.
        if desk.lasts() && !screen.terminal.err {
            for command in asked.commands() {
                screen.say(format!("agent-runtime {command}"));
            }
        }
    }
    next(desk, &next_of(view));
}

/// Says that nobody hosts the kind of a run.
pub(crate) fn say_unhosted(desk: &Desk, run: RunId, wait: &WaitOn) {
    let screen = &desk.screen;
    screen.say(screen.paint_err().warn(format!("{run} waits for {}", waits_for(wait))));
    next(desk, &[format!("log {run}"), format!("cancel {run}")]);
}

/// Says what becomes of a run that is no longer waited for.
pub(crate) fn say_left(desk: &Desk, run: RunId) {
    let screen = &desk.screen;
    let fate = match &desk.served {
        Some(_) => "goes on at the server",
        None if desk.lasts() => "is kept, and goes on with the next `run`, `chat` or `serve`",
        None => "ends with this process: its store is in memory",
    };
    screen.say(screen.paint_err().warn(format!("{run} {fate}")));
    next(desk, &[format!("log --follow {run}"), format!("cancel {run}")]);
}

/// Says what to type next, unless all that it would be about ends with this process.
pub(crate) fn next(desk: &Desk, lines: &[String]) {
    if desk.lasts() {
        desk.screen.hint(lines);
    }
}

/// What can be done about a run that does not move by itself.
pub(crate) fn next_of(view: &RunView) -> Vec<String> {
    let run = view.run;
    let mut hints: Vec<String> = Asked::all(view).iter().flat_map(Asked::commands).collect();
    for wait in &view.waits {
        if let WaitOn::Decision(step) = &wait.on {
            hints.push(format!("decide {run} {step} repeat   # or: assume JSON, or: fail"));
        }
        if let WaitOn::Operator { .. } = &wait.on {
            hints.extend([format!("requeue {run}"), format!("fork {run}")]);
        }
    }
    hints.push(format!("log {run}"));
    hints.push(format!("cancel {run}"));
    hints
}

fn hint(desk: &Desk, args: &RunArgs, view: &RunView, output: &Content) {
    let took = time::duration(view.last_at.since(view.accepted_at));
    let session = match args.session.as_str() {
        "default" => String::new(),
        name => format!("--session {name} "),
    };
    // An agent that offers more says how to ask for it.
    let more = "tell me more";
    let follow_up = if output.to_string().contains(more) { more } else { "…" };
    next(
        desk,
        &[
            format!("run {} {session}\"{follow_up}\"", args.agent),
            format!("log last   # {}, {took}", view.run),
        ],
    );
}

/// The output of a run that is over.
pub(crate) fn output_of(view: &RunView, content: Option<Content>) -> Result<Content, CliError> {
    let run = view.run;
    match &view.outcome {
        Some(Outcome::Completed(Payload::Inline(output))) => Ok(output.clone()),
        Some(Outcome::Completed(Payload::Blob { .. })) => {
            let what = format!("the output of `{run}`");
            Ok(content.ok_or(RuntimeError::Damaged { what })?)
        }
        Some(Outcome::Failed(failure)) => {
            Err(RuntimeError::RunFailed { run, failure: failure.clone() }.into())
        }
        _ => Err(RuntimeError::RunCancelled { run }.into()),
    }
}

/// The answer as `POST /run` gives it.
pub(crate) fn facts(view: &RunView, output: &Content) -> Value {
    let output = match output.media {
        Media::Text => output.to_string().into(),
        Media::Json => output.parse().unwrap_or(Value::Null),
        Media::Bytes => json!(output),
    };
    json!({ "run_id": view.run, "session": view.session, "output": output, "usage": view.usage })
}
