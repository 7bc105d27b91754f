//! The stores against the contract, and against what disks and processes do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod disk;
mod fixtures;
mod memory;
mod opening;
mod redb_crash;
mod redb_damage;
mod redb_faults;
mod redb_full;
mod redb_group;
mod redb_suite;
mod sled_suite;
mod uri;
