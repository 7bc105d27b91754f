//! A small file beside sled's: which format, who has it open, and how many groups must be there.
//!
//! sled opens a log that lost its end as if the end had never been. So after each sync this file is told how many groups
//! the log holds, and is synced too, before anybody is answered. It never claims more than was synced before it, and
//! whatever was answered at `Disk` is claimed. What was answered at `Process` is claimed until the system is started
//! again.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use runtime_traits::error::Cause;

use crate::OpenError;
use crate::group_commit::files::{self, OWNER_ONLY, of_io};
use crate::group_commit::rows::{SUM, seal, unseal};

/// The file's name in the store's folder.
pub(super) const NAME: &str = "agent-runtime.mark";
/// The format that this build writes, and the newest that it reads.
pub(super) const KNOWN_FORMAT: u64 = 1;

const MAGIC: &[u8] = b"agent-runtime sled store\n";
/// Each part of the file is written alone, and a torn write does not reach its neighbours.
const PAGE: usize = 4_096;
const PAGES: usize = 4;
/// Where the two claims about what is synced are, the newer one over the older one in turn.
const SYNCED: [u64; 2] = [PAGE as u64, 2 * PAGE as u64];
/// Where the claim about what the system has is.
const WRITTEN: u64 = 3 * PAGE as u64;
const CLAIM: usize = SUM + 8 + BOOT;
const BOOT: usize = 36;

/// The open file, and with it the store.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    boot: [u8; BOOT],
    claimed: Mutex<Claimed>,
}

/// How many groups must be in the log.
#[derive(Clone, Copy, Debug, Default)]
struct Claimed {
    /// What was synced.
    synced: u64,
    /// What was written, if it is the same system still.
    written: u64,
    /// Which of the two claims is the older one.
    older: usize,
}

impl Mark {
    /// Opens or makes the file in `folder`, which is made too, and keeps others out while it is open.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let of = |error| of_io(folder, error);
        check_folder(folder, &path)?;
        make_folder(folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY);
        let file = options.open(&path).map_err(of)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: folder.to_path_buf() }),
            Err(TryLockError::Error(error)) => return Err(of(error)),
        }
        let boot = boot().map_err(of)?;
        let mark = Self { file, boot, claimed: Mutex::default() };
        let length = mark.file.metadata().map_err(of)?.len();
        // Whoever made it did not get far: sled's log comes after it.
        if length < (PAGES * PAGE) as u64 && !folder.join("db").exists() {
            mark.create(&path).map_err(of)?;
        }
        mark.load(folder)?;
        Ok(mark)
    }

    /// How many groups must be there. None: the store was never made to its end.
    pub(super) fn at_least(&self) -> u64 {
        let claimed = self.claimed();
        claimed.synced.max(claimed.written)
    }

    /// Claims that `count` groups are synced, on the disk.
    pub(super) fn claim_synced(&self, count: u64) -> io::Result<()> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.synced == count {
            return Ok(());
        }
        self.write(SYNCED[claimed.older], count)?;
        if claimed.synced == 0 {
            // A damaged claim beside one of nothing would make a store out of which nothing was ever made.
            self.write(SYNCED[1 - claimed.older], count)?;
        }
        self.file.sync_data()?;
        *claimed = Claimed { synced: count, older: 1 - claimed.older, ..*claimed };
        Ok(())
    }

    /// Claims that `count` groups are with the system.
    pub(super) fn claim_written(&self, count: u64) -> io::Result<()> {
        self.write(WRITTEN, count)?;
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).written = count;
        Ok(())
    }

    fn claimed(&self) -> Claimed {
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        let mut page = vec![0; SUM];
        page.extend_from_slice(&KNOWN_FORMAT.to_le_bytes());
        seal(&mut page, MAGIC);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&page);
        // Its last byte comes when all others are on the disk: a shorter file was never made to its end.
        bytes.resize(PAGES * PAGE - 1, 0);
        self.file.write_all_at(&bytes, 0)?;
        for claim in SYNCED.into_iter().chain([WRITTEN]) {
            self.write(claim, 0)?;
        }
        self.file.sync_all()?;
        self.file.set_len((PAGES * PAGE) as u64)?;
        self.file.sync_all()?;
        files::sync_folder_of(path)
    }

    fn load(&self, folder: &Path) -> Result<(), OpenError> {
        let path = || folder.to_path_buf();
        let damaged = |what: &str| OpenError::Damaged { path: path(), cause: Cause::says(what) };
        let mut bytes = vec![0; PAGES * PAGE];
        self.file.read_exact_at(&mut bytes, 0).map_err(|error| of_io(folder, error))?;
        let Some(header) = bytes.strip_prefix(MAGIC) else {
            return Err(damaged("its mark does not begin as one"));
        };
        let format = unseal(&header[..SUM + 8], MAGIC).ok().and_then(|content| content.try_into().ok());
        let format = format.map(u64::from_le_bytes).ok_or_else(|| damaged("the format in its mark"))?;
        if format > KNOWN_FORMAT {
            return Err(OpenError::Newer { path: path(), found: format, known: KNOWN_FORMAT });
        }
        let claims = SYNCED.map(|at| claim_in(&bytes, at));
        let older = usize::from(claims[0] > claims[1]);
        let synced = match claims.map(|claim| claim.map(|(count, _)| count)) {
            [None, None] => return Err(damaged("both claims in its mark")),
            // What the other one claimed is not known, and it was more than nothing.
            [None, Some(0)] | [Some(0), None] => return Err(damaged("a claim in its mark")),
            claims => claims.into_iter().flatten().max().unwrap_or_default(),
        };
        let written = claim_in(&bytes, WRITTEN).filter(|(_, boot)| *boot == self.boot);
        let written = written.map_or(0, |(count, _)| count);
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        *claimed = Claimed { synced, written, older };
        Ok(())
    }

    fn write(&self, at: u64, count: u64) -> io::Result<()> {
        let mut claim = vec![0; SUM];
        claim.extend_from_slice(&count.to_le_bytes());
        claim.extend_from_slice(&self.boot);
        seal(&mut claim, &at.to_le_bytes());
        self.file.write_all_at(&claim, at)
    }
}

