//! `run`: gives an agent an input, and shows its answer as it comes.

use std::io::Read;

use agent_runtime::log::{RunView, WaitOn};
use agent_runtime::runtime::StreamItem;
use agent_runtime::store::Seq;
use agent_runtime::{Content, EntryKind, Media, Outcome, Payload, RunId, RunRequest, Runtime, RuntimeError};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::args::RunArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::Progress;
use crate::render::{needs_somebody, steps_under_way, time, waits_for};
use crate::signals::Signals;
use crate::teller::Teller;

/// The most that is read from the standard input; the runtime takes less, and says how much.
const MOST: u64 = 64 * 1024 * 1024;

/// How a run was left.
enum Left {
    /// It is over.
    Ended(Box<RunView>, Option<Content>),
    /// It waits for somebody.
    Waits(Box<RunView>),
    /// Somebody pressed Ctrl-C.
    Interrupted(u8),
    /// It goes on in another run.
    Continues(RunId),
}

/// Gives an agent an input, and shows its answer as it comes.
pub(crate) async fn run(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &RunArgs,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let input = if args.input == "-" { standard_input()? } else { args.input.clone() };
    let mut request = RunRequest::new(input).in_session(args.session.clone());
    request.idempotency_key = args.key.clone();
    let progress = Progress::begin(&desk.screen, &args.agent.to_string());
    let submitted = runtime.submit(&args.agent, request).await?;
    let mut teller = Teller::new(desk.screen.clone(), progress);
    let mut run = submitted.run;
    let left = loop {
        match watch(runtime, run, &mut teller, signals).await? {
            Left::Continues(next) => run = next,
            left => break left,
        }
    };
    teller.stop();
    match left {
        Left::Ended(view, output) => ended(desk, args, *view, output, &mut teller),
        Left::Waits(view) => Ok(waits(desk, &view)),
        Left::Interrupted(signal) => {
            let screen = &desk.screen;
            let where_ = if desk.served.is_some() {
                "goes on at the server"
            } else {
                "is kept, and goes on with the next command that opens the store"
            };
            screen.say(screen.paint_err().warn(format!("{run} {where_}")));
            screen.hint(&[format!("log --follow {run}"), format!("cancel {run}")]);
            Ok(Exit::Signal(signal))
        }
        Left::Continues(_) => unreachable!("the loop goes on with it"),
    }
}

/// What can be done about a run that does not move by itself.
pub(crate) fn next_of(view: &RunView) -> Vec<String> {
    let run = view.run;
    let mut hints = Vec::new();
    for wait in &view.waits {
        if let WaitOn::Decision(step) = &wait.on {
            hints.push(format!("decide {run} {step} repeat     (or: assume JSON, fail)"));
        }
    }
    hints.push(format!("log {run}"));
    hints.push(format!("cancel {run}"));
    hints
}

async fn watch(
    runtime: &dyn Runtime,
    run: RunId,
    teller: &mut Teller,
    signals: &mut Signals,
) -> Result<Left, CliError> {
    let mut items = runtime.stream(&run, Seq::FIRST).await?;
    let mut view: Option<RunView> = None;
    loop {
        let item = tokio::select! {
            item = items.next() => item,
            signal = signals.next() => return Ok(Left::Interrupted(signal)),
        };
        let (entry, content) = match item.ok_or(CliError::WentAway { run })?? {
            StreamItem::Preview(piece) => {
                teller.preview(&piece)?;
                continue;
            }
            StreamItem::Entry { entry, content } => (entry, content),
        };
        match &mut view {
            Some(view) => view.apply(&entry),
            None => view = RunView::of(run, [&*entry]),
        }
        let Some(now) = &view else { continue };
        match &entry.kind {
            // What was shown of an attempt or a call that is begun again will be shown again.
            EntryKind::Started(_) if now.attempt > 1 => teller.withdraw()?,
            EntryKind::StepDispatched(dispatched) if dispatched.try_no > 1 => teller.withdraw()?,
            EntryKind::Ended(ended) => {
                if let Outcome::Continued(next) = ended.outcome {
                    return Ok(Left::Continues(next));
                }
                return Ok(Left::Ended(Box::new(now.clone()), content));
            }
            _ => {}
        }
        // An earlier wait may be over by now: what counts is the end of what is in the log.
        if now.waits.iter().any(|wait| needs_somebody(&wait.on)) {
            let current = runtime.run_status(&run).await?;
            if current.outcome.is_none() && current.waits.iter().any(|wait| needs_somebody(&wait.on)) {
                return Ok(Left::Waits(Box::new(current)));
            }
        }
        teller.note(&doing(now));
    }
}

/// What a run is doing, for the spinner.
fn doing(view: &RunView) -> String {
    let steps = steps_under_way(view);
    if !steps.is_empty() {
        return steps.join(", ");
    }
    view.waits.iter().map(|wait| format!("waits for {}", waits_for(&wait.on))).collect::<Vec<_>>().join(", ")
}

fn ended(
    desk: &Desk,
    args: &RunArgs,
    view: RunView,
    content: Option<Content>,
    teller: &mut Teller,
) -> Result<Exit, CliError> {
    let run = view.run;
    match view.outcome {
        Some(Outcome::Completed(Payload::Inline(output))) => {
            finish(desk, args, &view_facts(&run, &view.session, view.usage), &output, teller)?;
        }
        Some(Outcome::Completed(Payload::Blob { .. })) => {
            let what = format!("the output of `{run}`");
            let output = content.ok_or(RuntimeError::Damaged { what })?;
            finish(desk, args, &view_facts(&run, &view.session, view.usage), &output, teller)?;
        }
        Some(Outcome::Failed(failure)) => {
            return Err(RuntimeError::RunFailed { run, failure }.into());
        }
        _ => return Err(RuntimeError::RunCancelled { run }.into()),
    }
    let screen = &desk.screen;
    let took = time::duration(view.last_at.since(view.accepted_at));
    let session = match args.session.as_str() {
        "default" => String::new(),
        name => format!(" --session {name}"),
    };
    screen.hint(&[
        format!("run {} \"tell me more\"{session}", args.agent),
        format!("log last     ({run}, {took})"),
    ]);
    Ok(Exit::Done)
}

/// The facts beside the output, as `POST /run` answers them.
fn view_facts(run: &RunId, session: &agent_runtime::SessionName, usage: agent_runtime::Usage) -> Value {
    json!({ "run_id": run, "session": session, "output": null, "usage": usage })
}

fn finish(
    desk: &Desk,
    _args: &RunArgs,
    facts: &Value,
    output: &Content,
    teller: &mut Teller,
) -> Result<(), CliError> {
    if !desk.screen.json {
        return teller.answer(output);
    }
    let mut facts = facts.clone();
    facts["output"] = match output.media {
        Media::Text => output.to_string().into(),
        Media::Json => output.parse().unwrap_or(Value::Null),
        Media::Bytes => json!(output),
    };
    desk.screen.json(&facts)
}

fn waits(desk: &Desk, view: &RunView) -> Exit {
    let screen = &desk.screen;
    for wait in view.waits.iter().filter(|wait| needs_somebody(&wait.on)) {
        let text = format!("{} waits for {}", view.run, waits_for(&wait.on));
        screen.say(screen.paint_err().warn(text));
    }
    screen.hint(&next_of(view));
    Exit::Waits
}

fn standard_input() -> Result<String, CliError> {
    let mut input = String::new();
    std::io::stdin().take(MOST).read_to_string(&mut input).map_err(CliError::Input)?;
    Ok(input)
}
