//! sled against the contract, on files that outlive a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runtime_state::{SledOptions, SledStore};
use runtime_testkit::suites::state_store::{Faults, StoreFixture};
use runtime_traits::store::{Durability, StateStore};
use tempfile::TempDir;

use crate::disk::Switch;

/// A crash is the death of the process, which leaves the files as the system has them.
struct OnFolders {
    switch: Switch,
    home: TempDir,
    folders: AtomicU32,
    /// The present store's folder.
    path: Mutex<PathBuf>,
}

impl OnFolders {
    fn new() -> Self {
        Self {
            switch: Switch::default(),
            home: tempfile::tempdir().unwrap(),
            folders: AtomicU32::new(0),
            path: Mutex::default(),
        }
    }

    fn next(&self) -> PathBuf {
        self.home.path().join(self.folders.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn start(&self, path: PathBuf) -> Arc<dyn StateStore> {
        let store = on_folder(&path, &self.switch);
        *self.path.lock().unwrap() = path;
        Arc::new(store)
    }
}

/// A store in the folder at `path`, whose disk fails as `switch` says.
pub(crate) fn on_folder(path: &Path, switch: &Switch) -> SledStore {
    SledStore::with_rim(path, SledOptions::default(), Arc::new(switch.clone())).unwrap()
}

/// Copies a store that may be open. The mark goes first: it claims nothing that comes later.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    fs::copy(from.join("agent-runtime.mark"), to.join("agent-runtime.mark")).unwrap();
    for folder in [Path::new(""), Path::new("blobs")] {
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "agent-runtime.mark" && entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

#[async_trait]
impl StoreFixture for OnFolders {
    async fn open(&self) -> Arc<dyn StateStore> {
        self.start(self.next())
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        // The old store gets no chance to close its files before the copy is made.
        let to = self.next();
        copy(&self.path.lock().unwrap(), &to);
        self.start(to)
    }

    fn survivor(&self) -> Option<Durability> {
        Some(Durability::Process)
    }

    fn faults(&self) -> Option<&dyn Faults> {
        Some(&self.switch)
    }
}

runtime_testkit::state_store_conformance!(OnFolders::new());
