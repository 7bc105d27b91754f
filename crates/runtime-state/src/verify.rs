//! Everything in a store read once, and all of it named that cannot be.

mod damage;
mod listing;

use runtime_traits::partition::Partition;
use runtime_traits::store::{Key, Log, LogExtent, Path, Seq, StateError, StateStore};
use serde::Serialize;

use crate::copy::inhabited;
use crate::pages::PAGE;
use listing::{Listed, Listing};

pub use damage::{Damage, DamagedPlace};

/// Damages that are named; of more of them there is only the number.
const NAMED: usize = 10_000;

/// What there is in a store, and what is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Partitions with anything in them.
    pub partitions: u64,
    /// Cells that can be read.
    pub cells: u64,
    /// Logs that can be found.
    pub logs: u64,
    /// Entries that can be read.
    pub entries: u64,
    /// Bytes of paths and values that can be read.
    pub bytes: u64,
    /// What cannot be read: the first 10,000.
    pub damages: Vec<Damage>,
    /// How many damages there are.
    pub damaged: u64,
}

/// Reads everything in `store` and says what is damaged: by partition and path, and by tenant, agent, session and run
/// where the path tells them. Never stops at the first damage. Changes nothing.
///
/// What it finds is what the store can find: checksums of redb, what an [`EncryptedStore`](crate::EncryptedStore)
/// authenticates. It does not know what values mean. [`check_pages`](crate::check_pages) looks at the structure of a
/// redb file, in which damage can hide a row from every reader.
///
/// `progress` hears after each page what was read so far.
///
/// # Errors
/// When the store cannot even list its partitions.
///
/// # Examples
/// ```
/// use runtime_state::{MemoryStore, verify_store};
///
/// # runtime_testkit::block_on(async {
/// let verified = verify_store(&MemoryStore::new(), |_| {}).await?;
/// assert_eq!(verified.damaged, 0);
/// # Ok::<(), runtime_traits::store::StateError>(())
/// # }).expect("a store in memory");
/// ```
pub async fn verify_store(
    store: &dyn StateStore,
    mut progress: impl FnMut(&Verified),
) -> Result<Verified, StateError> {
    let mut verified = Verified::default();
    for partition in inhabited(store).await? {
        let before = (verified.cells, verified.logs, verified.damaged);
        Round { store, partition, verified: &mut verified, progress: &mut progress }.read().await;
        verified.partitions += u64::from((verified.cells, verified.logs, verified.damaged) != before);
    }
    Ok(verified)
}

/// One partition.
struct Round<'a, P> {
    store: &'a dyn StateStore,
    partition: Partition,
    verified: &'a mut Verified,
    progress: &'a mut P,
}

impl<P: FnMut(&Verified)> Round<'_, P> {
    async fn read(&mut self) {
        self.list(Listing::Cells).await;
        self.list(Listing::Logs).await;
    }

    /// Walks over all cells or logs, and steps over those that are damaged.
    async fn list(&mut self, listing: Listing) {
        let mut after = None;
        loop {
            match listing.page(self.store, self.partition, after.as_ref(), PAGE).await {
                Ok(page) => {
                    let is_last = page.len() < PAGE as usize;
                    after = page.last().map(|listed| listed.path().clone()).or(after);
                    for listed in page {
                        self.found(listed).await;
                    }
                    (self.progress)(self.verified);
                    if is_last {
                        return;
                    }
                }
                // The page is read again one by one, up to what is wrong with it.
                Err(_) => match self.step(listing, after).await {
                    Some(past) => after = Some(past),
                    None => return,
                },
            }
        }
    }

    /// Reads one by one up to the next damage, and past it. `None` when that is not possible, or nothing is left.
    async fn step(&mut self, listing: Listing, mut after: Option<Path>) -> Option<Path> {
        for _ in 0..PAGE {
            let error = match listing.page(self.store, self.partition, after.as_ref(), 1).await {
                Ok(mut page) => {
                    let listed = page.pop()?;
                    after = Some(listed.path().clone());
                    self.found(listed).await;
                    continue;
                }
                Err(error) => error,
            };
            let damaged = listing.damaged_after(self.store, self.partition, after.as_ref(), &error).await;
            let place = match damaged.clone() {
                Some(path) => listing.place(path),
                None => listing.rest(after),
            };
            self.damage(place, &error);
            return damaged;
        }
        after
    }

    async fn found(&mut self, listed: Listed) {
        match listed {
            Listed::Cell(path, size) => {
                self.verified.cells += 1;
                self.verified.bytes += (path.as_bytes().len() + size) as u64;
            }
            Listed::Log(extent) => {
                self.verified.logs += 1;
                self.verified.bytes += extent.log.path.as_bytes().len() as u64;
                self.entries(extent).await;
            }
        }
    }

    async fn entries(&mut self, extent: LogExtent) {
        let LogExtent { log, mut first, next } = extent;
        let mut limit = PAGE;
        while first < next {
            let asked = (next.0 - first.0).min(u64::from(limit)) as u32;
            match self.store.read(&log, first, asked).await {
                Ok(tail) if tail.entries.is_empty() => return,
                Ok(tail) => {
                    self.verified.entries += tail.entries.len() as u64;
                    self.verified.bytes += tail.entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
                    first = Seq(tail.first.0 + tail.entries.len() as u64);
                    limit = PAGE;
                    (self.progress)(self.verified);
                }
                // One of the page: the page is read again in halves.
                Err(StateError::Damaged { .. }) if asked > 1 => limit = asked / 2,
                Err(error) => {
                    let path = log.path.clone();
                    let is_damaged = matches!(error, StateError::Damaged { .. });
                    self.damage(DamagedPlace::Entry { path, seq: first.0 }, &error);
                    if !is_damaged {
                        return;
                    }
                    first = first.next();
                    limit = PAGE;
                }
            }
        }
    }

    fn damage(&mut self, place: DamagedPlace, error: &StateError) {
        self.verified.damaged += 1;
        if self.verified.damages.len() < NAMED {
            self.verified.damages.push(Damage::at(self.partition, place, error));
        }
    }
}

/// The cell at `path`.
fn key(partition: Partition, path: Path) -> Key {
    Key { partition, path }
}

/// The log at `path`.
fn log(partition: Partition, path: Path) -> Log {
    Log { partition, path }
}
