//! Opening a store by its URI, and what may be wrong with it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use runtime_traits::error::Cause;
use runtime_traits::store::{StateError, StateStore};
use thiserror::Error;

use crate::MemoryStore;
use crate::marks::Marks;
#[cfg(feature = "encrypted")]
use crate::{EncryptedStore, EncryptionError, KeyError, KeyRing};

/// The forms of a store's URI that this build knows.
pub const SCHEMES: &[&str] = &[
    "memory:",
    #[cfg(feature = "redb")]
    "redb:PATH",
    #[cfg(feature = "sled")]
    "sled:PATH",
    #[cfg(feature = "redis")]
    "redis://HOST[:PORT][/DATABASE]",
    #[cfg(feature = "redis")]
    "redis+unix:///PATH",
    #[cfg(feature = "encrypted")]
    "encrypted:KEYS,STORE",
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
    /// An earlier version of the database wrote the file, and this one does not read that any more.
    #[error(
        "the file `{}` has format {found} of redb, which this program does not read any more: \
         open it with the older version that wrote it and copy it from there, or choose another path",
        path.display()
    )]
    Older {
        /// The store.
        path: PathBuf,
        /// The format of its file.
        found: u64,
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
    /// The store is encrypted, and was named without its keys.
    #[error("the store `{uri}` is encrypted: name its keys too, as in `encrypted:file:PATH,{uri}`")]
    Encrypted {
        /// The store.
        uri: String,
    },
    /// The keys cannot be had.
    #[cfg(feature = "encrypted")]
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store cannot be used with these keys.
    #[cfg(feature = "encrypted")]
    #[error("the store `{uri}` cannot be used with these keys: {source}")]
    Encryption {
        /// The store below.
        uri: String,
        /// What is wrong.
        source: EncryptionError,
    },
    /// Another store was being copied into it, and that broke off.
    #[error("the store `{uri}` is a copy that broke off: delete it and copy the original again")]
    HalfCopied {
        /// The store.
        uri: String,
    },
    /// It cannot be read what the store says about itself.
    #[error("the store `{uri}` cannot be read: {source}")]
    Unreadable {
        /// The store.
        uri: String,
        /// What the store says.
        source: StateError,
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
    /// The server is one of several that share the keys.
    #[error(
        "the Redis server `{uri}` is a node of a Redis Cluster, and this build follows no redirection to its other nodes: \
         use a server with `cluster-enabled no`"
    )]
    Cluster {
        /// The address, without its password.
        uri: String,
    },
    /// The server cannot rewrite its append-only file, as it has to once after each of its starts.
    #[error(
        "the Redis server `{uri}` cannot rewrite its append-only file ({cause}): see its log, make room on its disk, \
         and let it fork (`vm.overcommit_memory`)"
    )]
    NotRewritten {
        /// The address, without its password.
        uri: String,
        /// What it said.
        cause: Cause,
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

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Use,
    /// To read what is left of it.
    Salvage,
}

/// Opens the store that `uri` names: `memory:` for an empty one that ends with the process, `redb:PATH` for a file,
/// `sled:PATH` for a folder, each created with the folders above it when it is missing, `redis://HOST` or `redis+unix:///PATH` for a server,
/// `encrypted:KEYS,STORE` for one of these with encrypted values. KEYS is `file:PATH` or `env:NAME`, see
/// [`KeyRing`](crate::KeyRing).
///
/// Opens files on the calling thread. A server has 3 s to answer, and 60 s more if it has to rewrite its file first
/// (`RedisOptions::connect` and `RedisOptions::rewrite`); no thread of the caller's waits for it. A store of encrypted
/// values is refused without keys, one of values in the clear with keys, and a copy that broke off in any case.
///
/// # Errors
/// [`OpenError::UnknownScheme`], which lists [`SCHEMES`], and the other arms of [`OpenError`].
///
/// # Examples
/// ```
/// # runtime_testkit::block_on(async {
/// let store = runtime_state::open("memory:").await.expect("memory is always there");
/// assert_eq!(store.profile().name, "memory");
///
/// let error = runtime_state::open("floppy:a").await.expect_err("no such store");
/// assert!(error.to_string().starts_with("no store `floppy:a`: use one of memory:"));
/// # });
/// ```
pub async fn open(uri: &str) -> Result<Arc<dyn StateStore>, OpenError> {
    open_for(uri, Purpose::Use).await
}

/// As [`open`], for who reads what is left of a store and writes nothing to it: of sled it shows what is left of a
/// partition of which rows are lost, and says where something may be missing.
///
/// # Errors
/// As [`open`].
pub async fn open_to_salvage(uri: &str) -> Result<Arc<dyn StateStore>, OpenError> {
    open_for(uri, Purpose::Salvage).await
}

async fn open_for(uri: &str, purpose: Purpose) -> Result<Arc<dyn StateStore>, OpenError> {
    #[cfg(feature = "encrypted")]
    if uri.starts_with("encrypted:") {
        return Ok(Arc::new(open_encrypted_for(uri, purpose).await?));
    }
    match open_whole(uri, purpose).await? {
        (_, Marks { encrypted: true, .. }) => Err(OpenError::Encrypted { uri: without_password(uri) }),
        (store, _) => Ok(store),
    }
}

