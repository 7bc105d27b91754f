//! What can go wrong with a run, what is done about it, and how long it may stand still.

mod declared;
mod failure;
mod history;
mod policy;
mod remedy;
mod stall;

pub use declared::{AgentRecovery, RecoveryFault, RestartWhen};
pub use failure::{Failure, Phase};
pub use history::History;
pub use policy::RecoveryPolicy;
pub use remedy::{Quarantine, Remedy};
pub use stall::{StallBounds, StallLimits, Stands};
