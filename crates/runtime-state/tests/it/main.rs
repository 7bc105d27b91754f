//! The stores against the contract, and against what disks and processes do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod copying;
mod disk;
mod encrypted;
mod exporting;
mod fixtures;
mod harmed;
mod lived;
mod living;
mod meaning;
mod memory;
mod opening;
mod redb_crash;
mod redb_damage;
mod redb_faults;
mod redb_full;
mod redb_group;
mod redb_suite;
mod redis_faults;
mod redis_fixtures;
mod redis_opening;
mod redis_suite;
mod rekeying;
mod repairing;
mod scrubbing;
mod snapshots;
mod traced;
mod uri;
mod verifying;
mod wrapped;
