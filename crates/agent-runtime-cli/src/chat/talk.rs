//! A conversation on a terminal: the prompt, and what can be ordered there.

use agent_runtime::runtime::{AgentStatus, ForkRequest, SessionPolicy};
use agent_runtime::{AgentId, RunId, Runtime, RuntimeError};

use super::keyboard::{Keyboard, Line};
use super::orders::{ORDERS, Order, Typed};
use super::stage::Stage;
use super::tty::Tty;
use super::{Manner, new_session, open_runs};
use crate::commands::messages::last;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::said;
use crate::signals::Signals;

/// Messages that are shown when a conversation is taken up again.
const BEFORE: u32 = 10;

/// A conversation on a terminal.
pub(super) struct Talk<'a> {
    pub(super) desk: &'a Desk,
    pub(super) runtime: &'a dyn Runtime,
    pub(super) signals: &'a mut Signals,
    pub(super) keyboard: Keyboard,
    pub(super) stage: Stage,
    pub(super) tty: Tty,
    agent: AgentId,
    name: String,
    manner: Manner,
    last: Option<RunId>,
}

/// How the conversation goes on.
#[derive(Debug)]
pub(super) enum Next {
    /// With the prompt.
    Prompt,
    /// With this run.
    Follow(RunId),
    /// Not at all.
    Leave(Exit),
}

impl<'a> Talk<'a> {
    /// A conversation with an agent.
    pub(super) fn new(
        desk: &'a Desk,
        runtime: &'a dyn Runtime,
        agent: &AgentStatus,
        manner: Manner,
        signals: &'a mut Signals,
    ) -> Result<Self, CliError> {
        Ok(Self {
            desk,
            runtime,
            signals,
            tty: Tty::found()?,
            keyboard: Keyboard::new(desk.screen.paint())?,
            stage: Stage::new(desk.screen.clone()),
            agent: agent.id,
            name: agent.name.to_string(),
            manner,
            last: None,
        })
    }

    /// Holds it until somebody leaves.
    pub(super) async fn hold(mut self) -> Result<Exit, CliError> {
        self.greet().await?;
        for run in open_runs(self.runtime, self.agent, &self.manner.session).await? {
            let input = self.runtime.run_status(&run).await?.input;
            if let agent_runtime::Payload::Inline(input) = input {
                self.blank()?;
                self.show(said::typed(&input.to_string(), self.desk.screen.paint()))?;
            }
            if let Next::Leave(exit) = self.go(Next::Follow(run)).await? {
                return Ok(exit);
            }
        }
        loop {
            self.blank()?;
            let next = match self.keyboard.ask("› ", true, self.signals).await? {
                Line::Typed(line) => match Typed::of(&line) {
                    Typed::Nothing => continue,
                    Typed::Text(text) => self.say(text, None).await,
                    Typed::Order(order) => self.obey(order, None).await,
                    Typed::Unknown(word) => self.unknown(&word).map(|()| Next::Prompt),
                },
                Line::Interrupt | Line::End => Ok(Next::Leave(Exit::Done)),
                Line::Signal(signal) => return Ok(Exit::Signal(signal)),
            };
            let next = self.forgive(next)?;
            if let Next::Leave(exit) = self.go(next).await? {
                if exit == Exit::Done {
                    self.part();
                }
                return Ok(exit);
            }
        }
    }

    /// Follows runs until there is the prompt again, or nothing more.
    async fn go(&mut self, mut next: Next) -> Result<Next, CliError> {
        while let Next::Follow(run) = next {
            self.last = Some(run);
            self.tty.hush();
            let followed = self.follow(run).await;
            self.stage.lift()?;
            self.tty.restore();
            next = self.forgive(followed)?;
        }
        Ok(next)
    }

    /// A refusal is said, and the conversation goes on; without the runtime it cannot.
    fn forgive(&mut self, next: Result<Next, CliError>) -> Result<Next, CliError> {
        match next {
            Err(error) if error.exit() != Exit::Store => {
                self.stage.lift()?;
                self.desk.screen.fail(&error);
                Ok(Next::Prompt)
            }
            next => next,
        }
    }

