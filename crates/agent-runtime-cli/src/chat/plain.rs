//! A conversation without a terminal: each line of the standard input is a turn, or the answer to a question.

use agent_runtime::runtime::Reply;
use agent_runtime::{AgentId, RunId, Runtime, RuntimeError};

use super::{Manner, open_runs};
use crate::asks::{Asked, What};
use crate::commands::run::{facts, output_of, say_left, say_unhosted, say_waits};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::line;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::teller::Teller;
use crate::watch::{Left, watch};

/// Reads lines until there are no more, or a run did not complete.
pub(crate) async fn lines(
    desk: &Desk,
    runtime: &dyn Runtime,
    agent: AgentId,
    manner: &Manner,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let mut talk = Plain { desk, runtime, signals };
    for run in open_runs(runtime, agent, &manner.session).await? {
        let exit = talk.follow(run).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    loop {
        let text = match talk.next().await? {
            Typed::Line(text) if text.trim().is_empty() => continue,
            Typed::Line(text) => text,
            Typed::End => return Ok(Exit::Done),
            Typed::Signal(signal) => return Ok(Exit::Signal(signal)),
        };
        let run = runtime.submit(&agent.into(), manner.ask(text)).await?.run;
        let exit = talk.follow(run).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
}

struct Plain<'a> {
    desk: &'a Desk,
    runtime: &'a dyn Runtime,
    signals: &'a mut Signals,
}

enum Typed {
    Line(String),
    End,
    Signal(u8),
}

impl Plain<'_> {
    async fn next(&mut self) -> Result<Typed, CliError> {
        tokio::select! {
            read = tokio::task::spawn_blocking(line) => {
                let read = read.map_err(|error| CliError::Input(std::io::Error::other(error)))??;
                Ok(read.map_or(Typed::End, Typed::Line))
            }
            signal = self.signals.next() => Ok(Typed::Signal(signal)),
        }
    }

    /// Watches a run to its end, and answers what it asks with the next line. Consent is not guessed.
    async fn follow(&mut self, run: RunId) -> Result<Exit, CliError> {
        let mut bare = self.desk.screen.clone();
        (bare.terminal.out, bare.terminal.err) = (false, false);
        let mut teller = Teller::new(bare.clone(), Progress::begin(&bare, ""));
        loop {
            match watch(self.runtime, run, &mut teller, self.signals).await? {
                Left::Ended(view, content) => {
                    let output = output_of(&view, content)?;
                    if bare.json {
                        bare.json_line(&facts(&view, &output))?;
                    } else {
                        teller.answer(&output)?;
                    }
                    return Ok(Exit::Done);
                }
                Left::Waits(view) => {
                    let asked = Asked::all(&view).into_iter().next();
                    let Some((asked, question)) = asked.and_then(question) else {
                        say_waits(self.desk, &view);
                        return Ok(Exit::Waits);
                    };
                    if !bare.json {
                        bare.line(question)?;
                    }
                    let text = match self.next().await? {
                        Typed::Line(text) => text,
                        Typed::End => {
                            say_waits(self.desk, &view);
                            return Ok(Exit::Waits);
                        }
                        Typed::Signal(signal) => return Ok(Exit::Signal(signal)),
                    };
                    match self.runtime.answer(&asked.run, &asked.step, Reply::Answer(text.into())).await {
                        // Somebody else was faster.
                        Ok(()) | Err(RuntimeError::NothingToAnswer { .. } | RuntimeError::RunOver { .. }) => {
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Left::Unhosted(run, wait) => {
                    say_unhosted(self.desk, run, &wait);
                    return Ok(Exit::Waits);
                }
                Left::Interrupted(run, signal) => {
                    say_left(self.desk, run);
                    return Ok(Exit::Signal(signal));
                }
            }
        }
    }
}

fn question(asked: Asked) -> Option<(Asked, String)> {
    match &asked.what {
        What::Question(question) => {
            let question = question.clone();
            Some((asked, question))
        }
        What::Consent(_) => None,
    }
}
