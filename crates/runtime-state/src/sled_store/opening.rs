//! From a folder to an open database, and from each fault to its error.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use runtime_traits::error::Cause;
use runtime_traits::store::{Durability, StateError};
use sled::Db;

use super::base::{Base, Hold, Open};
use super::disk::Disk;
use super::group;
use super::layout;
use super::mark::Mark;
use super::options::SledOptions;
use super::rim::Rim;
use super::sums::{Known, Part, Sum};
use super::trouble::Trouble;
use crate::group_commit::files::of_io;
use crate::group_commit::{Act, Contents, Engine, Job, Ledger, Standing, Watch, Written};
use crate::{Integrity, OpenError};

/// How to open the store, at first and after an I/O error.
pub(super) struct Opening {
    folder: PathBuf,
    options: SledOptions,
    /// Held as long as the store is: nobody else opens the folder.
    mark: Arc<Mark>,
    rim: Arc<dyn Rim>,
    watch: Arc<Watch>,
}

/// How often a log that somebody may just have closed is tried, and the time in between: 2 seconds in all.
const TRIES: u32 = 2_000;
const A_MOMENT: Duration = Duration::from_millis(1);

impl Opening {
    pub(super) fn new(folder: PathBuf, options: SledOptions, rim: Arc<dyn Rim>) -> Result<Self, OpenError> {
        let mark = Arc::new(Mark::take(&folder)?);
        Ok(Self { folder, options, mark, rim, watch: Arc::default() })
    }

    fn try_open(&self, integrity: Integrity) -> Result<(Hold, Contents), OpenError> {
        self.clear_leftovers()?;
        let config = sled::Config::new()
            .path(&self.folder)
            .cache_capacity(self.options.cache)
            // Its thread would write parts of the log anew and write over the old ones before the new ones are synced.
            .flush_every_ms(None);
        let db = self.open_log(&config).map_err(|error| self.of(error.into()))?;
        let known = self.load(&db)?;
        let of_sync = |error: io::Error| {
            self.watch.tell(Act::Sync, &error);
            of_io(&self.folder, error)
        };
        let disk = Disk::open(&self.folder, Arc::clone(&self.rim)).map_err(of_sync)?;
        // What is there was perhaps never synced by those who wrote it. Now it is.
        self.mark.claim_synced(known.count).map_err(of_sync)?;
        let contents = known.contents();
        let partitions: Vec<_> = known.parts.keys().copied().collect();
        let (mark, rim) = (Arc::clone(&self.mark), Arc::clone(&self.rim));
        let open = Open::new(db, disk, mark, rim, known, self.options.salvage);
        if integrity == Integrity::Everything {
            for partition in partitions {
                if !open.is_whole(partition).map_err(|trouble| self.of(trouble))? {
                    return Err(self.damaged(format!("sled has lost rows of partition `{partition}`")));
                }
            }
        }
        Ok((Hold(Arc::new(Base::new(open, Arc::clone(&self.watch)))), contents))
    }

