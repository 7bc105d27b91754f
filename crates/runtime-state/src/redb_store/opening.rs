//! From a path to an open database, and from each fault to its error.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend};
use runtime_traits::error::Cause;
use runtime_traits::guard::Guard;
use runtime_traits::store::{Durability, StateError};

use super::backend::Watched;
use super::group;
use super::options::RedbOptions;
use super::tables::{self, KNOWN_FORMAT, Unusable};
use crate::chance;
use crate::group_commit::files::{OWNER_ONLY, of_io, sync_folder_of};
use crate::group_commit::{Contents, Engine, Job, Ledger, Standing, Watch, Written};
use crate::{Integrity, OpenError};

/// Gives the bytes to work on; called again when the file has to be opened anew.
pub(super) type Open = Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send>;

/// How a file of redb begins.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";
/// Where the versions of its format are: one in each of the two places for the last commit.
const VERSIONS: [usize; 2] = [64, 192];
const HEADER: usize = 320;
/// The newest that the redb of this build reads.
const KNOWN_FILE: u8 = 3;

/// How the name of a store ends that is being made.
const NEW: &str = ".new";

/// How to open the store, at first and after an I/O error.
pub(super) struct Opening {
    path: PathBuf,
    options: RedbOptions,
    open: Open,
    watch: Arc<Watch>,
}

impl Opening {
    pub(super) fn new(path: PathBuf, options: RedbOptions, open: Open) -> Self {
        Self { path, options, open, watch: Arc::default() }
    }

    fn try_open(&self, integrity: Integrity) -> Result<(Database, Contents), OpenError> {
        let backend = (self.open)().map_err(|error| self.of_file(error))?;
        self.refuse_newer(&*backend)?;
        let database = redb::Builder::new()
            .set_cache_size(self.options.cache)
            .set_check_integrity_on_open(integrity == Integrity::Everything)
            .create_with_backend(Watched::new(backend, self.watch()))
            .map_err(|error| self.of_redb(error.into()))?;
        match tables::prepare(&database) {
            Ok(contents) => Ok((database, contents)),
            Err(unusable) => Err(self.of_unusable(unusable)),
        }
    }

    /// redb itself says of a file of a later version that it is damaged.
    fn refuse_newer(&self, backend: &dyn StorageBackend) -> Result<(), OpenError> {
        let of = |error| of_io(&self.path, error);
        let mut header = [0; HEADER];
        if backend.len().map_err(of)? < HEADER as u64 {
            return Ok(());
        }
        backend.read(0, &mut header).map_err(of)?;
        if !header.starts_with(&MAGIC) {
            return Ok(());
        }
        // A damaged byte is in one of them only.
        match VERSIONS.map(|at| header[at]) {
            [found, other] if found == other && found > KNOWN_FILE => {
                let (path, found, known) = (self.path.clone(), found.into(), KNOWN_FILE.into());
                Err(OpenError::Newer { path, found, known })
            }
            _ => Ok(()),
        }
    }

    fn of_file(&self, error: io::Error) -> OpenError {
        let path = self.path.clone();
        match error.kind() {
            io::ErrorKind::IsADirectory => OpenError::Foreign {
                path,
                cause: Cause::says("a folder, and a store of redb is a file; `sled:PATH` opens a folder"),
            },
            _ => of_io(&path, error),
        }
    }

    fn of_unusable(&self, unusable: Unusable) -> OpenError {
        let path = self.path.clone();
        match unusable {
            Unusable::Newer(found) => OpenError::Newer { path, found, known: KNOWN_FORMAT },
            Unusable::Foreign(cause) => OpenError::Foreign { path, cause },
            Unusable::Damaged(cause) => OpenError::Damaged { path, cause },
            Unusable::Broken(error) => self.of_redb(error),
        }
    }

    fn of_redb(&self, error: redb::Error) -> OpenError {
        let path = self.path.clone();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::InUse { path },
            redb::Error::Io(error) => of_io(&path, error),
            redb::Error::UpgradeRequired(found) => OpenError::Older { path, found: found.into() },
            _ => OpenError::Damaged { path, cause: Cause::of(&error) },
        }
    }
}

