//! Watches a run until it is over, waits for somebody, or is no longer waited for.

use std::time::Duration;

use agent_runtime::log::{EntryKind, RunView, WaitOn};
use agent_runtime::runtime::StreamItem;
use agent_runtime::store::Seq;
use agent_runtime::{Content, Entry, Outcome, RunId, Runtime, RuntimeError};
use futures_util::StreamExt;

use crate::asks::who_waits;
use crate::error::CliError;
use crate::render::{awaited, needs_somebody, steps_under_way};
use crate::signals::Signals;
use crate::teller::Teller;

/// After how long without an entry it is asked whether the run's kind is hosted.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// How a run was left.
pub(crate) enum Left {
    /// It is over; its output, where that is kept beside the log.
    Ended(Box<RunView>, Option<Content>),
    /// It waits for somebody.
    Waits(Box<RunView>),
    /// Nobody hosts the kind of its agent: it waits for who does.
    Unhosted(RunId, WaitOn),
    /// This process was asked to end.
    Interrupted(RunId, u8),
}

/// Watches a run, and the run that it goes on as.
pub(crate) async fn watch(
    runtime: &dyn Runtime,
    mut run: RunId,
    teller: &mut Teller,
    signals: &mut Signals,
) -> Result<Left, CliError> {
    loop {
        let left = watch_one(runtime, run, teller, signals).await.map_err(|error| match error {
            // It was asked for a minute. The run is kept, and is found again by its id.
            CliError::Runtime(RuntimeError::Unreachable { .. }) => CliError::WentAway { run },
            error => error,
        })?;
        match &left {
            Left::Ended(view, _) => match view.outcome {
                Some(Outcome::Continued(next)) => run = next,
                _ => return Ok(left),
            },
            _ => return Ok(left),
        }
    }
}

async fn watch_one(
    runtime: &dyn Runtime,
    run: RunId,
    teller: &mut Teller,
    signals: &mut Signals,
) -> Result<Left, CliError> {
    let mut items = runtime.stream(&run, Seq::FIRST).await?;
    let mut view: Option<RunView> = None;
    let mut shown = None;
    loop {
        let item = tokio::select! {
            item = items.next() => item.ok_or(CliError::WentAway { run })??,
            signal = signals.next() => return Ok(Left::Interrupted(run, signal)),
            () = tokio::time::sleep(QUIET) => {
                if let Some(left) = held_up(runtime, view.as_ref()).await? {
                    return Ok(left);
                }
                continue;
            }
        };
        let (entry, content) = match item {
            StreamItem::Preview { step, text, gap } => {
                // What a model says before it calls tools is not the answer.
                if step != shown {
                    teller.withdraw()?;
                    shown = step;
                }
                teller.preview(&with_gap(text, gap))?;
                continue;
            }
            StreamItem::Retracted { .. } => {
                teller.withdraw()?;
                continue;
            }
            StreamItem::Entry { entry, content } => (entry, content),
        };
        let now = match &mut view {
            Some(now) => {
                now.apply(&entry);
                now
            }
            // The log of a run begins with its acceptance; what does not is passed over.
            None => match RunView::of(run, [&*entry]) {
                Some(first) => view.insert(first),
                None => continue,
            },
        };
        if is_begun_again(&entry) {
            teller.withdraw()?;
        }
        if matches!(entry.kind, EntryKind::Ended(_)) {
            return Ok(Left::Ended(Box::new(now.clone()), content));
        }
        if let Some(waiting) = waits(runtime, now).await? {
            return Ok(Left::Waits(Box::new(waiting)));
        }
        teller.note(&doing(now));
    }
}

/// A piece of a text, with a sign where its beginning is missing.
pub(crate) fn with_gap(text: String, gap: bool) -> String {
    if gap { format!("… {text}") } else { text }
}

/// Whether an attempt or a call begins again: its previews will come again.
pub(crate) fn is_begun_again(entry: &Entry) -> bool {
    match &entry.kind {
        EntryKind::Started(_) => entry.attempt > 1,
        EntryKind::StepDispatched(dispatched) => dispatched.try_no > 1,
        _ => false,
    }
}

/// Why a run that has been quiet does not move: nobody hosts its kind, or a run that it called waits for somebody.
async fn held_up(runtime: &dyn Runtime, view: Option<&RunView>) -> Result<Option<Left>, CliError> {
    let Some(view) = view else { return Ok(None) };
    if let Some(wait) = unhosted(runtime, view).await {
        return Ok(Some(Left::Unhosted(view.run, wait)));
    }
    if !view.waits.iter().any(|wait| matches!(wait.on, WaitOn::Child { .. })) {
        return Ok(None);
    }
    Ok(who_waits(runtime, &view.run).await?.map(|waiting| Left::Waits(Box::new(waiting))))
}

/// The run as it is now, if it waits for somebody. A wait that is being read may be over: the log's end counts.
pub(crate) async fn waits(runtime: &dyn Runtime, view: &RunView) -> Result<Option<RunView>, CliError> {
    let waits = |view: &RunView| view.waits.iter().any(|wait| needs_somebody(&wait.on));
    if !waits(view) {
        return Ok(None);
    }
    let now = runtime.run_status(&view.run).await?;
    Ok(Some(now).filter(|now| now.outcome.is_none() && waits(now)))
}

/// What a run that is not over waits for when nobody hosts its kind. Its log does not say so: that is no fact of the run
/// (ADR 13). Who cannot be asked just now may host it.
pub(crate) async fn unhosted(runtime: &dyn Runtime, view: &RunView) -> Option<WaitOn> {
    let agent = runtime.agent(&view.agent.into()).await.ok().filter(|agent| !agent.hosted)?;
    let now = runtime.run_status(&view.run).await.ok()?;
    now.outcome.is_none().then_some(WaitOn::Kind(agent.kind))
}

/// What a run is doing, for the spinner.
fn doing(view: &RunView) -> String {
    let steps = steps_under_way(view);
    if !steps.is_empty() {
        return steps.join(", ");
    }
    let waits: Vec<String> = view.waits.iter().map(|wait| format!("waits for {}", awaited(wait))).collect();
    waits.join(", ")
}

#[cfg(test)]
mod tests {
    use agent_runtime::{Cause, RuntimeError};
    use runtime_testkit::fakes::runtime::{Answer, FakeRuntime, Play};

    use super::watch;
    use crate::error::CliError;
    use crate::progress::Progress;
    use crate::screen::{Screen, Terminal};
    use crate::signals::Signals;
    use crate::teller::Teller;

    #[tokio::test]
    async fn a_run_whose_runtime_stays_away_is_named() {
        let runtime = FakeRuntime::new();
        let away = RuntimeError::Unreachable { at: "unix:a.sock".to_owned(), cause: Cause::says("refused") };
        let run = runtime.samples().run;
        let screen = Screen::new(Terminal { out: false, err: false, ..Terminal::ask() }, true);
        let mut signals = Signals::listen().unwrap();
        let broken = Play { items: vec![Err(away.clone())], stays_open: false };

        for answer in [Answer::Fail(away), Answer::Stream(broken)] {
            runtime.answer(answer);
            let mut teller = Teller::new(screen.clone(), Progress::begin(&screen, "scribe"));
            let error = watch(&runtime, run, &mut teller, &mut signals).await.err().unwrap();

            assert!(matches!(error, CliError::WentAway { .. }), "{error}");
            assert!(error.to_string().contains(&format!("log --follow {run}")), "{error}");
        }
    }
}
