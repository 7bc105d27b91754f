//! What every command works with.

use agent_runtime::{Clock, SystemClock, UnixMillis};

use crate::place::Place;
use crate::screen::Screen;

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The outputs.
    pub(crate) screen: Screen,
    /// Fleet file and store.
    pub(crate) place: Place,
    /// Where a server answers, if one does.
    pub(crate) served: Option<String>,
    clock: SystemClock,
}

impl Desk {
    /// Puts it together.
    pub(crate) fn new(screen: Screen, place: Place, served: Option<String>) -> Self {
        Self { screen, place, served, clock: SystemClock::default() }
    }

    /// Whether the store is there for the next command too.
    pub(crate) fn lasts(&self) -> bool {
        !self.place.store.is_in_memory()
    }

    /// The time of day.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Who works the runs, in words.
    pub(crate) fn server(&self) -> String {
        match &self.served {
            Some(socket) => format!("a server ({socket})"),
            None => "nobody: this command opened the store itself".to_owned(),
        }
    }
}
