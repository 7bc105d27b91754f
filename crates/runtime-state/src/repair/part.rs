//! One partition: what is whole is copied, what is not is mended or left out.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use runtime_codec::{CellSort, LogSort, Whose, cell_sort, log_sort};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Seq, StateError, StateStore};

use super::agents::Named;
use super::notes::{Change, ChangeSort, Notes, Quarantined};
use super::sizes::Sizes;
use super::{RepairError, RepairStep, unread};
use crate::Copied;
use crate::copy::owner;
use crate::copy::writer::Writer;
use crate::steady::Steady;
use crate::verify::cells::Cells;
use crate::verify::chain::Stretch;
use crate::verify::damage::{DamagedPlace, Fault};
use crate::verify::entries::EachEntry;
use crate::verify::listing::Listing;
use crate::verify::walk::{Visit, walk};

/// One partition.
pub(super) struct Part<'a, 'n> {
    pub(super) from: &'a dyn StateStore,
    /// The same store: whether it is still there.
    steady: &'a Steady<'a>,
    pub(super) partition: Partition,
    pub(super) now: UnixMillis,
    pub(super) writer: Writer<'a>,
    pub(super) notes: &'a mut Notes<'n>,
    pub(super) kept: &'a mut Copied,
    pub(super) look: Cells<'a>,
    /// Agents without any declaration that can be read.
    pub(super) lost: HashMap<AgentId, bool>,
    /// Cells that were made anew before their turn.
    pub(super) made: HashSet<Key>,
    /// Runs whose logs were made anew: what is left of the old ones goes into quarantine.
    pub(super) retold: HashSet<RunId>,
    /// What is kept of conversations that are damaged.
    pub(super) pieces: HashMap<(AgentId, SessionName), Option<Stretch>>,
    /// The present content, and whether it is whole.
    pub(super) content: Option<(Tenant, Digest, bool)>,
    /// The number that the outbox of the new store gives next.
    pub(super) outbox: Seq,
    pub(super) names: Vec<Named>,
    pub(super) sizes: Sizes,
}

impl<'a, 'n> Part<'a, 'n> {
    pub(super) fn new(
        from: &'a Steady<'a>,
        to: &'a dyn StateStore,
        partition: Partition,
        now: UnixMillis,
        notes: &'a mut Notes<'n>,
        kept: &'a mut Copied,
    ) -> Self {
        Self {
            from,
            steady: from,
            partition,
            now,
            writer: Writer::new(to, partition),
            notes,
            kept,
            look: Cells::of(from, partition),
            lost: HashMap::new(),
            made: HashSet::new(),
            retold: HashSet::new(),
            pieces: HashMap::new(),
            content: None,
            outbox: Seq::FIRST,
            names: Vec::new(),
            sizes: Sizes::default(),
        }
    }

    /// Copies what can be copied. The names that agents have lost are given back once all partitions are there.
    pub(super) async fn rescue(
        mut self,
        progress: &mut (dyn FnMut(RepairStep, u64) + Send),
    ) -> Result<Vec<Named>, RepairError> {
        let (from, partition) = (self.from, self.partition);
        walk(from, partition, Listing::Cells, &mut self).await?;
        progress(RepairStep::Writing, self.kept.cells);
        walk(from, partition, Listing::Logs, &mut self).await?;
        self.write_sizes().await?;
        progress(RepairStep::Writing, self.kept.cells);
        self.writer.end().await?;
        Ok(self.names)
    }

    /// Writes a cell, once. A counter comes last.
    pub(super) async fn put(&mut self, key: Key, value: Bytes) -> Result<(), RepairError> {
        if self.sizes.take_cell(&key, &value) { Ok(()) } else { self.write(key, value).await }
    }

    pub(super) async fn write(&mut self, key: Key, value: Bytes) -> Result<(), RepairError> {
        self.is_believed()?;
        self.kept.cells += 1;
        self.kept.bytes += (key.path.as_bytes().len() + value.len()) as u64;
        Ok(self.writer.put(key, value).await?)
    }

    /// Writes a cell that was made anew, unless it was before.
    pub(super) async fn make(&mut self, key: Key, value: Bytes) -> Result<(), RepairError> {
        if self.made.insert(key.clone()) { self.put(key, value).await } else { Ok(()) }
    }

