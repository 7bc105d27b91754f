//! A run in a conversation on a terminal, from its first word to its outcome.

use std::time::Duration;

use agent_runtime::log::WaitOn;
use agent_runtime::{Content, Outcome, Payload, RunId, RunView, RuntimeError};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::story::{Act, Story, took};
use super::talk::{Next, Talk};
use crate::asks::{Asked, who_waits};
use crate::commands::run::{output_of, say_left, say_unhosted, say_waits};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::answer::visible;
use crate::render::{cut, said};
use crate::watch::{QUIET, unhosted, waits};

/// How often what is under way is drawn again.
const TICK: Duration = Duration::from_millis(100);
/// How long a run that is interrupted has to end by itself.
const WITHIN: Duration = Duration::from_secs(2);
/// What turns while something is under way.
const TURNS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What was seen of a run.
enum Seen {
    /// It is over; its output, where that is kept beside the log.
    Over(Option<Content>),
    /// It waits for somebody, or a run does that it called.
    Waits(Box<RunView>),
    /// Nobody hosts its kind.
    Unhosted(WaitOn),
    /// A signal came.
    Signal(u8),
}

impl Talk<'_> {
    /// Shows a run, and the runs that it goes on as, until the prompt is there again.
    pub(super) async fn follow(&mut self, run: RunId) -> Result<Next, CliError> {
        let mut story = Story::new(run);
        loop {
            let seen = self.watch(&mut story).await.map_err(|error| match error {
                CliError::Runtime(RuntimeError::Unreachable { .. }) => CliError::WentAway { run: story.run },
                error => error,
            })?;
            match seen {
                Seen::Over(content) => match self.over(&story, content)? {
                    Some(next) => story = Story::new(next),
                    None => return Ok(Next::Prompt),
                },
                Seen::Waits(view) => match Asked::all(&view).into_iter().next() {
                    Some(asked) => {
                        self.tty.restore();
                        let next = self.ask(&asked, story.run).await?;
                        self.tty.hush();
                        match next {
                            Next::Follow(run) if run == story.run => {}
                            next => return Ok(next),
                        }
                    }
                    None => {
                        say_waits(self.desk, &view);
                        return Ok(Next::Prompt);
                    }
                },
                Seen::Unhosted(wait) => {
                    say_unhosted(self.desk, story.run, &wait);
                    return Ok(Next::Prompt);
                }
                Seen::Signal(2) => return self.interrupt(story.run).await,
                Seen::Signal(signal) => {
                    say_left(self.desk, story.run);
                    return Ok(Next::Leave(Exit::Signal(signal)));
                }
            }
        }
    }

    /// Shows what happens in a run until it needs somebody.
    async fn watch(&mut self, story: &mut Story) -> Result<Seen, CliError> {
        let mut items = self.runtime.stream(&story.run, story.next).await?;
        for act in story.fall_silent() {
            self.act(act)?;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut turn = 0;
        let quiet = tokio::time::sleep(QUIET);
        tokio::pin!(quiet);
        loop {
            let item = tokio::select! {
                biased;
                signal = self.signals.next() => return Ok(Seen::Signal(signal)),
                item = items.next() => item.ok_or(CliError::WentAway { run: story.run })??,
                _ = ticks.tick() => {
                    turn += 1;
                    self.draw(story, turn)?;
                    continue;
                }
                () = &mut quiet => {
                    if let Some(seen) = self.held_up(story).await? {
                        self.stage.lift()?;
                        return Ok(seen);
                    }
                    quiet.set(tokio::time::sleep(QUIET));
                    continue;
                }
            };
            quiet.set(tokio::time::sleep(QUIET));
            for act in story.take(item) {
                if let Act::Over(content) = act {
                    self.stage.lift()?;
                    return Ok(Seen::Over(content));
                }
                self.act(act)?;
            }
            if let Some(view) = &story.view
                && let Some(waiting) = waits(self.runtime, view).await?
            {
                self.stage.lift()?;
                return Ok(Seen::Waits(Box::new(waiting)));
            }
        }
    }

    fn act(&mut self, act: Act) -> Result<(), CliError> {
        match act {
            Act::Piece(text) => self.stage.piece(&text),
            Act::Withdraw => self.stage.withdraw(),
            Act::Text(text) => self.stage.recorded(&text),
            Act::Done { called, end, took: time } => {
                let width = self.stage.width();
                let end = end.as_ref().copied().map_err(String::as_str);
                let paint = self.desk.screen.paint();
                // A copy has the calls of its original, which take no time.
                let time = if time.is_zero() { String::new() } else { crate::render::time::duration(time) };
                self.stage.line(said::call(&called, Some(end), &time, width, paint))
            }
            Act::Over(_) => Ok(()),
        }
    }

    /// Draws what is under way.
    fn draw(&mut self, story: &Story, turn: usize) -> Result<(), CliError> {
        let now = self.desk.now();
        let paint = self.desk.screen.paint();
        let mark = TURNS[turn % TURNS.len()];
        // The last columns are left free: the terminal may write there.
        let width = self.stage.width().saturating_sub(4);
        let line = |text: &str, time: String| {
            let time = if time.is_empty() { time } else { format!("  {time}") };
            let text = cut(text, width.saturating_sub(4 + time.len()));
            format!("  {} {}", paint.place(mark), paint.dim(format!("{text}{time}")))
        };
        let calls = story.calls(now).map(|(called, time)| line(&called.short(width), took(time)));
        let mut lines: Vec<String> = calls.collect();
        if lines.is_empty() {
            lines.push(line(&visible(&story.doing()), story.age(now)));
        }
        self.stage.under_way(lines)
    }

    /// Why a run that has been quiet does not move.
    async fn held_up(&self, story: &Story) -> Result<Option<Seen>, CliError> {
        let Some(view) = &story.view else { return Ok(None) };
        if let Some(wait) = unhosted(self.runtime, view).await {
            return Ok(Some(Seen::Unhosted(wait)));
        }
        if !view.waits.iter().any(|wait| matches!(wait.on, WaitOn::Child { .. })) {
            return Ok(None);
        }
        Ok(who_waits(self.runtime, &view.run).await?.map(|waiting| Seen::Waits(Box::new(waiting))))
    }

    /// Shows how a run ended; gives back the one that goes on.
    fn over(&mut self, story: &Story, content: Option<Content>) -> Result<Option<RunId>, CliError> {
        let Some(view) = &story.view else { return Ok(None) };
        let run = story.run;
        match &view.outcome {
            Some(Outcome::Continued(next)) => {
                self.stage.withdraw()?;
                return Ok(Some(*next));
            }
            Some(Outcome::Completed(Payload::Inline(_) | Payload::Blob { .. })) => {
                let output = output_of(view, content)?;
                match output.as_text() {
                    Ok(text) if output.media != agent_runtime::Media::Bytes => {
                        // A model has said it already.
                        if story.said.as_deref() == Some(text) {
                            self.stage.withdraw()?;
                        } else {
                            self.stage.recorded(text)?;
                        }
                    }
                    _ => {
                        self.stage.withdraw()?;
                        let bytes = output.bytes.len();
                        self.note(format!("the answer is {bytes} bytes that are no text: see log {run}"))?;
                    }
                }
            }
            Some(Outcome::Failed(failure)) => {
                self.stage.withdraw()?;
                let line = format!(
                    "{} {}",
                    self.desk.screen.paint().bad("✗ failed:"),
                    visible(&failure.to_string())
                );
                self.stage.line(line)?;
            }
            Some(Outcome::Cancelled(_) | Outcome::RolledBack) => {
                self.stage.withdraw()?;
                self.stage.line(self.desk.screen.paint().warn("✗ the run was cancelled"))?;
            }
            None => {}
        }
        Ok(None)
    }

    /// Ends a run early because somebody wants to go on.
    pub(super) async fn interrupt(&mut self, run: RunId) -> Result<Next, CliError> {
        self.stage.lift()?;
        self.stage.end_text()?;
        tokio::select! {
            receipt = self.runtime.cancel(&run, "interrupted in a chat", WITHIN) => { receipt?; }
            signal = self.signals.next() => {
                say_left(self.desk, run);
                return Ok(Next::Leave(Exit::Signal(signal)));
            }
        }
        self.stage.line(self.desk.screen.paint().warn("✗ interrupted"))?;
        Ok(Next::Prompt)
    }
}
