//! Snapshots: frozen states of agents, and the contract of what makes and restores them.

mod contract;
mod diff;
mod retention;
mod view;

pub use contract::{PartitionOwner, Save, SnapshotFile, Snapshots};
pub use diff::{SessionDiff, SnapshotDiff, SpecChange};
pub use retention::Retention;
pub use view::{SnapshotInfo, SnapshotSession, SnapshotView};
