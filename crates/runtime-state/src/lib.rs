#![doc = include_str!("../README.md")]

mod admission;
mod decide;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb_store;
mod state_manager;
mod window;

pub use memory::MemoryStore;
pub use open::{OpenError, SCHEMES, open};
#[cfg(feature = "redb")]
pub use redb_store::{Integrity, RedbOptions, RedbStore};
pub use state_manager::{StateManager, Unfenced};
