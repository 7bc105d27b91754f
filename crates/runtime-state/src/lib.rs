#![doc = include_str!("../README.md")]

mod admission;
mod again;
mod chance;
mod copy;
mod decide;
#[cfg(feature = "encrypted")]
mod encrypted;
mod export;
#[cfg(any(feature = "redb", feature = "sled"))]
mod group_commit;
mod live;
mod marks;
mod memory;
mod open;
mod pages;
#[cfg(feature = "redb")]
mod redb_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(all(feature = "encrypted", feature = "redb"))]
mod rekey;
mod repair;
mod scrubber;
mod sense;
#[cfg(feature = "sled")]
mod sled_store;
mod state_manager;
mod steady;
mod traced;
mod verify;
mod window;

pub use copy::{Copied, CopyError, CopyStep, copy_store};
#[cfg(feature = "encrypted")]
pub use encrypted::{EncryptedStore, EncryptionError, KeyError, KeyId, KeyRing, Needed};
pub use export::{EXPORT_FORMAT, ExportError, ExportLine, Exported, Shown, export_store};
#[cfg(any(feature = "redb", feature = "sled"))]
pub use group_commit::Integrity;
pub use live::{Live, LiveProblem, LiveSort, check_live};
pub use memory::MemoryStore;
#[cfg(feature = "encrypted")]
pub use open::open_encrypted;
pub use open::{OpenError, SCHEMES, check_pages, keys_and_store, open, open_to_salvage, without_password};
#[cfg(feature = "redb")]
pub use redb_store::{RedbOptions, RedbStore};
#[cfg(feature = "redis")]
pub use redis_store::{RedisOptions, RedisStore};
#[cfg(all(feature = "encrypted", feature = "redb"))]
pub use rekey::{RekeyError, rekey};
pub use repair::{Change, ChangeSort, Quarantined, RepairError, RepairStep, Repaired, repair_store};
pub use scrubber::Scrubber;
#[cfg(feature = "sled")]
#[doc(hidden)]
pub use sled_store::Rim;
#[cfg(feature = "sled")]
pub use sled_store::{SledOptions, SledStore};
pub use state_manager::{StateManager, Unfenced};
pub use traced::TracedStore;
pub use verify::{
    AgentLeft, Damage, DamageSort, DamagedPlace, RunLeft, SessionLeft, Verified, read_store, verify_store,
};
