#![doc = include_str!("../README.md")]

mod admission;
mod decide;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb_store;
#[cfg(feature = "redis")]
mod redis_store;
mod window;

pub use memory::MemoryStore;
pub use open::{OpenError, SCHEMES, open};
#[cfg(feature = "redb")]
pub use redb_store::{Integrity, RedbOptions, RedbStore};
#[cfg(feature = "redis")]
pub use redis_store::{RedisOptions, RedisStore};