    /// Gives the agent something to work on.
    async fn say(&mut self, text: String, policy: Option<SessionPolicy>) -> Result<Next, CliError> {
        let mut request = self.manner.ask(text);
        request.policy = policy;
        match self.runtime.submit(&self.agent.into(), request).await {
            Ok(submitted) => Ok(Next::Follow(submitted.run)),
            // Somebody else has begun it: what it waits for comes first.
            Err(RuntimeError::SessionBusy { run, .. }) => {
                self.note(format!("the conversation is busy with {run}: that first, then say it again"))?;
                Ok(Next::Follow(run))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does what was ordered; `open` is the run that waits meanwhile.
    pub(super) async fn obey(&mut self, order: Order, open: Option<RunId>) -> Result<Next, CliError> {
        match order {
            Order::Help => self.help()?,
            Order::History(most) => self.history(most).await?,
            Order::New => {
                self.manner.session = new_session(self.desk.now())?;
                self.last = None;
                self.note(format!("a new conversation: {}", self.manner.session))?;
            }
            Order::Rollback(text) => return self.roll_back(text, open).await,
            Order::Fork(text) => return self.fork(text, open).await,
            Order::Quit => return Ok(Next::Leave(Exit::Done)),
        }
        Ok(open.map_or(Next::Prompt, Next::Follow))
    }

    async fn roll_back(&mut self, text: String, open: Option<RunId>) -> Result<Next, CliError> {
        let stay = open.map_or(Next::Prompt, Next::Follow);
        if open_runs(self.runtime, self.agent, &self.manner.session).await?.is_empty() {
            self.note("the last turn is over, and stays said. `/fork TEXT` says it another way, in a copy")?;
            return Ok(stay);
        }
        if text.is_empty() {
            self.note("say what takes its place: `/rollback TEXT`")?;
            return Ok(stay);
        }
        self.say(text, Some(SessionPolicy::Rollback)).await
    }

    async fn fork(&mut self, text: Option<String>, open: Option<RunId>) -> Result<Next, CliError> {
        let run = match open.or(self.last) {
            Some(run) => Some(run),
            None => {
                let said = last(self.runtime, &self.agent.into(), &self.manner.session, 1).await?;
                said.last().map(|said| said.run)
            }
        };
        let Some(run) = run else {
            self.note("nothing was said yet that could be copied")?;
            return Ok(Next::Prompt);
        };
        let request = ForkRequest { input: text.map(Into::into), ..ForkRequest::default() };
        let fork = self.runtime.fork(&run, request).await?;
        self.manner.session = self.runtime.run_status(&fork).await?.session;
        self.note(format!("goes on in a copy: {}", self.manner.session))?;
        Ok(Next::Follow(fork))
    }

    async fn greet(&mut self) -> Result<(), CliError> {
        let server =
            if self.desk.served.is_some() { "" } else { " · no server: runs are worked while this is open" };
        self.note(format!("{} · session {} · /help{server}", self.name, self.manner.session))?;
        let said = last(self.runtime, &self.agent.into(), &self.manner.session, BEFORE).await?;
        if !said.is_empty() {
            self.blank()?;
        }
        let width = self.stage.width();
        self.show(said::lines(&said, width, self.desk.screen.paint()))
    }

    async fn history(&mut self, most: u32) -> Result<(), CliError> {
        let said = last(self.runtime, &self.agent.into(), &self.manner.session, most).await?;
        if said.is_empty() {
            return self.note("nothing was said yet");
        }
        let width = self.stage.width();
        self.show(said::lines(&said, width, self.desk.screen.paint()))
    }

    fn help(&mut self) -> Result<(), CliError> {
        for (name, takes, does) in ORDERS {
            self.note(format!("{:<16}  {does}", format!("{name} {takes}")))?;
        }
        self.note(
            "A line that ends with \\ goes on in the next one. Ctrl-C ends an answer that is being made.",
        )
    }

    pub(super) fn unknown(&mut self, word: &str) -> Result<(), CliError> {
        self.note(format!(
            "there is no {word}: see /help, or type a second slash before it to say it to the agent"
        ))
    }

    /// Says how to come back.
    fn part(&self) {
        let session = match self.manner.session.as_str() {
            "default" => String::new(),
            name => format!(" --session {name}"),
        };
        crate::commands::run::next(self.desk, &[format!("chat {}{session}", self.name)]);
    }

    pub(super) fn note(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        self.stage.line(self.desk.screen.paint().dim(text.as_ref()))
    }

    pub(super) fn show(&mut self, lines: Vec<String>) -> Result<(), CliError> {
        lines.into_iter().try_for_each(|line| self.stage.line(line))
    }

    fn blank(&mut self) -> Result<(), CliError> {
        self.stage.line("")
    }
}
