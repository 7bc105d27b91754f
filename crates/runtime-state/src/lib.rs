#![doc = include_str!("../README.md")]

mod admission;
mod decide;
#[cfg(any(feature = "redb", feature = "sled"))]
mod group_commit;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb_store;
#[cfg(feature = "sled")]
mod sled_store;
mod window;

#[cfg(any(feature = "redb", feature = "sled"))]
pub use group_commit::Integrity;
pub use memory::MemoryStore;
pub use open::{OpenError, SCHEMES, open};
#[cfg(feature = "redb")]
pub use redb_store::{RedbOptions, RedbStore};
#[cfg(feature = "sled")]
#[doc(hidden)]
pub use sled_store::Rim;
#[cfg(feature = "sled")]
pub use sled_store::{SledOptions, SledStore};
