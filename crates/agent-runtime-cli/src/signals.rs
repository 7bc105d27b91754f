//! SIGINT and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// The signals that ask this process to end. Once this exists, they do not end it by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`CliError::System`].
    pub fn listen() -> Result<Self, CliError> {
        let hear =
            |kind| signal(kind).map_err(|source| CliError::System { what: "to pass signals on", source });
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// Waits for the next one; gives back its number.
    pub async fn next(&mut self) -> u8 {
        let (number, kind) = tokio::select! {
            _ = self.interrupt.recv() => (2, SignalKind::interrupt()),
            _ = self.terminate.recv() => (15, SignalKind::terminate()),
        };
        debug_assert_eq!(i32::from(number), kind.as_raw_value());
        number
    }
}
