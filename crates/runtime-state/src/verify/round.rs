//! One partition, read to its end.

use std::convert::Infallible;

use runtime_codec::{CellRecord, CellSort, LogSort, Whose, cell_sort, keys, log_sort};
use runtime_traits::content::Digest;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, LogExtent, Path, Seq, StateError, StateStore, Tail};

use super::blobs::{Row, RowEnd};
use super::cells::Cells;
use super::damage::{Damage, DamageSort, DamagedPlace, Fault};
use super::entries::EachEntry;
use super::listing::Listing;
use super::logs::{RunOrder, Said, follows_later, read_entry, tenant_of_mail};
use super::walk::{Visit, walk};
use super::{NAMED, Verified};

/// One partition.
pub(super) struct Round<'a, P> {
    store: &'a dyn StateStore,
    partition: Partition,
    /// `None`: values mean nothing.
    cells: Option<Cells<'a>>,
    row: Option<Row>,
    /// A content with a chunk that the store does not show: told already.
    torn: Option<(Tenant, Digest)>,
    verified: &'a mut Verified,
    progress: &'a mut P,
}

impl<'a, P: FnMut(&Verified) + Send> Round<'a, P> {
    pub(super) fn new(
        store: &'a dyn StateStore,
        partition: Partition,
        is_deep: bool,
        verified: &'a mut Verified,
        progress: &'a mut P,
    ) -> Self {
        let cells = is_deep.then(|| Cells::of(store, partition));
        Self { store, partition, cells, row: None, torn: None, verified, progress }
    }

    pub(super) async fn read(mut self) {
        let (store, partition) = (self.store, self.partition);
        let Ok(()) = walk(store, partition, Listing::Cells, &mut self).await;
        self.end_row().await;
        let Ok(()) = walk(store, partition, Listing::Logs, &mut self).await;
    }

    async fn look_at_cell(&mut self, key: Key, cell: &Cell) {
        let (sort, whose) = cell_sort(&key);
        if let (CellSort::Blob(hash, chunk), Some(tenant)) = (sort, &whose.tenant) {
            return self.chunk(tenant, hash, chunk, &cell.value).await;
        }
        let Some(cells) = &mut self.cells else { return };
        cells.note(&whose);
        if sort == CellSort::Unknown {
            self.verified.unknown += 1;
            return;
        }
        let found = match cells.read(sort, &cell.value) {
            Ok(record) => {
                let whose = of_record(whose, &record);
                cells.needs(&key, cell, &record, &whose).await.map(|fault| (fault, whose))
            }
            Err(error) => Some((error.into(), whose)),
        };
        if let Some((fault, whose)) = found {
            self.damage(DamagedPlace::Cell { path: key.path }, fault, Some(&whose));
        }
    }

    async fn chunk(&mut self, tenant: &Tenant, hash: Digest, chunk: u32, bytes: &[u8]) {
        if self.cells.is_none() || self.is_torn(tenant, &hash) {
            return;
        }
        if self.row.as_ref().is_none_or(|row| !row.has(tenant, &hash)) {
            self.end_row().await;
            self.row = Some(Row::new(tenant.clone(), hash));
        }
        if let Some(row) = &mut self.row {
            row.take(chunk, bytes);
        }
    }

    fn is_torn(&self, tenant: &Tenant, hash: &Digest) -> bool {
        self.torn.as_ref().is_some_and(|(of, torn)| of == tenant && torn == hash)
    }

    async fn end_row(&mut self) {
        let (Some(row), Some(cells)) = (self.row.take(), &mut self.cells) else { return };
        match row.end() {
            RowEnd::Whole(content) => {
                self.verified.contents += 1;
                cells.contents.is_whole(&row.tenant, content);
            }
            RowEnd::Unfinished => self.verified.unfinished += 1,
            RowEnd::Damaged(fault) => {
                // What nobody needs may be taken away meanwhile, from its begin to its end.
                let last = keys::blob(&row.tenant, self.partition, &row.hash, row.last());
                let now = self.store.get(std::slice::from_ref(&last)).await;
                if !matches!(now.as_deref(), Ok([None])) {
                    let first = keys::blob(&row.tenant, self.partition, &row.hash, 0);
                    self.damage(DamagedPlace::Cell { path: first.path }, fault, None);
                }
            }
        }
    }

    async fn look_at_log(&mut self, extent: LogExtent) {
        let (sort, mut whose) = log_sort(&extent.log);
        if self.cells.is_some() && sort == LogSort::Unknown {
            self.verified.unknown += 1;
        }
        let mut order = RunOrder::default();
        let mut entries = EachEntry::of(extent.clone());
        while let Some(page) = entries.next(self.store).await {
            for (seq, read) in page {
                match read {
                    Ok(bytes) => {
                        self.verified.entries += 1;
                        self.verified.bytes += bytes.len() as u64;
                        let fault = self.look_at_entry(sort, seq, &bytes, &mut order, &mut whose).await;
                        if let Some(fault) = fault {
                            let path = extent.log.path.clone();
                            self.damage(DamagedPlace::Entry { path, seq: seq.0 }, fault, Some(&whose));
                        }
                    }
                    Err(error) => {
                        let place = DamagedPlace::Entry { path: extent.log.path.clone(), seq: seq.0 };
                        self.damage(place, Fault::from(&error), Some(&whose));
                    }
                }
            }
            (self.progress)(self.verified);
        }
        if sort == LogSort::Run && self.cells.is_some() {
            if extent.first > Seq::FIRST {
                let fault = Fault::dangling("the log of the run has lost its begin");
                self.log_damage(&extent, fault, &order, &whose).await;
            }
            self.look_for_cell_of_run(&extent, order, &whose).await;
        }
    }

