//! The unix socket beside a store: where `serve` listens for the other commands.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::error::CliError;

/// How long the path of a socket may be: 107 bytes, less what its server adds to it while it makes the socket.
const LIMIT: usize = 100;

/// The socket beside a store.
///
/// Linux takes no longer path than 107 bytes. A longer one is reached through a descriptor of its folder, whose path
/// under `/proc` is short. That lasts as long as this value.
#[derive(Debug)]
pub struct SocketPath {
    shown: PathBuf,
    usable: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// The socket beside the store at `store`: its path and `.sock`.
    ///
    /// # Errors
    /// [`CliError::SocketName`] when the name of the store's file alone is too long; [`CliError::Socket`] when the
    /// path is, and its folder cannot be opened.
    pub fn beside(store: &Path) -> Result<Self, CliError> {
        let mut shown = OsString::from(store);
        shown.push(".sock");
        let shown = PathBuf::from(shown);
        if shown.as_os_str().len() <= LIMIT {
            return Ok(Self { usable: shown.clone(), shown, _folder: None });
        }
        let folder = shown.parent().unwrap_or(Path::new("."));
        let name = shown.file_name().unwrap_or_default();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(folder, flags, Mode::empty())
            .map_err(|errno| CliError::Socket { path: shown.clone(), source: errno.into() })?;
        let usable = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name);
        if usable.as_os_str().len() > LIMIT {
            let (length, limit) = (name.len(), LIMIT - (usable.as_os_str().len() - name.len()));
            return Err(CliError::SocketName { path: shown, length, limit });
        }
        Ok(Self { shown, usable, _folder: Some(opened) })
    }

    /// The path as people know it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The path to bind or connect to.
    pub fn usable(&self) -> &Path {
        &self.usable
    }

    /// Whether it is there, and this user may not use it.
    pub fn is_anothers(&self) -> bool {
        UnixStream::connect(&self.usable).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    /// Whether somebody listens there.
    pub fn is_served(&self) -> bool {
        UnixStream::connect(&self.usable).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::SocketPath;
    use crate::error::CliError;

    #[test]
    fn a_short_path_is_used_as_it_is() {
        let socket = SocketPath::beside(Path::new("data/store.redb")).unwrap();

        assert_eq!(socket.usable(), Path::new("data/store.redb.sock"));
        assert_eq!(socket.shown(), socket.usable());
        assert!(!socket.is_served());
    }

    #[test]
    fn a_socket_in_a_deep_folder_can_be_listened_on_and_reached() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a".repeat(120)).join("b".repeat(120));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = SocketPath::beside(&folder.join("store.redb")).unwrap();

        let listener = UnixListener::bind(socket.usable()).unwrap();

        assert!(folder.join("store.redb.sock").exists());
        let other = SocketPath::beside(&folder.join("store.redb")).unwrap();
        assert!(other.is_served());
        drop(listener);
        assert!(!other.is_served());
    }

    #[test]
    fn a_file_name_that_leaves_no_room_is_told() {
        let root = tempfile::tempdir().unwrap();

        let error = SocketPath::beside(&root.path().join("s".repeat(200))).unwrap_err();

        assert!(matches!(error, CliError::SocketName { length: 205, .. }), "{error}");
    }
}
