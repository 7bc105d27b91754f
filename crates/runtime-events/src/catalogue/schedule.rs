//! Schedules of agents.

use super::announced;

announced! { "agents";
    /// A schedule began a run.
    ScheduleFired "schedule.fired" of agent {
        /// The agent's name.
        agent: String,
        /// The schedule.
        schedule: String,
        /// The moment for which it did, in milliseconds since 1970.
        tick: u64,
        /// The run.
        run: String,
    }
    /// Moments of a schedule got no run of their own: the runtime was down, the agent took no runs, or there was no room.
    ScheduleMissed "schedule.missed" of agent {
        /// The agent's name.
        agent: String,
        /// The schedule.
        schedule: String,
        /// The first of them, in milliseconds since 1970.
        from: u64,
        /// The last one, in milliseconds since 1970.
        upto: u64,
        /// How many. Of one gap at most 10,000 are counted.
        count: u64,
        /// The rule by which they were left out: `skip`, or `once`, where one run makes up for them.
        rule: String,
    }
}
