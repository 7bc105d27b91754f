//! The server's process, as its parent sees it.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::flaw::Flaw;
use super::host::COMMAND;
use super::trap::{DIED, Trap};

/// How servers are started.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) folder: PathBuf,
    pub(super) counter: PathBuf,
    pub(super) agents: u32,
    pub(super) flaw: Option<Flaw>,
}

/// A server's process. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it wrote about itself.
    log: PathBuf,
    /// At which sorts of commit it said that it dies, and on which side.
    pub(super) died_at: Option<String>,
}

/// What became of waiting for a server.
#[derive(Debug)]
pub(super) enum Heard {
    /// It serves: the store is open, every open run has been taken over, and it answers.
    Ready,
    /// It is gone.
    Gone(ExitStatus),
    /// Nothing came in time.
    Nothing,
}

impl Servers {
    /// The store's file.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("store.redb")
    }

    /// Starts the process with this number.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn start(&self, life: u32, trap: Option<Trap>) -> io::Result<Server> {
        let log = self.folder.join(format!("life-{life:04}.log"));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND).arg("--store").arg(self.store()).arg("--counter").arg(&self.counter);
        command.args(["--life", &life.to_string(), "--agents", &self.agents.to_string()]);
        if let Some(trap) = trap {
            command.args(["--trap", &trap.to_string()]);
        }
        command.args(Flaw::argument(self.flaw));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Server { child, lines: BufReader::new(stdout).lines(), log, died_at: None })
    }
}

impl Server {
    /// Waits until it serves.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn ready(&mut self, within: Duration) -> io::Result<Heard> {
        let ready = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(at) = line.strip_prefix(DIED) {
                    self.died_at = Some(at.trim().to_owned());
                } else {
                    return Ok(Heard::Ready);
                }
            }
            self.child.wait().await.map(Heard::Gone)
        };
        timeout(within, ready).await.unwrap_or(Ok(Heard::Nothing))
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn gone(&mut self, within: Duration) -> io::Result<Heard> {
        let gone = async {
            // What it says is read to the end, so that it never waits for its reader.
            while let Some(line) = self.lines.next_line().await? {
                if let Some(at) = line.strip_prefix(DIED) {
                    self.died_at = Some(at.trim().to_owned());
                }
            }
            self.child.wait().await.map(Heard::Gone)
        };
        timeout(within, gone).await.unwrap_or(Ok(Heard::Nothing))
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end in good order.
    pub(super) fn ask_to_end(&self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            // One that is gone already is seen to be.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// What it wrote of things that should not happen.
    pub(super) fn complaints(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let bad = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
        text.lines().filter(bad).map(str::to_owned).collect()
    }

    /// The end of what it wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

/// Whether a process was killed, by whomever.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
