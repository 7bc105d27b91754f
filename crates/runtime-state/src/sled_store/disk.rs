//! The syncs that sled leaves out.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::rim::Rim;

/// sled's files, opened a second time: on Linux `flush` only starts writing, and asks the disk for nothing.
pub(super) struct Disk {
    log: File,
    blobs: PathBuf,
    seen: Mutex<Seen>,
    rim: Arc<dyn Rim>,
}

/// What was in the folder of large pages when it was synced last.
#[derive(Default)]
struct Seen {
    changed: Option<SystemTime>,
    names: HashSet<OsString>,
}

impl Disk {
    /// Opens the log of the database in `folder`, and puts the names of all files onto the disk.
    pub(super) fn open(folder: &Path, rim: Arc<dyn Rim>) -> io::Result<Self> {
        rim.sync()?;
        File::open(folder.join("conf"))?.sync_all()?;
        File::open(folder)?.sync_all()?;
        let log = File::open(folder.join("db"))?;
        log.sync_all()?;
        let disk = Self { log, blobs: folder.join("blobs"), seen: Mutex::default(), rim };
        disk.sync_blobs()?;
        Ok(disk)
    }

    /// Puts everything that sled has written onto the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.rim.sync()?;
        self.log.sync_data()?;
        self.sync_blobs()
    }

    /// How long the log is.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.log.metadata()?.len())
    }

    /// Rows are cut so that there are none. If there are, they count.
    fn sync_blobs(&self) -> io::Result<()> {
        let changed = fs::metadata(&self.blobs)?.modified()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.changed == Some(changed) {
            return Ok(());
        }
        let mut names = HashSet::new();
        for entry in fs::read_dir(&self.blobs)? {
            let name = entry?.file_name();
            if !seen.names.contains(&name) {
                match File::open(self.blobs.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            names.insert(name);
        }
        File::open(&self.blobs)?.sync_all()?;
        *seen = Seen { changed: Some(changed), names };
        Ok(())
    }
}
