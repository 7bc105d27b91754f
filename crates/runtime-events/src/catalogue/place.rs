//! Resources, health, and the cluster.

mod cluster {
    use crate::catalogue::announced;

    announced! { "cluster";
        /// A node has come.
        NodeJoined "node.joined" of node {
            /// The node.
            node: String,
        }
        /// A node has gone.
        NodeLeft "node.left" of node {
            /// The node.
            node: String,
            /// Whether it said so, or its lease ran out.
            orderly: bool,
        }
        /// A node must not write any more.
        NodeFenced "node.fenced" of node {
            /// The node.
            node: String,
            /// Why.
            reason: String,
        }
        /// A node has taken a partition.
        PartitionTaken "partition.taken" of node {
            /// The node.
            node: String,
            /// The partition.
            partition: String,
            /// Counts the owners.
            epoch: u64,
        }
        /// A node has given a partition back.
        PartitionReleased "partition.released" of node {
            /// The node.
            node: String,
            /// The partition.
            partition: String,
        }
    }
}

mod health {
    use crate::catalogue::announced;

    announced! { "health";
        /// The verdict of a check has changed.
        HealthChanged "health.changed" of check {
            /// The check.
            check: String,
            /// The verdict before.
            before: String,
            /// The verdict now.
            now: String,
            /// Why.
            reason: String,
        }
        /// A remedy is tried.
        RecoveryBegan "recovery.began" of check {
            /// The check.
            check: String,
            /// The remedy.
            recovery: String,
            /// Counts the tries.
            attempt: u32,
        }
        /// A remedy has ended.
        RecoveryEnded "recovery.ended" of check {
            /// The check.
            check: String,
            /// The remedy.
            recovery: String,
            /// Whether it helped.
            helped: bool,
        }
    }
}

mod resource {
    use crate::catalogue::announced;

    announced! { "agents";
        /// Something waits or is refused because of a limit.
        LimitReached "limit.reached" of agent {
            /// The agent's name.
            agent: String,
            /// The limit.
            limit: String,
            /// How much is allowed, in the limit's unit.
            allowed: u64,
        }
        /// A budget is spent.
        BudgetExhausted "budget.exhausted" of agent {
            /// The agent's name.
            agent: String,
            /// The budget.
            budget: String,
            /// How much it was, in its unit.
            allowed: u64,
        }
        /// The agent blocks a thread: one poll of it lasts long. Said again at intervals that double.
        ThreadBlocked "resource.thread_blocked" of agent {
            /// The agent's name.
            agent: String,
            /// The run that is polled.
            run: String,
            /// The run's steps that are under way.
            steps: Vec<String>,
            /// When the poll began, in milliseconds since 1970.
            since: u64,
            /// How long it has lasted, in milliseconds.
            lasts_ms: u64,
        }
        /// The agent came above its memory.
        MemoryExceeded "resource.memory_exceeded" of agent {
            /// The agent's name.
            agent: String,
            /// Bytes that are alive.
            bytes: u64,
            /// How many may be.
            allowed: u64,
        }
    }
}

pub use cluster::{NodeFenced, NodeJoined, NodeLeft, PartitionReleased, PartitionTaken};
pub use health::{HealthChanged, RecoveryBegan, RecoveryEnded};
pub use resource::{BudgetExhausted, LimitReached, MemoryExceeded, ThreadBlocked};

pub(super) fn sorts() -> Vec<super::Sort> {
    let mut sorts = resource::sorts();
    sorts.extend(health::sorts());
    sorts.extend(cluster::sorts());
    sorts
}
