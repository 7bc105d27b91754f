#![doc = include_str!("../README.md")]

mod admission;
mod chance;
mod decide;
#[cfg(feature = "encrypted")]
mod encrypted;
mod marks;
mod memory;
mod open;
mod pages;
#[cfg(feature = "redb")]
mod redb_store;
mod traced;
mod window;

#[cfg(feature = "encrypted")]
pub use encrypted::{EncryptedStore, EncryptionError, KeyError, KeyId, KeyRing, Needed};
pub use memory::MemoryStore;
pub use open::{OpenError, SCHEMES, open};
#[cfg(feature = "redb")]
pub use redb_store::{Integrity, RedbOptions, RedbStore};
pub use traced::TracedStore;
