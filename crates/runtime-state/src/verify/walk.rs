//! All cells and logs of a partition, past those that are damaged.

use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, LogExtent, Path, StateError, StateStore};

use super::damage::DamagedPlace;
use super::listing::{Listed, Listing};
use crate::pages::PAGE;

/// What is done with what is found.
pub(crate) trait Visit: Send {
    /// Why it cannot go on.
    type Error: Send;

    /// A cell that the store shows.
    fn cell(&mut self, key: Key, cell: Cell) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A log that the store shows.
    fn log(&mut self, extent: LogExtent) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A place that it does not show.
    fn unreadable(
        &mut self,
        place: DamagedPlace,
        error: &StateError,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A page is done.
    fn page(&mut self) {}
}

/// Goes through the cells or logs of a partition, and steps over those that are damaged. Ends at any other error, which
/// [`Steady`](crate::steady::Steady) keeps: `store` is one.
pub(crate) async fn walk<V: Visit>(
    store: &dyn StateStore,
    partition: Partition,
    listing: Listing,
    visit: &mut V,
) -> Result<(), V::Error> {
    let mut after = None;
    loop {
        match listing.page(store, partition, after.as_ref(), PAGE).await {
            Ok(page) => {
                let is_last = page.len() < PAGE as usize;
                after = page.last().map(|listed| listed.path().clone()).or(after);
                for listed in page {
                    found(listed, visit).await?;
                }
                visit.page();
                if is_last {
                    return Ok(());
                }
            }
            // The page is read again one by one, up to what is wrong with it.
            Err(StateError::Damaged { .. }) => match step(store, partition, listing, after, visit).await? {
                Some(past) => after = Some(past),
                None => return Ok(()),
            },
            // The store is away: `Steady` knows, and whoever began the walk asks it.
            Err(_) => return Ok(()),
        }
    }
}

/// Reads one by one up to the next damage, and past it. `None` when that is not possible, or nothing is left.
async fn step<V: Visit>(
    store: &dyn StateStore,
    partition: Partition,
    listing: Listing,
    mut after: Option<Path>,
    visit: &mut V,
) -> Result<Option<Path>, V::Error> {
    for _ in 0..PAGE {
        let error = match listing.page(store, partition, after.as_ref(), 1).await {
            Ok(mut page) => {
                let Some(listed) = page.pop() else { return Ok(None) };
                after = Some(listed.path().clone());
                found(listed, visit).await?;
                continue;
            }
            Err(error @ StateError::Damaged { .. }) => error,
            Err(_) => return Ok(None),
        };
        let damaged = listing.damaged_after(store, partition, after.as_ref(), &error).await;
        let place = match damaged.clone() {
            Some(path) => listing.place(path),
            None => listing.rest(after),
        };
        visit.unreadable(place, &error).await?;
        return Ok(damaged);
    }
    Ok(after)
}

async fn found<V: Visit>(listed: Listed, visit: &mut V) -> Result<(), V::Error> {
    match listed {
        Listed::Cell(key, cell) => visit.cell(key, cell).await,
        Listed::Log(extent) => visit.log(extent).await,
    }
}