/// Opens the store that a URI `encrypted:KEYS,STORE` names, as what it is: for who asks it about its keys.
///
/// # Errors
/// As [`open`].
#[cfg(feature = "encrypted")]
pub async fn open_encrypted(uri: &str) -> Result<EncryptedStore<Arc<dyn StateStore>>, OpenError> {
    open_encrypted_for(uri, Purpose::Use).await
}

#[cfg(feature = "encrypted")]
async fn open_encrypted_for(
    uri: &str,
    purpose: Purpose,
) -> Result<EncryptedStore<Arc<dyn StateStore>>, OpenError> {
    // What is no such URI may hold a key where it should name one.
    let unknown = || OpenError::UnknownScheme { uri: "encrypted:…".to_owned() };
    let (keys, base) = keys_and_store(uri).ok_or_else(unknown)?;
    let ring = KeyRing::read(keys)?;
    let (store, _) = open_whole(base, purpose).await?;
    let opened = EncryptedStore::open(store, ring).await;
    let uri = without_password(base);
    opened.map_err(|source| OpenError::Encryption { uri, source })
}

/// Checks the whole file of the store that `uri` names, whatever is in its rows: every page of redb, the sums over all
/// rows of sled. Whether there is such a file.
///
/// Opens files on the calling thread, for as long as reading them takes.
///
/// # Errors
/// As [`open`], without looking at keys; [`OpenError::Damaged`] for pages that are not what was written.
pub fn check_pages(uri: &str) -> Result<bool, OpenError> {
    let base = keys_and_store(uri).map_or(uri, |(_, base)| base);
    match base.split_once(':') {
        #[cfg(feature = "redb")]
        Some(("redb", path)) if !path.is_empty() => {
            let integrity = crate::Integrity::Everything;
            let options = crate::RedbOptions { integrity, ..crate::RedbOptions::default() };
            crate::RedbStore::open_with(path, options).map(|_| true)
        }
        #[cfg(feature = "sled")]
        Some(("sled", path)) if !path.is_empty() => {
            let integrity = crate::Integrity::Everything;
            let options = crate::SledOptions { integrity, ..crate::SledOptions::default() };
            crate::SledStore::open_with(path, options).map(|_| true)
        }
        _ => Ok(false),
    }
}

/// The reference to the keys and the store below, of a URI `encrypted:KEYS,STORE`: parted at the first comma after which
/// a store's URI begins, so that paths may hold commas.
///
/// ```
/// use runtime_state::keys_and_store;
///
/// assert_eq!(keys_and_store("encrypted:file:a,b/keys,redb:a.redb"), Some(("file:a,b/keys", "redb:a.redb")));
/// assert_eq!(keys_and_store("redb:a.redb"), None);
/// ```
pub fn keys_and_store(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("encrypted:")?;
    let begins_a_uri = |store: &str| {
        store.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'+')
        })
    };
    rest.match_indices(',')
        .map(|(comma, _)| (&rest[..comma], &rest[comma + 1..]))
        .find(|(_, store)| begins_a_uri(store))
}

/// Opens a store as it is, and refuses one that a copy broke off into.
async fn open_whole(uri: &str, purpose: Purpose) -> Result<(Arc<dyn StateStore>, Marks), OpenError> {
    let store = open_base(uri, purpose).await?;
    let marks = Marks::of(&*store).await;
    let marks = marks.map_err(|source| OpenError::Unreadable { uri: without_password(uri), source })?;
    if marks.half_copied {
        return Err(OpenError::HalfCopied { uri: without_password(uri) });
    }
    Ok((store, marks))
}

#[cfg_attr(
    not(feature = "sled"),
    expect(unused_variables, reason = "only sled's store is opened in two ways")
)]
async fn open_base(uri: &str, purpose: Purpose) -> Result<Arc<dyn StateStore>, OpenError> {
    match uri.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "redb")]
        Some(("redb", path)) if !path.is_empty() => Ok(Arc::new(crate::RedbStore::open(path)?)),
        #[cfg(feature = "sled")]
        Some(("sled", path)) if !path.is_empty() => {
            let salvage = purpose == Purpose::Salvage;
            let options = crate::SledOptions { salvage, ..crate::SledOptions::default() };
            Ok(Arc::new(crate::SledStore::open_with(path, options)?))
        }
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Arc::new(crate::RedisStore::connect(uri).await?)),
        _ => Err(OpenError::UnknownScheme { uri: without_password(uri) }),
    }
}

/// The URI without what may be secret in it: also when nobody can read it otherwise.
///
/// ```
/// use runtime_state::without_password;
///
/// assert_eq!(without_password("redis://ann:secret@host/1"), "redis://…@host/1");
/// assert_eq!(without_password("encrypted:env:KEYS,redis://:secret@host"), "encrypted:env:KEYS,redis://…@host");
/// ```
pub fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return uri.to_owned() };
    if scheme == "encrypted" {
        // What stands where the keys should be named may be a key.
        let Some((keys, store)) = keys_and_store(uri) else { return "encrypted:…".to_owned() };
        let is_a_name = keys.starts_with("file:") || keys.starts_with("env:");
        return format!("encrypted:{},{}", if is_a_name { keys } else { "…" }, without_password(store));
    }
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
