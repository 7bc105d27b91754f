//! The stores against the contract, and against what disks and processes do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod away;
mod copying;
mod crash;
mod disk;
mod encrypted;
mod exporting;
mod fixtures;
mod full;
mod golden;
mod harmed;
mod lived;
mod living;
mod meaning;
mod memory;
mod opening;
mod recounting;
mod redb_damage;
mod redb_faults;
mod redb_group;
mod redb_suite;
mod redis_faults;
mod redis_fixtures;
mod redis_opening;
mod redis_suite;
mod rekeying;
mod repairing;
mod schedules;
mod scrubbing;
mod size;
mod sled_damage;
mod sled_faults;
mod sled_opening;
mod sled_suite;
mod snapshots;
mod together;
mod traced;
mod uri;
mod verifying;
mod wrapped;
