//! Colours, only where somebody sees them.

use std::fmt::Display;

use owo_colors::{OwoColorize, Style};

/// Paints text for one of the two outputs, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Paints if `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether it paints.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Said in passing.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.with(text, Style::new().dimmed())
    }

    /// What a line is about.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.with(text, Style::new().bold())
    }

    /// Good.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.with(text, Style::new().green())
    }

    /// Somebody should look.
    pub(crate) fn warn(self, text: impl Display) -> String {
        self.with(text, Style::new().yellow())
    }

    /// Bad.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.with(text, Style::new().red().bold())
    }

    /// A place in a file.
    pub(crate) fn place(self, text: impl Display) -> String {
        self.with(text, Style::new().cyan())
    }

    fn with(self, text: impl Display, style: Style) -> String {
        if self.on { text.style(style).to_string() } else { text.to_string() }
    }
}
