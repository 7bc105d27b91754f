//! Parts of figures that need a process of their own: to be measured alone, or to be killed.

use std::path::PathBuf;
use std::process::Stdio;

use clap::Subcommand;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::error::FiguresError;
use super::{idle, memory, metered, opening, replay};

const READY: &str = "ready";

/// What such a process does.
#[derive(Debug, Subcommand)]
pub(crate) enum Stage {
    /// Tells its memory after `first` runs and after `last`
    Memory { first: u64, last: u64 },
    /// Registers and starts agents in a store
    Register { store: PathBuf, agents: u64 },
    /// Tells its memory with the store opened, and with all its agents active
    Reopen { store: PathBuf },
    /// Tells what a map of as many agents takes
    Map { agents: u64 },
    /// Begins runs of so many steps, and waits to be killed when all stand at their last one
    Begin { store: PathBuf, steps: u64, runs: u64 },
    /// Writes so many values, and goes on until it is killed
    Fill { store: PathBuf, round: u64, values: u64 },
    /// Tells how long it takes to parse and drop a transcript
    Transcripts { millis: u64 },
}

/// Which program acts.
#[derive(Clone, Copy)]
enum By {
    /// This one.
    This,
    /// One beside it.
    Other(&'static str),
}

impl Stage {
    fn args(&self) -> Vec<String> {
        let of = |name: &str, numbers: &[u64]| {
            std::iter::once(name.to_owned()).chain(numbers.iter().map(u64::to_string)).collect::<Vec<_>>()
        };
        let with = |name: &str, store: &PathBuf, numbers: &[u64]| {
            let mut args = of(name, numbers);
            args.insert(1, store.display().to_string());
            args
        };
        match self {
            Self::Memory { first, last } => of("memory", &[*first, *last]),
            Self::Register { store, agents } => with("register", store, &[*agents]),
            Self::Reopen { store } => with("reopen", store, &[]),
            Self::Map { agents } => of("map", &[*agents]),
            Self::Begin { store, steps, runs } => with("begin", store, &[*steps, *runs]),
            Self::Fill { store, round, values } => with("fill", store, &[*round, *values]),
            Self::Transcripts { millis } => of("transcripts", &[*millis]),
        }
    }

    fn command(&self, by: By) -> Result<Command, FiguresError> {
        let program = match by {
            By::This => this_program()?,
            By::Other(name) => beside(name)?,
        };
        if let (By::Other(name), false) = (by, program.exists()) {
            return Err(self.silent(format!(
                "there is no `{}`; it needs {}",
                program.display(),
                how_to_build(name)
            )));
        }
        let mut command = Command::new(program);
        command
            .arg("stage")
            .args(self.args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    fn silent(&self, said: impl Into<String>) -> FiguresError {
        FiguresError::Stage { stage: self.args().join(" "), said: said.into() }
    }
}

fn this_program() -> Result<PathBuf, FiguresError> {
    std::env::current_exe().map_err(|error| FiguresError::io("the path of this program", error))
}

/// Where another program of the laboratory is, if it was built as this one was.
pub(crate) fn beside(name: &str) -> Result<PathBuf, FiguresError> {
    Ok(this_program()?.with_file_name(name))
}

/// How that program gets there.
pub(crate) fn how_to_build(name: &str) -> String {
    format!("`cargo build --locked --release --package runtime-lab --features peers --bin {name}`")
}

/// Does the stage, in its own process.
pub(crate) async fn act(stage: Stage) -> Result<(), FiguresError> {
    match stage {
        Stage::Memory { first, last } => memory::work(first, last).await,
        Stage::Register { store, agents } => idle::register(store, agents).await,
        Stage::Reopen { store } => idle::reopen(store).await,
        Stage::Map { agents } => idle::map(agents),
        Stage::Begin { store, steps, runs } => replay::begin(store, steps, runs).await,
        Stage::Fill { store, round, values } => opening::fill(store, round, values).await,
        Stage::Transcripts { millis } => metered::work(millis),
    }
}

/// Starts the stage and waits for its answer.
pub(crate) async fn ask<T: DeserializeOwned>(stage: &Stage) -> Result<T, FiguresError> {
    ask_by(By::This, stage).await
}

/// Has the program of this name do it, which lies beside this one.
pub(crate) async fn ask_other<T: DeserializeOwned>(
    program: &'static str,
    stage: &Stage,
) -> Result<T, FiguresError> {
    ask_by(By::Other(program), stage).await
}

async fn ask_by<T: DeserializeOwned>(by: By, stage: &Stage) -> Result<T, FiguresError> {
    let mut child = stage.command(by)?.spawn().map_err(|error| FiguresError::io("this program", error))?;
    // Held open until the end: a stage whose parent is gone ends.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().await.map_err(|error| FiguresError::io("this program", error))?;
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).map_err(|error| stage.silent(format!("{said} ({error}, {})", output.status)))
}

/// Starts the stage, and kills it when it says that it is ready.
pub(crate) async fn kill_when_ready(stage: &Stage) -> Result<(), FiguresError> {
    let mut child =
        stage.command(By::This)?.spawn().map_err(|error| FiguresError::io("this program", error))?;
    let _stdin = child.stdin.take();
    let stdout = child.stdout.take().ok_or_else(|| stage.silent("it has no output"))?;
    let line = BufReader::new(stdout).lines().next_line().await;
    let said = line.map_err(|error| FiguresError::io("the output of this program", error))?;
    if said.as_deref() != Some(READY) {
        return Err(stage.silent(said.unwrap_or_default()));
    }
    // SIGKILL: nothing of it ends in order.
    child.kill().await.map_err(|error| FiguresError::io("a signal to this program", error))
}

/// Tells the parent.
pub(crate) fn answer<T: Serialize>(value: &T) -> Result<(), FiguresError> {
    let line = serde_json::to_string(value).map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    println!("{line}");
    Ok(())
}

/// Tells the parent that there is nothing more to wait for.
pub(crate) fn say_ready() {
    println!("{READY}");
}

/// Tells the parent that there is nothing more to wait for, and waits for the end.
pub(crate) async fn ready() -> Result<(), FiguresError> {
    say_ready();
    // The parent kills this process. If it is gone itself, the input ends.
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
    ended.map(drop).map_err(|error| FiguresError::Unexpected(error.to_string()))
}
