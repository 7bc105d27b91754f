//! Opening a store by its URI, and what may be wrong with it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use runtime_traits::error::Cause;
use runtime_traits::store::StateStore;
use thiserror::Error;

use crate::MemoryStore;

/// The forms of a store's URI that this build knows.
pub const SCHEMES: &[&str] = &[
    "memory:",
    #[cfg(feature = "redb")]
    "redb:PATH",
    #[cfg(feature = "sled")]
    "sled:PATH",
];

/// Why a store could not be opened. Each one names the store and the remedy.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URI names no store of this build.
    #[error("no store `{uri}`: use one of {}", SCHEMES.join(", "))]
    UnknownScheme {
        /// The URI.
        uri: String,
    },
    /// A later version of this program wrote the store.
    #[error(
        "the store `{}` has format {found}, and this program knows up to {known}: \
         open it with the newer version that wrote it",
        path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format of this build.
        known: u64,
    },
    /// The file is something else.
    #[error("`{}` is not a store of Agent Runtime ({cause}): choose another path, or move the file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        cause: Cause,
    },
    /// Another process has the store open.
    #[error("the store `{}` is in use by another process: stop it, or choose another path", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// The system refuses access to the file or its folder.
    #[error("no access to `{}`: make the file and its folder writable for this user, or choose another path", path.display())]
    Denied {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left to open the store `{}`: make room and open it again", path.display())]
    NoSpace {
        /// The store.
        path: PathBuf,
    },
    /// Stored bytes are not what was written.
    #[error("the store `{}` is damaged ({cause}): restore it from a copy", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What cannot be read.
        cause: Cause,
    },
    /// The system failed in some other way.
    #[error("the store `{}` cannot be opened: check that the path is right and the disk healthy", path.display())]
    Failed {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Opens the store that `uri` names: `memory:` for an empty one that ends with the process, `redb:PATH` for a file,
/// `sled:PATH` for a folder, each created with the folders above it when it is missing.
///
/// Reads and writes files on the calling thread.
///
/// # Errors
/// [`OpenError::UnknownScheme`], which lists [`SCHEMES`]; for a file the other arms of [`OpenError`].
///
/// # Examples
/// ```
/// let store = runtime_state::open("memory:").expect("memory is always there");
/// assert_eq!(store.profile().name, "memory");
///
/// let error = runtime_state::open("floppy:a").expect_err("no such store");
/// assert!(error.to_string().starts_with("no store `floppy:a`: use one of memory:"));
/// ```
pub fn open(uri: &str) -> Result<Arc<dyn StateStore>, OpenError> {
    match uri.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "redb")]
        Some(("redb", path)) if !path.is_empty() => Ok(Arc::new(crate::RedbStore::open(path)?)),
        #[cfg(feature = "sled")]
        Some(("sled", path)) if !path.is_empty() => Ok(Arc::new(crate::SledStore::open(path)?)),
        _ => Err(OpenError::UnknownScheme { uri: uri.to_owned() }),
    }
}
