//! Shows an answer while it is made, and makes sure that nothing is said twice.

use std::io::{self, Write};

use agent_runtime::{Content, Media};

use crate::error::CliError;
use crate::progress::Progress;
use crate::render::answer::{Rest, Shown, visible};
use crate::screen::Screen;

/// Shows an answer while it is made.
///
/// Only on a terminal, where what was shown too early can be taken away again; a file or a pipe gets the recorded answer
/// and nothing else.
#[derive(Debug)]
pub(crate) struct Teller {
    screen: Screen,
    progress: Progress,
    shown: Shown,
}

impl Teller {
    /// Shows answers on `screen`; `progress` turns until there is something to show.
    pub(crate) fn new(screen: Screen, progress: Progress) -> Self {
        Self { screen, progress, shown: Shown::default() }
    }

    /// Says what is being done.
    pub(crate) fn note(&self, doing: &str) {
        if self.shown.is_empty() {
            self.progress.note(doing);
        }
    }

    /// Takes the spinner away.
    pub(crate) fn stop(&self) {
        self.progress.end();
    }

    /// Shows a piece of the answer.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn preview(&mut self, piece: &str) -> Result<(), CliError> {
        if !self.screen.terminal.out || self.screen.json {
            return Ok(());
        }
        self.progress.end();
        let piece = self.shown.preview(piece);
        self.screen.piece(&piece)
    }

    /// Takes what was shown away: it will be made again.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn withdraw(&mut self) -> Result<(), CliError> {
        let gone = self.shown.withdraw();
        self.screen.take_away(&gone)
    }

    /// Shows what is left of the recorded answer.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn answer(&mut self, output: &Content) -> Result<(), CliError> {
        self.progress.end();
        let text = match std::str::from_utf8(&output.bytes) {
            Ok(text) if output.media != Media::Bytes => text,
            _ => return self.bytes(output),
        };
        if !self.screen.terminal.out {
            self.screen.piece(text)?;
            return self.end_line(text);
        }
        let whole = visible(text);
        match self.shown.rest(&whole) {
            Rest::Tail(tail) => self.screen.piece(tail)?,
            Rest::Instead(gone) => {
                self.screen.take_away(&gone)?;
                self.screen.piece(&whole)?;
            }
        }
        self.end_line(&whole)
    }

    fn end_line(&self, text: &str) -> Result<(), CliError> {
        if text.ends_with('\n') { Ok(()) } else { self.screen.piece("\n") }
    }

    fn bytes(&self, output: &Content) -> Result<(), CliError> {
        if self.screen.terminal.out {
            let length = output.bytes.len();
            self.screen
                .say(format!("the answer is {length} bytes that are no text: redirect it into a file"));
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&output.bytes).and_then(|()| out.flush()).map_err(CliError::Output)
    }
}
