//! Reads original and copy, page beside page.

use std::fmt::Display;

use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, LogExtent, StateError, StateStore};

use super::{Copied, CopyError, CopyStep, owner};
use crate::pages;

/// Finds the first place at which two stores differ in a partition.
pub(super) async fn partition(
    from: &dyn StateStore,
    to: &dyn StateStore,
    partition: Partition,
    done: &mut Copied,
    progress: &mut impl FnMut(CopyStep, &Copied),
) -> Result<(), CopyError> {
    let mut cells = (pages::Cells::of(partition), pages::Cells::of(partition));
    loop {
        let (original, copy) = both(cells.0.next(from).await, cells.1.next(to).await)?;
        let (Some(original), Some(copy)) = (&original, &copy) else {
            alike(original.is_none() && copy.is_none(), &partition)?;
            break;
        };
        alike(original.len() == copy.len(), &partition)?;
        for (original, copy) in original.iter().zip(copy) {
            alike(is_copy(original, copy), &original.0)?;
            done.cells += 1;
        }
        progress(CopyStep::Comparing, done);
    }
    let mut logs = (pages::Logs::of(partition), pages::Logs::of(partition));
    loop {
        let (original, copy) = both(logs.0.next(from).await, logs.1.next(to).await)?;
        let none = original.is_none() && copy.is_none();
        let (Some(original), Some(copy)) = (original, copy) else {
            return alike(none, &partition);
        };
        alike(original.len() == copy.len(), &partition)?;
        for (original, copy) in original.into_iter().zip(copy) {
            alike(original == copy, &original.log)?;
            done.logs += 1;
            log(from, to, original, done).await?;
        }
        progress(CopyStep::Comparing, done);
    }
}

async fn log(
    from: &dyn StateStore,
    to: &dyn StateStore,
    extent: LogExtent,
    done: &mut Copied,
) -> Result<(), CopyError> {
    let name = extent.log.clone();
    let mut entries = (pages::Entries::of(extent.clone()), pages::Entries::of(extent));
    loop {
        let (original, copy) = both(entries.0.next(from).await, entries.1.next(to).await)?;
        alike(original == copy, &name)?;
        let Some((_, original)) = original else { return Ok(()) };
        done.entries += original.len() as u64;
    }
}

fn both<A, B>(from: Result<A, StateError>, to: Result<B, StateError>) -> Result<(A, B), CopyError> {
    Ok((from.map_err(CopyError::From)?, to.map_err(CopyError::To)?))
}

fn is_copy(original: &(Key, Cell), copy: &(Key, Cell)) -> bool {
    let (key, copied) = (&original.0, &copy.1.value);
    *key == copy.0 && owner::is_copy(key, &original.1.value, copied)
}

fn alike(alike: bool, place: &dyn Display) -> Result<(), CopyError> {
    if alike { Ok(()) } else { Err(CopyError::Differs { place: place.to_string() }) }
}
