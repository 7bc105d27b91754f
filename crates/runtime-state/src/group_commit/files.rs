//! Files and folders of a store, and what their faults are called.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;

use super::is_full;
use crate::OpenError;

/// Who may read and write a file that is made here: its owner. Inputs and answers are stored as they are.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// Creates the folder that holds `path`, if it is missing.
pub(crate) fn make_room(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = folder_of(path) else { return Ok(()) };
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(folder).map_err(|error| of_io(folder, error))?;
    for created in missing {
        sync_folder_of(created).map_err(|error| of_io(created, error))?;
    }
    Ok(())
}

/// Puts the name of what is at `path` onto the disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    if !Guard::FolderSync.holds() {
        return Ok(());
    }
    File::open(folder_of(path).unwrap_or(Path::new(".")))?.sync_all()
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// What the system's error is to whoever opens the store at `path`.
pub(crate) fn of_io(path: &Path, source: io::Error) -> OpenError {
    use io::ErrorKind::{InvalidData, PermissionDenied, ReadOnlyFilesystem, UnexpectedEof};
    let path = path.to_path_buf();
    match source.kind() {
        PermissionDenied | ReadOnlyFilesystem => OpenError::Denied { path, source },
        // What is said of a file that does not begin as a store's do.
        InvalidData => OpenError::Foreign { path, cause: Cause::of(&source) },
        UnexpectedEof => OpenError::Damaged { path, cause: Cause::of(&source) },
        kind if is_full(kind) => OpenError::NoSpace { path },
        _ => OpenError::Failed { path, source },
    }
}
