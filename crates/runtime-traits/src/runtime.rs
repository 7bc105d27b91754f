//! The control contract: what can be done with agents, wherever they run.

mod breakers;
mod error;
mod refs;
mod request;
mod status;
mod stream;
mod r#trait;

pub use breakers::{BreakerPhase, BreakerStatus, Breakers};
pub use error::{RuntimeError, SweptLog};
pub use refs::AgentRef;
pub use request::{Decision, ForkRequest, Reply, RunRequest, SessionPolicy, Submitted};
pub use status::{
    AgentStatus, CancelReceipt, Finished, Joined, NodeStatus, Page, Readiness, RunFilter, RunResult, Said,
    SessionStatus, SnapshotFilter, Stored, Want,
};
pub use stream::{Previewed, RunStream, StreamItem};
pub use r#trait::Runtime;
