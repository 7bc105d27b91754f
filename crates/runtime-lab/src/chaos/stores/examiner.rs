//! The process that opens stores, as its parent sees it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::error::{StoresError, refused};
use super::examining::{COMMAND, Task};
use super::seen::Seen;
use crate::chaos::flaw::Flaw;

/// How long one store may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens stores in a process of its own, and in a new one after a store has ended it.
#[derive(Debug)]
pub(super) struct Examiner {
    flaw: Option<Flaw>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Examiner {
    /// An examiner of stores that break their contract, if there is a flaw.
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, process: None }
    }

    /// What is in a store. A store that ends the process, or never answers, has panicked.
    ///
    /// # Errors
    /// [`StoresError`] when no process can be started.
    pub(super) async fn look(&mut self, task: &Task) -> Result<Seen, StoresError> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(self.flaw)?,
        };
        let died = |what: String| Seen { panicked: Some(what), ..Seen::default() };
        match timeout(PATIENCE, process.ask(task)).await {
            Ok(Some(seen)) => {
                self.process = Some(process);
                Ok(seen)
            }
            Ok(None) => {
                let status = process.child.wait().await.map_err(refused("to wait for a process"))?;
                Ok(died(format!("the process that opened it has ended: {status}")))
            }
            Err(_) => {
                process.child.kill().await.map_err(refused("to kill a process"))?;
                Ok(died(format!("it did not answer within {PATIENCE:?}")))
            }
        }
    }
}

impl Process {
    fn start(flaw: Option<Flaw>) -> Result<Self, StoresError> {
        let me = std::env::current_exe().map_err(refused("the path of this program"))?;
        let mut command = Command::new(me);
        command.arg(COMMAND).args(Flaw::argument(flaw));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(refused("a process"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.expect("both were asked for");
        Ok(Self { child, stdin, lines: BufReader::new(stdout).lines() })
    }

    async fn ask(&mut self, task: &Task) -> Option<Seen> {
        let mut line = serde_json::to_string(task).ok()?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).await.ok()?;
        let answer = self.lines.next_line().await.ok()??;
        serde_json::from_str(&answer).ok()
    }
}