impl Engine for Opening {
    type Base = Database;
    type Reader = ReadTransaction;
    type Error = redb::Error;

    const NAME: &'static str = "redb";
    const BEST: Durability = Durability::Disk;

    fn path(&self) -> &Path {
        &self.path
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn open(&self, integrity: Integrity) -> Result<(Database, Contents), OpenError> {
        self.watch.reset();
        if !Guard::Panics.holds() {
            return self.try_open(integrity);
        }
        // redb panics on some damaged files.
        catch_unwind(AssertUnwindSafe(|| self.try_open(integrity))).unwrap_or_else(|_| {
            Err(OpenError::Damaged {
                path: self.path.clone(),
                cause: Cause::says("redb cannot follow its pages"),
            })
        })
    }

    fn begin(database: &Database) -> Result<ReadTransaction, redb::Error> {
        Ok(database.begin_read()?)
    }

    fn write(
        database: &Database,
        ledger: &mut Ledger,
        jobs: &mut Vec<Job>,
        more: impl FnMut(&mut Vec<Job>),
        standing: Standing,
    ) -> Written<redb::Error> {
        group::write(database, ledger, jobs, more, standing)
    }

    /// What was found after a failed commit may be in the system's memory only.
    fn sync(database: &Database) -> Result<(), redb::Error> {
        let mut txn = database.begin_write()?;
        txn.set_quick_repair(true);
        Ok(txn.commit()?)
    }

    fn close(database: Database) -> Result<(), redb::Error> {
        Ok(database.close()?)
    }

    fn is_closed(error: &redb::Error) -> bool {
        matches!(error, redb::Error::DatabaseClosed)
    }

    fn refusal(error: &redb::Error) -> StateError {
        match error {
            redb::Error::Corrupted(what) => StateError::Damaged { what: what.clone() },
            _ => StateError::Unavailable { retry_after: None, cause: Cause::of(error) },
        }
    }
}

/// Opens or creates the file. One that is there keeps its permissions.
pub(super) fn open_file(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Box::new(backend))
}

/// Makes an empty store, and gives it its name when it is on disk: redb does not open a file whose making was cut off.
fn create(path: &Path) -> io::Result<()> {
    clear_leftovers(path);
    // Not the process's number: two processes in two containers may have the same one.
    let unique = u64::from_le_bytes(chance::bytes());
    let new = path.with_added_extension(format!("{unique:016x}{NEW}"));
    // Held until it has its name, so that nobody takes it for a leftover.
    let made = empty_store(&new).and_then(|_held| name(&new, path));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => made.and(Err(error)),
        _ => made,
    }?;
    // A file whose name is not on disk is not there after a loss of power, whatever was synced into it.
    sync_folder_of(path)
}

/// Removes what processes have left that were killed while they made the store, as far as it can. One that is being made
/// is locked.
fn clear_leftovers(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_leftover(entry.file_name().as_encoded_bytes(), name.as_encoded_bytes())
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Another one may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file is one that [`create`] makes for the store `name`: of this version, or of one that took the process's
/// number.
fn is_leftover(file: &[u8], name: &[u8]) -> bool {
    let unique = file.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"."));
    let unique = unique.and_then(|rest| rest.strip_suffix(NEW.as_bytes()));
    unique.is_some_and(|unique| !unique.is_empty() && unique.iter().all(u8::is_ascii_hexdigit))
}

fn empty_store(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.lock()?;
    let backend = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
    let made = redb::Builder::new().create_with_backend(backend).map_err(redb::Error::from);
    match made.and_then(|database| Ok(database.close()?)) {
        Ok(()) => file.sync_all().map(|()| file),
        Err(redb::Error::Io(error)) => Err(error),
        Err(other) => Err(io::Error::other(other)),
    }
}

/// Gives a file a name, unless another process has been quicker.
fn name(file: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(file, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(error) if error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(1) => {
            fs::rename(file, path)
        }
        done => done,
    }
}
