//! A file rewritten under another key.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{
    Copied, CopyError, CopyStep, EncryptedStore, EncryptionError, KeyRing, OpenError, RedbStore, copy_store,
};

/// Why a file was not rewritten. It is as it was.
#[derive(Debug, Error)]
pub enum RekeyError {
    /// The file, or the one beside it, cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The keys do not fit.
    #[error("the store `{}` cannot be rewritten: {source}", path.display())]
    Keys {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        source: EncryptionError,
    },
    /// The contents cannot be rewritten.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The system does not put the new file in the place of the old one.
    #[error(
        "`{}` cannot be put in the place of the store: see that its folder is writable and has room",
        path.display()
    )]
    Swap {
        /// The new file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Rewrites the encrypted redb store at `path` under the key of `ring` that writes, and compares the two. Afterwards no
/// value needs another key.
///
/// Numbers of entries are used once, so no entry can be rewritten where it is. So the store is copied (see
/// [`copy_store`]) into the file `PATH.rekey` beside it, which then takes its place. The store is locked all the time. A
/// crash at any point leaves either the old store or the new one, whole; what is left of `PATH.rekey` is deleted when it
/// is done again. It needs the room for a second copy.
///
/// The blocks of the old file are freed, not wiped.
///
/// # Errors
/// [`RekeyError`].
pub async fn rekey(
    path: impl Into<PathBuf>,
    ring: &KeyRing,
    progress: impl FnMut(CopyStep, &Copied),
) -> Result<Copied, RekeyError> {
    let path = path.into();
    let permissions = fs::metadata(&path).map(|data| data.permissions());
    let permissions = permissions.map_err(|source| OpenError::Failed { path: path.clone(), source })?;
    let keys = |source| RekeyError::Keys { path: path.clone(), source };
    let from = EncryptedStore::open_to_read(RedbStore::open(&path)?, ring.clone()).await.map_err(keys)?;
    let aside = aside(&path);
    let swap = |source| RekeyError::Swap { path: aside.clone(), source };
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(swap(error)),
        _ => {}
    }
    let to = EncryptedStore::open(RedbStore::open(&aside)?, ring.clone()).await.map_err(keys)?;
    let copied = copy_store(&from, &to, progress).await?;
    // Closed before others can find it under its new name.
    drop(to);
    fs::set_permissions(&aside, permissions).map_err(swap)?;
    fs::rename(&aside, &path).map_err(swap)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).map_err(swap)?;
    // Held until here: nobody wrote to it meanwhile.
    drop(from);
    Ok(copied)
}

/// The file that the new store is made in.
fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".rekey");
    name.into()
}
