//! The process that writes, as its parent sees it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::error::{StoresError, refused};
use super::word::Word;
use super::work::Work;
use super::writing::COMMAND;
use crate::chaos::flaw::Flaw;

/// How long a process may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How writing processes are started.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) store: String,
    pub(super) work: Work,
    pub(super) life: u64,
    pub(super) until: Option<u64>,
    pub(super) best: bool,
    pub(super) unclosed: bool,
    pub(super) flaw: Option<Flaw>,
    /// What it writes to its standard error goes here.
    pub(super) log: PathBuf,
}

/// A process that writes. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Writing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    /// Its id once it has begun: not that of the program under which it runs.
    process: Option<u32>,
}

impl Start {
    /// Starts it as the program `under` with these arguments before its own; by itself, if there is none.
    ///
    /// # Errors
    /// [`StoresError::System`].
    pub(super) fn spawn(&self, under: Option<Command>) -> Result<Writing, StoresError> {
        let me = std::env::current_exe().map_err(refused("the path of this program"))?;
        let mut command = match under {
            Some(mut under) => {
                under.arg(me);
                under
            }
            None => Command::new(me),
        };
        let Work { seed, writers } = self.work;
        command.arg(COMMAND).args(["--store", &self.store]).args(["--seed", &seed.to_string()]);
        command.args(["--writers", &writers.to_string(), "--life", &self.life.to_string()]);
        if let Some(until) = self.until {
            command.args(["--until", &until.to_string()]);
        }
        if self.best {
            command.arg("--best");
        }
        if self.unclosed {
            command.arg("--unclosed");
        }
        command.args(Flaw::argument(self.flaw));
        let log = File::create(&self.log).map_err(refused("a file for what a process says"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().map_err(refused("a process"))?;
        let stdout = child.stdout.take().expect("it was asked for");
        Ok(Writing { child, lines: BufReader::new(stdout).lines(), log: self.log.clone(), process: None })
    }
}

impl Writing {
    /// The next thing that it says; `None` when it has ended. What is cut off in the middle was not said.
    ///
    /// # Errors
    /// [`StoresError`] when it cannot be heard.
    pub(super) async fn next(&mut self) -> Result<Option<Word>, StoresError> {
        loop {
            let Ok(line) = timeout(PATIENCE, self.lines.next_line()).await else {
                return Err(StoresError::Silent(PATIENCE.as_secs()));
            };
            match line.map_err(refused("to hear a process"))? {
                None => return Ok(None),
                Some(line) => {
                    let Ok(word) = line.parse() else { continue };
                    if let Word::Begins { process } = word {
                        self.process = Some(process);
                    }
                    return Ok(Some(word));
                }
            }
        }
    }

    /// Waits until it has begun.
    ///
    /// # Errors
    /// [`StoresError::Ended`] when it does not.
    pub(super) async fn begins(&mut self) -> Result<(), StoresError> {
        match self.next().await? {
            Some(Word::Begins { .. }) => Ok(()),
            _ => Err(self.ended().await),
        }
    }

    /// Sends SIGKILL. What it has said until then still comes.
    pub(super) fn kill(&self) {
        let process = self.process.or_else(|| self.child.id());
        if let Some(pid) = process.and_then(|id| Pid::from_raw(id as i32)) {
            // One that is gone already is seen to be.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// [`StoresError::System`].
    pub(super) async fn gone(&mut self) -> Result<ExitStatus, StoresError> {
        self.child.wait().await.map_err(refused("to wait for a process"))
    }

    /// That it has ended by itself, and what it said.
    pub(super) async fn ended(&mut self) -> StoresError {
        let status = match self.gone().await {
            Ok(status) => status.to_string(),
            Err(error) => return error,
        };
        StoresError::Ended { status, last: last_words(&self.log) }
    }
}

/// The end of what a process wrote about itself.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
