//! A whole partition, page by page.

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Seq, StateError, StateStore, Tail};

/// Cells or entries in a page: with values of a mebibyte they are 64 MiB.
pub(crate) const PAGE: u32 = 64;

/// The cells of a partition, in their order.
pub(crate) struct Cells {
    all: Key,
    after: Option<Key>,
    ended: bool,
}

/// The logs of a partition, in their order.
pub(crate) struct Logs {
    all: Log,
    after: Option<Log>,
    ended: bool,
}

/// The entries of a log, up to where it ended when it was looked at.
pub(crate) struct Entries {
    extent: LogExtent,
}

impl Cells {
    pub(crate) fn of(partition: Partition) -> Self {
        Self { all: Key::all(partition), after: None, ended: false }
    }

    /// The next page; `None` when there is none.
    pub(crate) async fn next(
        &mut self,
        store: &dyn StateStore,
    ) -> Result<Option<Vec<(Key, Cell)>>, StateError> {
        if self.ended {
            return Ok(None);
        }
        let page = store.scan(&self.all, self.after.as_ref(), PAGE).await?;
        self.ended = page.len() < PAGE as usize;
        self.after = page.last().map(|(key, _)| key.clone());
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

impl Logs {
    pub(crate) fn of(partition: Partition) -> Self {
        Self { all: Log::all(partition), after: None, ended: false }
    }

    /// The next page; `None` when there is none.
    pub(crate) async fn next(
        &mut self,
        store: &dyn StateStore,
    ) -> Result<Option<Vec<LogExtent>>, StateError> {
        if self.ended {
            return Ok(None);
        }
        let page = store.logs(&self.all, self.after.as_ref(), PAGE).await?;
        self.ended = page.len() < PAGE as usize;
        self.after = page.last().map(|extent| extent.log.clone());
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

impl Entries {
    pub(crate) fn of(extent: LogExtent) -> Self {
        Self { extent }
    }

    /// The next page, and the number of its first entry; `None` when there is none. A page that is empty, or begins
    /// later than asked for, is of a log that somebody trims meanwhile.
    pub(crate) async fn next(
        &mut self,
        store: &dyn StateStore,
    ) -> Result<Option<(Seq, Vec<Bytes>)>, StateError> {
        let LogExtent { log, first, next } = &mut self.extent;
        if *first >= *next {
            return Ok(None);
        }
        let limit = (next.0 - first.0).min(u64::from(PAGE)) as u32;
        let Tail { first: begins, entries, .. } = store.read(log, *first, limit).await?;
        *first = Seq(begins.0 + entries.len() as u64);
        Ok(Some((begins, entries)).filter(|(_, entries)| !entries.is_empty()))
    }
}