    fn open_log(&self, config: &sled::Config) -> Result<Db, sled::Error> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match config.open() {
                // Whoever knows the mark is shut out by it. sled's own threads hold the lock of a store that was closed in
                // this process until they have ended what they were at, and tell nobody when.
                Err(sled::Error::Io(error)) if is_locked(&error) && tries > 0 => {
                    thread::park_timeout(A_MOMENT)
                }
                opened => return opened,
            }
        }
    }

    /// Removes what a process that was killed while it opened the store has left.
    fn clear_leftovers(&self) -> Result<(), OpenError> {
        let of = |error| of_io(&self.folder, error);
        let never_made = self.mark.at_least() == 0;
        if !never_made && !self.folder.join("db").exists() {
            return Err(self.damaged("its file `db` is missing".to_owned()));
        }
        for entry in fs::read_dir(&self.folder).map_err(of)? {
            let entry = entry.map_err(of)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // sled takes it for a whole summary of its log, and it is the beginning of one.
            let cut_short = name.starts_with("snap.") && name.ends_with(".generating");
            let never_used = never_made && (name == "db" || name == "conf" || name.starts_with("snap."));
            if cut_short || never_used {
                fs::remove_file(entry.path()).map_err(of)?;
            }
        }
        Ok(())
    }

    /// Reads what is known of the store, and refuses one that is less than it was.
    fn load(&self, db: &Db) -> Result<Known, OpenError> {
        let of = |error: sled::Error| self.of(error.into());
        let Some(row) = db.get(layout::STORE).map_err(of)? else {
            return if self.mark.at_least() == 0 { self.create(db) } else { Err(self.shorter(0)) };
        };
        let damaged = |what: &str| self.damaged(format!("the row of {what}"));
        let mut known = Known::from_row(&row).map_err(|_| damaged("the store"))?;
        if known.count < self.mark.at_least() {
            return Err(self.shorter(known.count));
        }
        let mut sum = Sum::default();
        for row in db.range(layout::parts()) {
            let (key, row) = row.map_err(of)?;
            let partition = layout::part_in(&key);
            let part = partition.and_then(|partition| Some((partition, Part::from_row(&key, &row).ok()?)));
            let (partition, part) = part.ok_or_else(|| damaged("a partition"))?;
            sum.add(&key, &row);
            known.parts.insert(partition, part);
        }
        if sum != known.over_parts {
            return Err(self.damaged("sled has lost rows about partitions".to_owned()));
        }
        Ok(known)
    }

    /// Writes the first row. The mark is told when all is on the disk, so a crash in between leaves a store that was
    /// never made.
    fn create(&self, db: &Db) -> Result<Known, OpenError> {
        let known = Known { count: 1, ..Known::new() };
        let written = db.insert(layout::STORE, known.row()).and_then(|_| db.flush());
        written.map_err(|error| self.of(error.into()))?;
        Ok(known)
    }

    fn shorter(&self, count: u64) -> OpenError {
        let wanted = self.mark.at_least();
        self.damaged(format!("sled finds {count} of at least {wanted} groups of commits"))
    }

    fn damaged(&self, what: String) -> OpenError {
        OpenError::Damaged { path: self.folder.clone(), cause: Cause::says(what) }
    }

    fn of(&self, trouble: Trouble) -> OpenError {
        match trouble {
            Trouble::Disk(error) => of_io(&self.folder, error),
            Trouble::Sled(sled::Error::Io(error)) => self.of_sled_io(error),
            other => self.damaged(other.to_string()),
        }
    }

    fn of_sled_io(&self, error: io::Error) -> OpenError {
        // Whoever has it open does not know the mark, which is asked for first.
        if is_locked(&error) {
            return OpenError::InUse { path: self.folder.clone() };
        }
        match error.kind() {
            // What sled says of a file that ends too early or holds what it did not write.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                self.damaged(error.to_string())
            }
            _ => of_io(&self.folder, error),
        }
    }
}

/// Whether somebody else has the log open. sled says no more than that.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

impl Engine for Opening {
    type Base = Hold;
    type Reader = Arc<Base>;
    type Error = Trouble;

    const NAME: &'static str = "sled";
    /// One image of a disk in 5,000, made as a loss of power may leave it, was one that sled did not open (decision 38).
    const BEST: Durability = Durability::Process;

    fn path(&self) -> &Path {
        &self.folder
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn open(&self, integrity: Integrity) -> Result<(Hold, Contents), OpenError> {
        self.watch.reset();
        // sled panics on many damaged logs.
        catch_unwind(AssertUnwindSafe(|| self.try_open(integrity)))
            .unwrap_or_else(|_| Err(self.damaged("sled cannot follow its log".to_owned())))
    }

    fn begin(base: &Hold) -> Result<Arc<Base>, Trouble> {
        Ok(Arc::clone(&base.0))
    }

    fn write(
        base: &Hold,
        ledger: &mut Ledger,
        jobs: &mut Vec<Job>,
        more: impl FnMut(&mut Vec<Job>),
        standing: Standing,
    ) -> Written<Trouble> {
        group::write(&base.0, ledger, jobs, more, standing)
    }

    /// Opening has synced what it found.
    fn sync(_: &Hold) -> Result<(), Trouble> {
        Ok(())
    }

    fn close(base: Hold) -> Result<(), Trouble> {
        base.0.close()
    }

    fn is_closed(error: &Trouble) -> bool {
        matches!(error, Trouble::Closed)
    }

    fn refusal(error: &Trouble) -> StateError {
        error.refusal()
    }
}
