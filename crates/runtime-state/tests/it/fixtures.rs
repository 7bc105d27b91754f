//! The stores as the suite sees them.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use redb::backends::FileBackend;
use runtime_state::{MemoryStore, RedbOptions, RedbStore};
use runtime_testkit::fakes::Chance;
use runtime_testkit::suites::state_store::{Faults, StoreFixture};
use runtime_traits::store::{Durability, StateStore};
use tempfile::TempDir;

use crate::disk::{Disk, Switch};

/// Stores in memory.
pub(crate) struct Memory;

/// redb on a disk that a test breaks; a crash is a loss of power.
pub(crate) struct OnDisk {
    switch: Switch,
    disk: Mutex<Disk>,
    chance: Mutex<Chance>,
}

/// redb on files; a crash is the death of the process, which leaves the file as the system has it.
pub(crate) struct OnFiles {
    switch: Switch,
    folder: TempDir,
    files: AtomicU32,
    /// The present store's file.
    path: Mutex<PathBuf>,
}

impl OnDisk {
    pub(crate) fn new() -> Self {
        Self { switch: Switch::default(), disk: Mutex::default(), chance: Mutex::new(Chance::new(1)) }
    }

    fn start(&self, disk: Disk) -> Arc<dyn StateStore> {
        *self.disk.lock().unwrap() = disk.clone();
        Arc::new(on_disk(&disk, &self.switch))
    }
}

/// A cache so small that pages are read again, and written before their commit.
pub(crate) fn options() -> RedbOptions {
    RedbOptions { cache: 64 * 1024, ..RedbOptions::default() }
}

/// A store on `disk`, which fails as `switch` says.
pub(crate) fn on_disk(disk: &Disk, switch: &Switch) -> RedbStore {
    on_disk_with(disk, switch, options())
}

/// The same with other options.
pub(crate) fn on_disk_with(disk: &Disk, switch: &Switch, options: RedbOptions) -> RedbStore {
    let (disk, switch) = (disk.clone(), switch.clone());
    RedbStore::on_backend(options, move || Ok(switch.wrap(disk.clone()))).unwrap()
}

/// A store in the file at `path`, whose disk fails as `switch` says.
pub(crate) fn on_file(path: &Path, switch: &Switch) -> RedbStore {
    let (path, switch) = (path.to_path_buf(), switch.clone());
    let open = move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        Ok(switch.wrap(FileBackend::new(file).unwrap()))
    };
    RedbStore::on_backend(options(), open).unwrap()
}

impl OnFiles {
    pub(crate) fn new() -> Self {
        Self {
            switch: Switch::default(),
            folder: tempfile::tempdir().unwrap(),
            files: AtomicU32::new(0),
            path: Mutex::default(),
        }
    }

    fn next(&self) -> PathBuf {
        let n = self.files.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("{n}.redb"))
    }

    fn start(&self, path: PathBuf) -> Arc<dyn StateStore> {
        let store = on_file(&path, &self.switch);
        *self.path.lock().unwrap() = path;
        Arc::new(store)
    }
}

#[async_trait]
impl StoreFixture for Memory {
    async fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(MemoryStore::new())
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        Arc::new(MemoryStore::new())
    }

    fn survivor(&self) -> Option<Durability> {
        None
    }
}

#[async_trait]
impl StoreFixture for OnDisk {
    async fn open(&self) -> Arc<dyn StateStore> {
        self.start(Disk::default())
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        let left = self.disk.lock().unwrap().cut_power(&mut self.chance.lock().unwrap());
        self.start(left)
    }

    fn survivor(&self) -> Option<Durability> {
        Some(Durability::Disk)
    }

    fn faults(&self) -> Option<&dyn Faults> {
        Some(&self.switch)
    }
}

#[async_trait]
impl StoreFixture for OnFiles {
    async fn open(&self) -> Arc<dyn StateStore> {
        self.start(self.next())
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        // The old store gets no chance to close its file before the copy is made.
        let copy = self.next();
        std::fs::copy(&*self.path.lock().unwrap(), &copy).unwrap();
        self.start(copy)
    }

    fn survivor(&self) -> Option<Durability> {
        Some(Durability::Process)
    }

    fn faults(&self) -> Option<&dyn Faults> {
        Some(&self.switch)
    }
}

impl Faults for Switch {
    fn fail_syncs(&self, fail: bool) {
        Self::fail_syncs(self, fail);
    }

    fn fail_reads(&self, fail: bool) {
        Self::fail_reads(self, fail);
    }
}
