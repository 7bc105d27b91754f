//! Lifecycle: agents and their snapshots.

use super::announced;

announced! { "agents";
    /// An agent was registered.
    AgentRegistered "agent.registered" of agent {
        /// Its name.
        agent: String,
        /// Its id.
        agent_id: String,
        /// Its kind.
        kind: String,
    }
    /// An agent was declared anew.
    AgentRevised "agent.revised" of agent {
        /// Its name.
        agent: String,
        /// Its id.
        agent_id: String,
        /// The number of its declaration.
        revision: u32,
    }
    /// An agent takes runs.
    AgentStarted "agent.started" of agent {
        /// Its name.
        agent: String,
        /// Its id.
        agent_id: String,
        /// Counts what was wanted of it.
        generation: u64,
    }
    /// No step of an agent begins; it takes runs.
    AgentPaused "agent.paused" of agent {
        /// Its name.
        agent: String,
        /// Its id.
        agent_id: String,
        /// Counts what was wanted of it.
        generation: u64,
    }
    /// An agent takes no runs.
    AgentStopped "agent.stopped" of agent {
        /// Its name.
        agent: String,
        /// Its id.
        agent_id: String,
        /// Counts what was wanted of it.
        generation: u64,
    }
    /// An agent is deleted: it has no name any more, and what is stored of it goes. Nothing more is told of it.
    AgentDeleted "agent.deleted" of agent {
        /// The name that it had.
        agent: String,
        /// Its id.
        agent_id: String,
    }
    /// An agent was frozen.
    SnapshotSaved "snapshot.saved" of agent {
        /// Its name.
        agent: String,
        /// The snapshot.
        state_id: String,
    }
    /// An agent was put back, or made of a snapshot.
    SnapshotRestored "snapshot.restored" of agent {
        /// Its name.
        agent: String,
        /// The snapshot.
        state_id: String,
        /// Whether it was put back in its place.
        in_place: bool,
    }
}
