//! A file rewritten under another key.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use runtime_traits::store::StateError;
use thiserror::Error;

use crate::group_commit::files::{of_io, sync_folder_of};
use crate::{
    Copied, CopyError, CopyStep, EncryptedStore, EncryptionError, KeyRing, OpenError, RedbStore, copy_store,
};

/// Why a file was not rewritten. Unless it says otherwise it is as it was.
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
    /// There is no room for a second copy.
    #[error(
        "there is no room for `{}`, which gets as large as the store: make room, and rewrite it again. The store is as it \
         was",
        path.display()
    )]
    NoRoom {
        /// The new file, which is gone again.
        path: PathBuf,
    },
    /// The new file is in the place of the old one, and the system does not say that the folder is on the disk.
    #[error(
        "`{}` is rewritten, but the system does not say that its folder is on the disk: \
         see that the disk is healthy, and look at the store before the power goes",
        path.display()
    )]
    Unsynced {
        /// The store.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
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
/// is done again. It needs the room for a second copy; what an error leaves of that is removed.
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
    let failed = |source| of_io(&path, source);
    // Behind a link is the file that is to be replaced, and not the link.
    let path = fs::canonicalize(&path).map_err(failed)?;
    let before = fs::metadata(&path).map_err(failed)?;
    let keys = |source| RekeyError::Keys { path: path.clone(), source };
    let from = EncryptedStore::open_to_read(RedbStore::open(&path)?, ring.clone()).await.map_err(keys)?;
    let aside = aside(&path);
    let swap = |source| RekeyError::Swap { path: aside.clone(), source };
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(swap(error)),
        _ => {}
    }
    let copied = match copied_into(&aside, &from, ring, progress).await {
        Ok(copied) => copied,
        Err(error) => {
            // Whoever has no room needs that of half a copy. What cannot be removed is removed the next time.
            drop(fs::remove_file(&aside));
            return Err(error.of_new_file(aside));
        }
    };
    give_away(&aside, &before).map_err(swap)?;
    fs::rename(&aside, &path).map_err(swap)?;
    let synced = sync_folder_of(&path);
    synced.map_err(|source| RekeyError::Unsynced { path: path.clone(), source })?;
    // Held until here: nobody wrote to it meanwhile.
    drop(from);
    Ok(copied)
}

/// Makes the new file. It is closed before others can find it under its new name.
async fn copied_into(
    aside: &Path,
    from: &EncryptedStore<RedbStore>,
    ring: &KeyRing,
    progress: impl FnMut(CopyStep, &Copied),
) -> Result<Copied, RekeyError> {
    let keys = |source| RekeyError::Keys { path: aside.to_owned(), source };
    let to = EncryptedStore::open(RedbStore::open(aside)?, ring.clone()).await.map_err(keys)?;
    Ok(copy_store(from, &to, progress).await?)
}

impl RekeyError {
    /// The same error, of the new file: whose disk is full is the same whatever was about to be written.
    fn of_new_file(self, path: PathBuf) -> Self {
        match self {
            Self::Open(OpenError::NoSpace { .. })
            | Self::Keys { source: EncryptionError::Store(StateError::NoSpace), .. }
            | Self::Copy(CopyError::To(StateError::NoSpace)) => Self::NoRoom { path },
            other => other,
        }
    }
}

/// Gives a new file the owner, the group and the permissions of another one.
fn give_away(file: &Path, as_of: &Metadata) -> io::Result<()> {
    let now = fs::metadata(file)?;
    if (now.uid(), now.gid()) != (as_of.uid(), as_of.gid()) {
        chown(file, Some(as_of.uid()), Some(as_of.gid()))?;
    }
    // Afterwards: another owner takes bits away.
    fs::set_permissions(file, as_of.permissions())
}

/// The file that the new store is made in.
fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".rekey");
    name.into()
}
