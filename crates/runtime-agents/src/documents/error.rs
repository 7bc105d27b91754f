//! Why the documents cannot be searched.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why the documents of a folder cannot be searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentsError {
    /// There is nothing at this path.
    #[error(
        "documents folder `{}` does not exist: create it, or set `documents` to the folder that holds your documents",
        folder.display()
    )]
    Missing {
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// There is a file at this path.
    #[error(
        "documents folder `{}` is a file: set `documents` to the folder that holds it",
        folder.display()
    )]
    NotAFolder {
        /// The path that was asked for.
        folder: PathBuf,
    },
    /// The operating system refuses to list the folder.
    #[error(
        "documents folder `{}` cannot be read: allow this process's user to read it, or set `documents` to another folder",
        folder.display()
    )]
    Unreadable {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The index, which is in memory, failed.
    #[error("the index of the documents failed to {action}: ask again, and report it if it fails again")]
    Index {
        /// What it was to do.
        action: &'static str,
        /// What the search engine says.
        source: Box<dyn Error + Send + Sync>,
    },
}
