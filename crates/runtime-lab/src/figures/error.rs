//! Why a figure could not be measured.

use std::io;

use runtime_state::OpenError;
use runtime_traits::NameError;
use runtime_traits::agent::AgentError;
use runtime_traits::bus::BusError;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{PathError, StateError};
use thiserror::Error;

/// Why a figure could not be measured, or not be written down.
#[derive(Debug, Error)]
pub(crate) enum FiguresError {
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// redb failed, driven directly.
    #[error("redb, driven directly")]
    Redb(#[source] Box<redb::Error>),
    /// The system failed.
    #[error("{what} cannot be used: see that it exists and that there is room")]
    Io {
        /// What.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that was started failed, or said what nobody expected.
    #[error("the stage `{stage}` ended without its answer: {said}")]
    Stage {
        /// Its arguments.
        stage: String,
        /// What it said.
        said: String,
    },
    /// The runtime did something else than what is measured.
    #[error("{0}: the figure no longer measures what it says; change it")]
    Unexpected(String),
    /// There is no place for the figures.
    #[error("`{path}` has no lines `{begin}` and `{end}`: put them where the figures belong")]
    NoPlace {
        /// The file.
        path: String,
        /// The first line.
        begin: &'static str,
        /// The last line.
        end: &'static str,
    },
}

impl FiguresError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    pub(crate) fn redb(error: impl Into<redb::Error>) -> Self {
        Self::Redb(Box::new(error.into()))
    }
}

impl From<NameError> for FiguresError {
    fn from(error: NameError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

impl From<PathError> for FiguresError {
    fn from(error: PathError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

impl From<AgentError> for FiguresError {
    fn from(error: AgentError) -> Self {
        Self::Unexpected(error.message().to_owned())
    }
}
