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
            /// What is watched: `runtime`, an agent's id, or another name.
            watched: String,
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
        /// A call or a run waits or is refused because of a limit under which time makes room. Said once of each.
        LimitReached "limit.reached" of agent {
            /// The agent's name.
            agent: String,
            /// The run; nothing, where no run was accepted.
            run: Option<String>,
            /// The limit, as it is written in a file.
            limit: String,
            /// Whose limit it is: that of a `run`, an `agent`, a `tenant` or a `provider`.
            whose: String,
            /// How much is allowed, in the limit's unit; money in millionths of a dollar. Nothing: the agent does not know it.
            allowed: Option<u64>,
            /// Whether it waits; otherwise it is refused.
            waits: bool,
            /// When there will be room if nobody takes it before, in milliseconds since 1970, as far as is known.
            until: Option<u64>,
        }
        /// A call or a run waits or is refused because of a limit under which time alone makes no room. Said once of each.
        BudgetExhausted "budget.exhausted" of agent {
            /// The agent's name.
            agent: String,
            /// The run; nothing, where no run was accepted.
            run: Option<String>,
            /// The budget, as it is written in a file.
            budget: String,
            /// Whose budget it is: that of a `run`, an `agent` or a `tenant`.
            whose: String,
            /// How much it is, in its unit; money in millionths of a dollar. Nothing: the agent does not know it.
            allowed: Option<u64>,
            /// Whether it waits; otherwise it is refused.
            waits: bool,
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