    async fn look_at_entry(
        &mut self,
        sort: LogSort,
        seq: Seq,
        bytes: &[u8],
        order: &mut RunOrder,
        whose: &mut Whose,
    ) -> Option<Fault> {
        let cells = self.cells.as_mut()?;
        let said = match read_entry(sort, seq, bytes) {
            Ok(said) => said,
            Err(error) => return Some(error.into()),
        };
        let fault = match &said {
            Said::Run(kind) => {
                let fault = order.take(seq, kind);
                if let (None, Some((agent, session))) = (whose.agent, &order.of) {
                    (whose.agent, whose.session) = (Some(*agent), Some(session.clone()));
                    // An agent has one tenant, which its cells say.
                    whose.tenant = Some(cells.tenant_of(agent));
                }
                fault
            }
            Said::Message(message) => follows_later(seq, message),
            Said::Mail(..) | Said::Event | Said::Unknown => None,
        };
        if fault.is_some() {
            return fault;
        }
        let (beside, content) = said.names()?;
        let tenant = match &said {
            Said::Mail(_, mail) => tenant_of_mail(self.store, mail).await?,
            _ => whose.tenant.clone().unwrap_or_default(),
        };
        match beside {
            Some(partition) => cells.contents.beside(partition).check(&tenant, &content).await,
            None => cells.contents.check(&tenant, &content).await,
        }
    }

    /// A run is open or over; what is neither, nobody would ever find.
    async fn look_for_cell_of_run(&mut self, extent: &LogExtent, order: RunOrder, whose: &Whose) {
        let (Some(run), Some((agent, _))) = (whose.run, &order.of) else { return };
        if extent.next <= extent.first {
            return;
        }
        let tenant = whose.tenant.clone().unwrap_or_default();
        match self.store.get(&[keys::open(&run), keys::ended(&tenant, agent, &run)]).await {
            Ok(cells) if cells.iter().any(Option::is_some) => {}
            // Told at its own place.
            Err(StateError::Damaged { .. }) => {}
            Err(error) => self.log_damage(extent, Fault::from(&error), &order, whose).await,
            Ok(_) => {
                let fault = Fault::dangling("nothing says that the run is open, or that it is over");
                self.log_damage(extent, fault, &order, whose).await;
            }
        }
    }

    /// Tells damage of a log, if the log is still there.
    async fn log_damage(&mut self, extent: &LogExtent, fault: Fault, order: &RunOrder, whose: &Whose) {
        if let Ok(Tail { first, next, .. }) = self.store.read(&extent.log, Seq::FIRST, 0).await
            && (next <= first || first > extent.first)
        {
            return;
        }
        if let (Some(run), Some(cells)) = (&whose.run, &self.cells)
            && cells.is_passing(run, order.ended).await
        {
            return;
        }
        self.damage(DamagedPlace::Log { path: extent.log.path.clone() }, fault, Some(whose));
    }

    fn damage(&mut self, place: DamagedPlace, fault: Fault, whose: Option<&Whose>) {
        self.verified.damaged += 1;
        self.verified.newer += u64::from(fault.sort == DamageSort::Newer);
        if self.verified.damages.len() < NAMED {
            self.verified.damages.push(Damage::at(self.partition, place, fault, whose));
        }
    }
}

impl<P: FnMut(&Verified) + Send> Visit for Round<'_, P> {
    type Error = Infallible;

    async fn cell(&mut self, key: Key, cell: Cell) -> Result<(), Infallible> {
        self.verified.cells += 1;
        self.verified.bytes += (key.path.as_bytes().len() + cell.value.len()) as u64;
        self.look_at_cell(key, &cell).await;
        Ok(())
    }

    async fn log(&mut self, extent: LogExtent) -> Result<(), Infallible> {
        self.verified.logs += 1;
        self.verified.bytes += extent.log.path.as_bytes().len() as u64;
        self.look_at_log(extent).await;
        Ok(())
    }

    async fn unreadable(&mut self, place: DamagedPlace, error: &StateError) -> Result<(), Infallible> {
        if let DamagedPlace::Cell { path } = &place {
            self.tear(path);
        }
        self.damage(place, Fault::from(error), None);
        Ok(())
    }

    fn page(&mut self) {
        (self.progress)(self.verified);
    }
}

impl<P> Round<'_, P> {
    /// Of a content with a chunk that cannot be read, nothing else can be said.
    fn tear(&mut self, path: &Path) {
        let (sort, whose) = cell_sort(&Key { partition: self.partition, path: path.clone() });
        if let (CellSort::Blob(hash, _), Some(tenant)) = (sort, whose.tenant) {
            self.row = self.row.take().filter(|row| !row.has(&tenant, &hash));
            self.torn = Some((tenant, hash));
        }
    }
}

/// Whose a cell is, as far as its record tells beyond its path.
fn of_record(mut whose: Whose, record: &CellRecord) -> Whose {
    match record {
        CellRecord::Open(open) => {
            whose.tenant = Some(open.tenant.clone());
            whose.agent = Some(open.agent);
            whose.session = Some(open.session.clone());
        }
        CellRecord::Swept(stub) => {
            whose.tenant = Some(stub.tenant.clone());
            whose.agent = Some(stub.agent);
            whose.session = Some(stub.session.clone());
        }
        CellRecord::Name(name) => whose.agent = Some(name.agent),
        CellRecord::Ended(ended) => whose.session = Some(ended.session.clone()),
        CellRecord::Snapshot(manifest) => whose.agent = Some(manifest.agent),
        _ => {}
    }
    whose
}
