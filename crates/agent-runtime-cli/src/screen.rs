//! The two outputs, and what is known of them.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use agent_runtime::events::BusError;
use agent_runtime::runtime::Want;
use agent_runtime::{Cause, RuntimeError};
use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use serde::Serialize;

use crate::error::CliError;
use crate::render::answer::{rows, visible};
use crate::render::{Paint, faults};

/// What is known of the two outputs: asked once, when the program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether somebody sees the standard output.
    pub out: bool,
    /// Whether somebody sees the standard error.
    pub err: bool,
    /// Whether this process has the terminal to itself; one in the background would write over what others show.
    pub foreground: bool,
    /// Whether colours are welcome.
    pub colour: bool,
    /// How many characters fit into a line.
    pub width: u16,
    /// How many lines fit.
    pub height: u16,
}

/// The two outputs: answers and tables go to the standard output, everything said about them to the standard error.
#[derive(Clone, Debug)]
pub struct Screen {
    /// What is known of them.
    pub terminal: Terminal,
    /// Whether answers are JSON.
    pub json: bool,
    program: String,
}

impl Terminal {
    /// Asks the system and the environment (`NO_COLOR`, `TERM`).
    pub fn ask() -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let foreground = tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp());
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
        let (width, height) = size.map_or((100, 40), |size| (size.ws_col, size.ws_row));
        Self { out, err, foreground, colour: !set("NO_COLOR") && !dumb, width, height }
    }
}

impl Screen {
    /// The outputs of this process. With `json`, or when nobody sees the standard output, lists are JSON.
    pub fn new(terminal: Terminal, json: bool) -> Self {
        Self { terminal, json, program: program() }
    }

    /// Whether lists are to be JSON.
    pub(crate) fn lists_as_json(&self) -> bool {
        self.json || !self.terminal.out
    }

    /// Colours for the standard output.
    pub(crate) fn paint(&self) -> Paint {
        Paint::new(self.terminal.out && self.terminal.colour && !self.json)
    }

    /// Colours for the standard error.
    pub(crate) fn paint_err(&self) -> Paint {
        Paint::new(self.terminal.err && self.terminal.colour)
    }

    /// Writes a line to the standard output.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn line(&self, text: impl AsRef<str>) -> Result<(), CliError> {
        self.piece(text.as_ref()).and_then(|()| self.piece("\n"))
    }

    /// Writes a piece of a line to the standard output, at once.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn piece(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Takes a text away that was written last, up to the row in which it began.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn take_away(&self, text: &str) -> Result<(), CliError> {
        if text.is_empty() {
            return Ok(());
        }
        let rows = rows(text, self.terminal.width.into());
        if rows > usize::from(self.terminal.height) {
            // Its beginning has left the screen and cannot be taken away.
            return self.piece("\n\n");
        }
        // To the first column, up to its first row, and clear from there.
        let up = if rows > 1 { format!("\u{1b}[{}A", rows - 1) } else { String::new() };
        self.piece(&format!("\r{up}\u{1b}[J"))
    }

    /// Writes JSON to the standard output: in many lines for people, in one for programs.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let text = if self.terminal.out {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(text.map_err(|e| CliError::Output(io::Error::other(e)))?)
    }

    /// Writes JSON to one line of the standard output, also for people: for logs.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string(value);
        self.line(text.map_err(|e| CliError::Output(io::Error::other(e)))?)
    }

    /// Says something to whoever runs the command. A standard error that nobody takes is no reason to stop.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Asks whoever runs the command for a line, on the same line.
    pub(crate) fn ask(&self, text: &str) {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{text}").and_then(|()| err.flush());
    }

    /// Says why a command did not do as asked.
    pub(crate) fn fail(&self, error: &CliError) {
        if self.json {
            let told = serde_json::json!({ "code": error.code(), "message": sentence(error) });
            return self.say(told.to_string());
        }
        let paint = self.paint_err();
        if let CliError::Faulty { path, faults: found } = error {
            self.say(faults(path, found, paint).trim_end());
            self.say("");
        }
        // It may quote what an agent said.
        self.say(format!("{} {}", paint.bad("error:"), visible(&sentence(error))));
        self.hint(&next_after(error));
    }

    /// Says in passing what to type next; only where somebody sees it. `{}` in a line stands for the program as it was
    /// called.
    pub(crate) fn hint(&self, lines: &[String]) {
        if !self.terminal.err || self.json {
            return;
        }
        let paint = self.paint_err();
        if lines.is_empty() {
            return;
        }
        self.say("");
        for (number, line) in lines.iter().enumerate() {
            let label = if number == 0 { "next:" } else { "     " };
            self.say(paint.dim(format!("{label} {} {line}", self.program)));
        }
    }
}

/// What to type after an error, where that is known.
fn next_after(error: &CliError) -> Vec<String> {
    if let CliError::Bus(BusError::BeforeRetention { topic, first, .. }) = error {
        return vec![format!("events replay {topic} --from {first}")];
    }
    let CliError::Runtime(error) = error else { return Vec::new() };
    match error {
        RuntimeError::RunFailed { run, .. }
        | RuntimeError::SessionBusy { run, .. }
        | RuntimeError::KeyReused { run, .. } => vec![format!("log {run}")],
        RuntimeError::NotStarted { agent, want: Want::Stopped } => vec![format!("agents start {agent}")],
        RuntimeError::UnknownAgent { .. } => vec!["agents".to_owned()],
        RuntimeError::RunSwept(log) => {
            vec![format!("messages {} --session {}", log.agent, log.session), "runs".to_owned()]
        }
        RuntimeError::UnknownRun { .. } => vec!["runs".to_owned()],
        _ => Vec::new(),
    }
}

/// An error with its sources, without saying anything twice.
fn sentence(error: &CliError) -> String {
    Cause::of(error).to_string()
}

/// The program as its user called it, so that a hint can be typed.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    // `cargo run` tells the program which manifest it built.
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        let release = Path::new(&called).components().any(|part| part.as_os_str() == "release");
        return if release { "cargo run --release --" } else { "cargo run --" }.to_owned();
    }
    if called.contains('/') { called } else { "agent-runtime".to_owned() }
}
