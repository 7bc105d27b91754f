//! The stores against the contract, and against what disks and processes do.

mod disk;
mod fixtures;
mod memory;
mod opening;
mod redb_faults;
mod redb_suite;
mod uri;
