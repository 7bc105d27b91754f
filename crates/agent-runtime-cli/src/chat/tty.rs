//! The terminal's own settings, which are given back as they were.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::error::CliError;

/// The settings of the terminal as they were found. They are restored when this is dropped.
#[derive(Debug)]
pub(crate) struct Tty {
    found: Termios,
}

impl Tty {
    /// Asks for them.
    ///
    /// # Errors
    /// [`CliError::System`].
    pub(crate) fn found() -> Result<Self, CliError> {
        let found = tcgetattr(io::stdin()).map_err(|errno| CliError::System {
            what: "to tell the terminal's settings",
            source: errno.into(),
        })?;
        Ok(Self { found })
    }

    /// Shows nothing of what is typed while an answer is made. It is kept for the prompt.
    pub(crate) fn hush(&self) {
        let mut quiet = self.found.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        // Without it the answer is less tidy, and no less right.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
    }

    /// Forgets what was typed before a question: it was no answer to it.
    pub(crate) fn forget_typed() {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }

    /// Restores them.
    pub(crate) fn restore(&self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.found);
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.restore();
    }
}