/// Takes back what the mark in `folder` claims of this start of the system: after the next one nobody knows it.
pub(super) fn forget_start(folder: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(folder.join(NAME)) {
        Ok(file) => file.write_all_at(&[0; CLAIM], WRITTEN),
        // A store that was not made to its end claims nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses what is there and is not the folder of a store, before anything is written.
fn check_folder(folder: &Path, mark: &Path) -> Result<(), OpenError> {
    let foreign = |what| OpenError::Foreign { path: PathBuf::from(folder), cause: Cause::says(what) };
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(of_io(folder, error)),
        Ok(there) if !there.is_dir() => {
            return Err(foreign("a file, and not the folder of a store".to_owned()));
        }
        Ok(_) => {}
    }
    let mut entries = fs::read_dir(folder).map_err(|error| of_io(folder, error))?;
    if mark.exists() || entries.next().is_none() {
        return Ok(());
    }
    Err(foreign(format!("a folder with other things and without `{NAME}`")))
}

/// Makes the folder for its owner only: sled makes its files for all.
fn make_folder(folder: &Path) -> Result<(), OpenError> {
    if folder.exists() {
        return Ok(());
    }
    files::make_room(folder)?;
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.and_then(|()| files::sync_folder_of(folder)).map_err(|error| of_io(folder, error))
}

fn claim_in(bytes: &[u8], at: u64) -> Option<(u64, [u8; BOOT])> {
    let content = unseal(&bytes[at as usize..][..CLAIM], &at.to_le_bytes()).ok()?;
    let (count, boot) = content.split_first_chunk()?;
    Some((u64::from_le_bytes(*count), boot.try_into().ok()?))
}

/// Which start of the system this is.
fn boot() -> io::Result<[u8; BOOT]> {
    let text = fs::read("/proc/sys/kernel/random/boot_id")?;
    text.first_chunk().copied().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_claim_beside_one_of_nothing_is_damage() {
        let home = tempfile::tempdir().expect("a folder");
        for (n, at) in SYNCED.into_iter().enumerate() {
            let folder = home.path().join(n.to_string());
            drop(Mark::take(&folder).expect("a new mark"));
            let file = OpenOptions::new().write(true).open(folder.join(NAME)).expect("the mark");
            file.write_all_at(&[1], at).expect("a byte");
            let error = Mark::take(&folder).expect_err("it is damaged");
            assert!(error.to_string().contains("a claim in its mark"), "{error}");
        }
    }
}
