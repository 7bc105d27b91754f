//! The folder of an experiment, the store in it, and what is told on the way.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::{StoresError, refused};
use crate::chaos::args::How;
use crate::chaos::report::Report;

/// Where an experiment works.
#[derive(Debug)]
pub(super) struct Bench {
    folder: TempDir,
    store: String,
}

impl Bench {
    /// With so many violations there is no use in going on.
    pub(super) const ENOUGH: usize = 50;

    /// A folder, with a store of the kind `store` to be made in it; or, where `store` is a URI, that one.
    ///
    /// # Errors
    /// [`StoresError::System`] without a folder.
    pub(super) fn new(store: &str) -> Result<Self, StoresError> {
        // By the name that the system has for it: what is recorded is told by that.
        let folder = std::env::temp_dir()
            .canonicalize()
            .and_then(|place| tempfile::Builder::new().prefix("chaos-").tempdir_in(place));
        let folder = folder.map_err(refused("a temporary folder"))?;
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).map_err(refused("a folder"))?;
        let store = if store.contains(':') { store.to_owned() } else { uri(store, &disk) };
        Ok(Self { folder, store })
    }

    /// The URI of the store.
    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// The folder that holds nothing but the store's files.
    pub(super) fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The folder that a copy of the disk goes to, empty, and the URI of the store there.
    ///
    /// # Errors
    /// [`StoresError::System`].
    pub(super) fn copy(&self, kind: &str, name: &str) -> Result<(PathBuf, String), StoresError> {
        let (folder, store) = self.place(kind, name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused("to remove a copy")(error));
            }
            _ => fs::create_dir(&folder).map_err(refused("a folder"))?,
        }
        Ok((folder, store))
    }

    /// A folder that [`copy`](Self::copy) has made before, as it is now.
    pub(super) fn place(&self, kind: &str, name: &str) -> (PathBuf, String) {
        let folder = self.folder.path().join(name);
        let store = uri(kind, &folder);
        (folder, store)
    }

    /// A file for what a process says about itself.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Says in passing what is being done, where somebody sees it.
    pub(super) fn tell(&self, what: &str) {
        let mut err = io::stderr();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{what}").and_then(|()| err.flush());
        }
    }

    /// The report, as the arguments want it told. What went wrong is kept, because it is worth looking at.
    pub(super) fn report(self, report: Report, how: &How) -> Report {
        self.tell("");
        let keep = how.keep || !report.violations.is_empty();
        let kept = keep.then(|| self.folder.keep());
        let details = if how.details { report.details } else { String::new() };
        Report { kept, details, ..report }
    }
}

/// The store of that kind in a folder. What kinds there are the store's crate knows.
fn uri(kind: &str, folder: &Path) -> String {
    format!("{kind}:{}", folder.join(format!("store.{kind}")).display())
}
