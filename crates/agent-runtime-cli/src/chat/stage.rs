//! What is on the screen of a conversation: the text that is being made, or below all that was said what is under way.

use rustix::termios::tcgetwinsize;

use crate::error::CliError;
use crate::render::answer::{Rest, Shown, visible};
use crate::screen::Screen;

/// The screen of a conversation.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Where it is written.
    pub(crate) screen: Screen,
    shown: Shown,
    /// The lines of what is under way, as they are drawn now.
    block: Vec<String>,
}

impl Stage {
    /// An empty one.
    pub(crate) fn new(screen: Screen) -> Self {
        Self { screen, shown: Shown::default(), block: Vec::new() }
    }

    /// How many columns there are now.
    pub(crate) fn width(&mut self) -> usize {
        if let Ok(size) = tcgetwinsize(std::io::stdout())
            && size.ws_col > 0
        {
            (self.screen.terminal.width, self.screen.terminal.height) = (size.ws_col, size.ws_row);
        }
        self.screen.terminal.width.into()
    }

    /// Shows a piece of a text that is being made.
    pub(crate) fn piece(&mut self, text: &str) -> Result<(), CliError> {
        self.lift()?;
        let piece = self.shown.preview(text);
        self.screen.piece(&piece)
    }

    /// Takes such a text away.
    pub(crate) fn withdraw(&mut self) -> Result<(), CliError> {
        self.width();
        let gone = self.shown.withdraw();
        self.screen.take_away(&gone)
    }

    /// Shows the text as it is recorded: what is missing of it, or the whole in the place of what was wrong.
    pub(crate) fn recorded(&mut self, text: &str) -> Result<(), CliError> {
        self.lift()?;
        let whole = visible(text);
        match self.shown.rest(&whole) {
            Rest::Tail(tail) => self.screen.piece(tail)?,
            Rest::Instead(gone) => {
                self.width();
                self.screen.take_away(&gone)?;
                self.screen.piece(&whole)?;
            }
        }
        if whole.is_empty() || whole.ends_with('\n') { Ok(()) } else { self.screen.piece("\n") }
    }

    /// Leaves the text that was being made as it is: nothing more comes of it.
    pub(crate) fn end_text(&mut self) -> Result<(), CliError> {
        let text = self.shown.withdraw();
        if text.is_empty() || text.ends_with('\n') { Ok(()) } else { self.screen.piece("\n") }
    }

    /// Writes a line above what is being made.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), CliError> {
        self.lift()?;
        let text = self.shown.withdraw();
        self.width();
        self.screen.take_away(&text)?;
        self.screen.line(line)?;
        if text.is_empty() { Ok(()) } else { self.piece(&text) }
    }

    /// Draws what is under way, unless a text is being made: that shows enough.
    pub(crate) fn under_way(&mut self, lines: Vec<String>) -> Result<(), CliError> {
        if !self.shown.is_empty() || lines == self.block {
            return Ok(());
        }
        self.lift()?;
        // A screen that is too low shows the last ones.
        let most = usize::from(self.screen.terminal.height).saturating_sub(1).max(1);
        let first = lines.len().saturating_sub(most);
        self.screen.piece(&lines[first..].join("\n"))?;
        self.block = lines[first..].to_vec();
        Ok(())
    }

    /// Takes away what is under way.
    pub(crate) fn lift(&mut self) -> Result<(), CliError> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.width();
        let block = std::mem::take(&mut self.block).join("\n");
        self.screen.take_away(&crate::render::answer::unpainted(&block))
    }
}
