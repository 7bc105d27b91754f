//! The URI of a store, as a fleet file or a command says it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use runtime_state::{keys_and_store, without_password};
use thiserror::Error;

use super::suggest::nearest;

/// The URI of a store: `memory:`, `redb:PATH`, `sled:PATH`, `redis://…`, or `encrypted:KEYS,STORE` for one of these with encrypted
/// values.
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
    /// A Redis server.
    Redis(RedisUri),
    /// Another one, with encrypted values.
    Encrypted {
        /// Where its keys are.
        keys: KeysUri,
        /// The store below.
        store: Box<StoreUri>,
    },
}

/// The address of a Redis server. It is shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUri(String);

/// Where keys are, never a key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysUri {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

/// A text that is no URI of a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no store `{given}`: {remedy}")]
pub struct StoreUriError {
    given: String,
    remedy: String,
}

const FORMS: &str = "use \"redb:PATH\", \"sled:PATH\", \"redis://HOST\" or \"memory:\"";

impl RedisUri {
    /// The address as it was written.
    pub(super) fn of(given: &str) -> Self {
        Self(given.to_owned())
    }

    /// The whole of it, with its password.
    pub(super) fn address(&self) -> &str {
        &self.0
    }
}

impl StoreUri {
    /// The store with its path taken from `folder`, unless it is absolute.
    #[must_use]
    pub fn below(&self, folder: impl AsRef<Path>) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Redb(path) => Self::Redb(folder.as_ref().join(path)),
            Self::Sled(path) => Self::Sled(folder.as_ref().join(path)),
            Self::Redis(uri) => Self::Redis(uri.clone()),
            Self::Encrypted { keys, store } => {
                let keys = match keys {
                    KeysUri::Env(name) => KeysUri::Env(name.clone()),
                    KeysUri::File(path) => KeysUri::File(folder.as_ref().join(path)),
                };
                Self::Encrypted { keys, store: Box::new(store.below(folder)) }
            }
        }
    }

    /// The file or folder, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory | Self::Redis(_) => None,
            Self::Redb(path) | Self::Sled(path) => Some(path),
            Self::Encrypted { store, .. } => store.path(),
        }
    }

    /// Whether it ends with its process.
    pub fn is_in_memory(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::Redb(_) | Self::Sled(_) | Self::Redis(_) => false,
            Self::Encrypted { store, .. } => store.is_in_memory(),
        }
    }

    /// The whole of it, with the password of a server: what [`open_store`](crate::open_store) takes.
    pub fn address(&self) -> String {
        match self {
            Self::Redis(RedisUri(address)) => address.clone(),
            Self::Encrypted { keys, store } => format!("encrypted:{keys},{}", store.address()),
            other => other.to_string(),
        }
    }

    fn encrypted(uri: &str) -> Result<Self, StoreUriError> {
        // What stands where the keys should be named may be a key: it is not shown.
        let given = "encrypted:…".to_owned();
        let remedy = "write \"encrypted:KEYS,STORE\", with \"file:PATH\" or \"env:NAME\" for KEYS".to_owned();
        let wrong = || StoreUriError { given: given.clone(), remedy: remedy.clone() };
        let (keys, store) = keys_and_store(uri).ok_or_else(wrong)?;
        let keys = match keys.split_once(':') {
            Some(("env", name)) if !name.is_empty() => KeysUri::Env(name.to_owned()),
            Some(("file", path)) if !path.is_empty() => KeysUri::File(path.into()),
            _ => return Err(wrong()),
        };
        match store.parse()? {
            Self::Encrypted { .. } => {
                Err(StoreUriError { given, remedy: "encrypt it once; leave one of them away".to_owned() })
            }
            store => Ok(Self::Encrypted { keys, store: Box::new(store) }),
        }
    }
}

impl StoreUriError {
    /// What was given, as far as it may be shown.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl FromStr for StoreUri {
    type Err = StoreUriError;

    fn from_str(given: &str) -> Result<Self, StoreUriError> {
        let shown = without_password(given);
        let wrong = |remedy: String| StoreUriError { given: shown.clone(), remedy };
        match given.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err(wrong("write \"memory:\" without a path".to_owned())),
            Some((scheme @ ("redb" | "sled"), "")) => {
                Err(wrong(format!("a path is missing; write \"{scheme}:PATH\"")))
            }
            Some(("redb", path)) => Ok(Self::Redb(path.into())),
            Some(("sled", path)) => Ok(Self::Sled(path.into())),
            Some(("encrypted", _)) => Self::encrypted(given),
            Some(("redis" | "redis+unix", _)) => Ok(Self::Redis(RedisUri(given.to_owned()))),
            Some((scheme, _)) => {
                let rest = shown.split_once(':').map_or("", |(_, rest)| rest);
                Err(wrong(match nearest(scheme, ["redb", "sled", "memory", "encrypted", "redis"]) {
                    Some("memory") => "did you mean `memory:`?".to_owned(),
                    Some("encrypted") => "did you mean `encrypted:`?".to_owned(),
                    Some(near) => format!("did you mean `{near}:{rest}`?"),
                    None => FORMS.to_owned(),
                }))
            }
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
            Self::Redis(uri) => write!(f, "{uri}"),
            Self::Encrypted { keys, store } => write!(f, "encrypted:{keys},{store}"),
        }
    }
}

impl fmt::Display for RedisUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for RedisUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeysUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}