    pub(super) async fn append(&mut self, log: &Log, seq: Seq, entry: Bytes) -> Result<(), RepairError> {
        self.is_believed()?;
        self.kept.entries += 1;
        self.kept.bytes += entry.len() as u64;
        self.sizes.take_entry(log, seq, &entry, |agent| self.look.tenant_of(agent));
        Ok(self.writer.append(log, seq, entry).await?)
    }

    /// Nothing is written, and nothing put aside, on the word of a store that is away.
    fn is_believed(&self) -> Result<(), RepairError> {
        self.steady.still().map_err(unread)
    }

    pub(super) fn changed(
        &mut self,
        change: ChangeSort,
        place: DamagedPlace,
        whose: &Whose,
        what: impl Into<String>,
    ) {
        let (partition, what) = (self.partition, what.into());
        self.notes.change(Change { change, partition, place, what, whose: whose.clone() });
    }

    pub(super) fn keep_aside(
        &mut self,
        place: DamagedPlace,
        whose: &Whose,
        why: &str,
        bytes: Option<Bytes>,
    ) -> Result<(), RepairError> {
        self.is_believed()?;
        let (partition, why) = (self.partition, why.to_owned());
        self.notes.keep_aside(Quarantined { partition, place, why, whose: whose.clone(), bytes })
    }

    /// Puts what is left of a log into quarantine.
    pub(super) async fn keep_log_aside(
        &mut self,
        extent: LogExtent,
        whose: &Whose,
        why: &str,
    ) -> Result<(), RepairError> {
        let path = extent.log.path.clone();
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: path.clone(), seq: seq.0 };
                match read {
                    Ok(bytes) => self.keep_aside(place, whose, why, Some(bytes))?,
                    Err(error) => self.keep_aside(place, whose, &Fault::from(&error).what, None)?,
                }
            }
        }
        Ok(())
    }

    async fn copy_log(&mut self, extent: LogExtent) -> Result<(), RepairError> {
        self.kept.logs += 1;
        let log = extent.log.clone();
        self.writer.skip_to(&log, extent.first).await?;
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                match read {
                    Ok(bytes) => self.append(&log, seq, bytes).await?,
                    // A log that means nothing ends where it cannot be read.
                    Err(error) => {
                        let place = DamagedPlace::Entry { path: log.path.clone(), seq: seq.0 };
                        let what = Fault::from(&error).what;
                        self.changed(ChangeSort::Cut, place, &Whose::default(), what);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

impl Visit for Part<'_, '_> {
    type Error = RepairError;

    async fn cell(&mut self, key: Key, cell: Cell) -> Result<(), RepairError> {
        if self.made.contains(&key) {
            return Ok(());
        }
        let (sort, whose) = cell_sort(&key);
        self.look.note(&whose);
        match sort {
            CellSort::Unknown => self.put(key, cell.value).await,
            CellSort::Blob(hash, chunk) => self.chunk(key, cell, &whose, hash, chunk).await,
            sort => self.known_cell(sort, key, cell, whose).await,
        }
    }

    async fn log(&mut self, extent: LogExtent) -> Result<(), RepairError> {
        let (sort, whose) = log_sort(&extent.log);
        match sort {
            LogSort::Topic | LogSort::Unknown => self.copy_log(extent).await,
            LogSort::Run => self.run_log(extent, whose).await,
            LogSort::Messages => self.messages(extent, whose).await,
            LogSort::Inbox | LogSort::Outbox | LogSort::Announced => self.mail(sort, extent, whose).await,
        }
    }

    async fn unreadable(&mut self, place: DamagedPlace, error: &StateError) -> Result<(), RepairError> {
        let fault = Fault::from(error);
        let whose = place.whose(self.partition);
        self.keep_aside(place.clone(), &whose, &fault.what, None)?;
        match &place {
            DamagedPlace::Cell { path } => {
                let key = Key { partition: self.partition, path: path.clone() };
                if self.made.contains(&key) {
                    return Ok(());
                }
                let sort = cell_sort(&key).0;
                self.look.note(&whose);
                self.mend(sort, key, &whose, &fault).await
            }
            DamagedPlace::Log { .. } => {
                self.changed(ChangeSort::LeftOut, place, &whose, fault.what);
                Ok(())
            }
            _ => {
                let what = format!("the store does not show what is there ({})", fault.what);
                self.changed(ChangeSort::LeftOut, place, &whose, what);
                Ok(())
            }
        }
    }
}

/// The value of a cell as the new store gets it.
pub(super) fn as_copied(key: &Key, value: Bytes) -> Bytes {
    owner::nobodys(key, value)
}
