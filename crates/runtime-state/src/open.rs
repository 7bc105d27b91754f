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
    #[cfg(feature = "redis")]
    "redis://HOST[:PORT][/DATABASE]",
    #[cfg(feature = "redis")]
    "redis+unix:///PATH",
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
    /// The address of a server cannot be read, or names a database that it does not have.
    #[error(
        "`{uri}` is no address of a Redis server ({cause}): \
         write redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or redis+unix:///PATH"
    )]
    BadAddress {
        /// The address, without its password.
        uri: String,
        /// What is wrong with it.
        cause: Cause,
    },
    /// The address asks for TLS.
    #[error(
        "`{uri}` asks for TLS, which this build does not have: \
         put a TLS tunnel beside this program and use redis:// to it"
    )]
    NoTls {
        /// The address, without its password.
        uri: String,
    },
    /// No server answers.
    #[error("no Redis server answers at `{uri}` ({cause}): start it, or correct the address")]
    Unreachable {
        /// The address, without its password.
        uri: String,
        /// What the system or the server said.
        cause: Cause,
    },
    /// Somebody else answers.
    #[error(
        "what answers at `{uri}` is no Redis server that can hold a store ({cause}): correct the address"
    )]
    NotRedis {
        /// The address, without its password.
        uri: String,
        /// What it said.
        cause: Cause,
    },
    /// The server does not let this user in.
    #[error(
        "the Redis server `{uri}` refuses the user or the password ({cause}): correct them in the address"
    )]
    Credentials {
        /// The address, without its password.
        uri: String,
        /// What it said.
        cause: Cause,
    },
    /// The user may not do what a store has to do.
    #[error("the user of `{uri}` may not run `{command}`: allow it with ACL SETUSER, keys `ar:*` and all")]
    Forbidden {
        /// The address, without its password.
        uri: String,
        /// What it may not run.
        command: String,
    },
    /// The server lacks what the store needs.
    #[error("the Redis server `{uri}` has version {found}, and the store needs {needed}: update it")]
    TooOld {
        /// The address, without its password.
        uri: String,
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// The server throws keys away when its memory is full.
    #[error(
        "the Redis server `{uri}` evicts keys (`maxmemory-policy` is `{policy}`), and a store must not lose any: \
         set it to `noeviction`, or use another server"
    )]
    Evicts {
        /// The address, without its password.
        uri: String,
        /// Its policy.
        policy: String,
    },
    /// The server copies another one, and may be behind it.
    #[error("the Redis server `{uri}` is a replica of `{primary}`: use the address of the primary")]
    Replica {
        /// The address, without its password.
        uri: String,
        /// Its primary.
        primary: String,
    },
}

/// Opens the store that `uri` names: `memory:` for an empty one that ends with the process, `redb:PATH` for a file,
/// which is created with its folder when it is missing, `redis://HOST` or `redis+unix:///PATH` for a server.
///
/// Reads and writes files on the calling thread, and waits there until a server has answered or 3 s are over.
///
/// # Errors
/// [`OpenError::UnknownScheme`], which lists [`SCHEMES`]; for a file or a server the other arms of [`OpenError`].
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
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Arc::new(crate::RedisStore::open(uri)?)),
        _ => Err(OpenError::UnknownScheme { uri: without_password(uri) }),
    }
}

/// The URI without what may be secret in it: also when nobody can read it otherwise.
pub(crate) fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return uri.to_owned() };
    if !rest.starts_with("//") && !scheme.starts_with("redis") {
        // A path, in which every sign is what it is.
        return uri.to_owned();
    }
    let without_query = |text: &str| match text.split_once('?') {
        Some((before, _)) => format!("{before}?…"),
        None => text.to_owned(),
    };
    if scheme.ends_with("unix") {
        return format!("{scheme}:{}", without_query(rest));
    }
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://…@{}", without_query(place)),
        None => format!("{scheme}:{}", without_query(rest)),
    }
}
