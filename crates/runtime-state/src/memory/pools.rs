//! Finding a partition without a lock.

use std::sync::{Mutex, OnceLock};

use runtime_traits::partition::{Partition, Pool};

use super::part::Part;

/// The partitions of all pools. Pools are few and are never removed, so they form a list that only grows.
#[derive(Default)]
pub(super) struct Pools {
    first: OnceLock<Box<Slices>>,
}

struct Slices {
    pool: Pool,
    parts: Box<[OnceLock<Box<Mutex<Part>>>]>,
    next: OnceLock<Box<Slices>>,
}

impl Pools {
    /// The partition, if somebody asked to create it.
    pub(super) fn get(&self, partition: Partition) -> Option<&Mutex<Part>> {
        let slices = self.iter().find(|slices| slices.pool == partition.pool)?;
        slices.parts.get(usize::from(partition.index))?.get().map(|part| &**part)
    }

    /// The partition; its index is known to be good.
    pub(super) fn get_or_create(&self, partition: Partition) -> &Mutex<Part> {
        let mut place = &self.first;
        loop {
            let slices = place.get_or_init(|| Box::new(Slices::new(partition.pool)));
            if slices.pool == partition.pool {
                return slices.parts[usize::from(partition.index)].get_or_init(Box::default);
            }
            place = &slices.next;
        }
    }

    /// Every partition that somebody asked to create.
    pub(super) fn all(&self) -> impl Iterator<Item = (Partition, &Mutex<Part>)> {
        self.iter().flat_map(|slices| {
            slices.parts.iter().zip(0..).filter_map(|(part, index)| {
                part.get().map(|part| (Partition { pool: slices.pool, index }, &**part))
            })
        })
    }

    fn iter(&self) -> impl Iterator<Item = &Slices> {
        std::iter::successors(self.first.get(), |slices| slices.next.get()).map(|slices| &**slices)
    }
}

impl Slices {
    fn new(pool: Pool) -> Self {
        let parts = (0..=Partition::OWNERLESS).map(|_| OnceLock::new()).collect();
        Self { pool, parts, next: OnceLock::new() }
    }
}
