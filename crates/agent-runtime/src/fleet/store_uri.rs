//! The URI of a store, as a fleet file or a command says it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use super::suggest::nearest;

/// The URI of a store: `memory:`, `redb:PATH` or `sled:PATH`.
///
/// ```
/// use agent_runtime::fleet::StoreUri;
///
/// let uri: StoreUri = "redb:data/agents.redb".parse()?;
/// assert_eq!(uri.below("/srv").to_string(), "redb:/srv/data/agents.redb");
/// # Ok::<(), agent_runtime::fleet::StoreUriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUri {
    /// In memory: it ends with the process.
    Memory,
    /// One file, by redb.
    Redb(PathBuf),
    /// One folder, by sled.
    Sled(PathBuf),
}

/// A text that is no URI of a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no store `{given}`: {remedy}")]
pub struct StoreUriError {
    given: String,
    remedy: String,
}

const FORMS: &str = "use \"redb:PATH\", \"sled:PATH\" or \"memory:\"";

impl StoreUri {
    /// The store with its path taken from `folder`, unless it is absolute.
    #[must_use]
    pub fn below(&self, folder: impl AsRef<Path>) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Redb(path) => Self::Redb(folder.as_ref().join(path)),
            Self::Sled(path) => Self::Sled(folder.as_ref().join(path)),
        }
    }

    /// The file or folder, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::Redb(path) | Self::Sled(path) => Some(path),
        }
    }
}

impl StoreUriError {
    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl FromStr for StoreUri {
    type Err = StoreUriError;

    fn from_str(given: &str) -> Result<Self, StoreUriError> {
        let wrong = |remedy: String| StoreUriError { given: given.to_owned(), remedy };
        match given.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err(wrong("write \"memory:\" without a path".to_owned())),
            Some((scheme @ ("redb" | "sled"), "")) => {
                Err(wrong(format!("a path is missing; write \"{scheme}:PATH\"")))
            }
            Some(("redb", path)) => Ok(Self::Redb(path.into())),
            Some(("sled", path)) => Ok(Self::Sled(path.into())),
            Some((scheme, rest)) => Err(wrong(match nearest(scheme, ["redb", "sled", "memory"]) {
                Some("memory") => "did you mean `memory:`?".to_owned(),
                Some(near) => format!("did you mean `{near}:{rest}`?"),
                None => FORMS.to_owned(),
            })),
            None if given == "memory" => Err(wrong("did you mean `memory:`?".to_owned())),
            None if given.contains(['/', '.']) => Err(wrong(format!("did you mean `redb:{given}`?"))),
            None => Err(wrong(FORMS.to_owned())),
        }
    }
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Redb(path) => write!(f, "redb:{}", path.display()),
            Self::Sled(path) => write!(f, "sled:{}", path.display()),
        }
    }
}
