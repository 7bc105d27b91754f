//! What a run asks, asked on the terminal.

use agent_runtime::runtime::Reply;
use agent_runtime::{RunId, RuntimeError};

use super::keyboard::Line;
use super::orders::{Order, Typed};
use super::talk::{Next, Talk};
use super::tty::Tty;
use crate::asks::{Asked, What};
use crate::commands::answer::NO_REASON;
use crate::commands::run::say_left;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::ask;

impl Talk<'_> {
    /// Asks what a run asks, and says the answer to it. `at` is the run that is followed: it, or one that it called, asks.
    pub(super) async fn ask(&mut self, asked: &Asked, at: RunId) -> Result<Next, CliError> {
        self.stage.end_text()?;
        let paint = self.desk.screen.paint();
        if asked.run != at {
            self.note(format!("asked by {}, which was called", asked.run))?;
        }
        self.show(ask::lines(asked, paint))?;
        loop {
            // What was typed before the question was seen is no answer to it.
            Tty::forget_typed();
            let prompt = match asked.what {
                What::Question(_) => "answer › ",
                What::Consent(_) => "[y]es / [n]o / reason › ",
            };
            let line = match self.keyboard.ask(prompt, false, self.signals).await? {
                Line::Typed(line) => line,
                Line::Interrupt => return self.interrupt(at).await,
                Line::End => {
                    say_left(self.desk, at);
                    return Ok(Next::Leave(Exit::Done));
                }
                Line::Signal(signal) => return Ok(Next::Leave(Exit::Signal(signal))),
            };
            let text = match Typed::of(&line) {
                Typed::Nothing => continue,
                Typed::Text(text) => text,
                Typed::Unknown(word) => {
                    self.unknown(&word)?;
                    continue;
                }
                Typed::Order(order @ (Order::Help | Order::History(_))) => {
                    self.obey(order, Some(at)).await?;
                    continue;
                }
                Typed::Order(order @ (Order::Rollback(_) | Order::Fork(_))) => {
                    match self.obey(order, Some(at)).await? {
                        Next::Follow(run) if run == at => continue,
                        next => return Ok(next),
                    }
                }
                Typed::Order(order @ (Order::New | Order::Quit)) => {
                    say_left(self.desk, at);
                    let next = self.obey(order, None).await?;
                    return Ok(next);
                }
            };
            let reply = match asked.what {
                What::Question(_) => Reply::Answer(text.into()),
                What::Consent(_) => consent(asked, text),
            };
            return match self.runtime.answer(&asked.run, &asked.step, reply).await {
                Ok(()) => Ok(Next::Follow(at)),
                Err(RuntimeError::NothingToAnswer { .. } | RuntimeError::RunOver { .. }) => {
                    self.note("somebody else has answered that")?;
                    Ok(Next::Follow(at))
                }
                // It is asked again, and shown as it is now.
                Err(error @ RuntimeError::OtherCall { .. }) => {
                    self.desk.screen.fail(&error.into());
                    Ok(Next::Follow(at))
                }
                Err(error) => Err(error.into()),
            };
        }
    }
}

fn consent(asked: &Asked, text: String) -> Reply {
    match text.to_lowercase().as_str() {
        "y" | "yes" => asked.consent(),
        "n" | "no" => Reply::Deny { reason: NO_REASON.to_owned() },
        _ => Reply::Deny { reason: text },
    }
}
