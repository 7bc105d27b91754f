//! Runs are held to the limits that their agent has now.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::log::Entry;
use runtime_traits::resource::ResourceLimits;

use super::finish::accepted_of;
use super::inner::Inner;
use super::run_slot::{Stage, lock};
use crate::engine::batches::Place;
use crate::engine::fork::began;
use crate::engine::machine::RunMachine;

impl Inner {
    /// Holds the runs of an agent to other limits: those that are worked from now on, those that wait when they look again,
    /// which is now.
    pub(super) fn hold_runs(&self, agent: &AgentId) {
        let state = lock(&self.home(agent.partition()).state);
        let limits = state.agents.get(&agent.unique()).and_then(|agent| agent.limits.as_deref());
        for slot in state.runs.values().filter(|slot| slot.place.agent == *agent) {
            self.look_now(slot);
            if let Stage::Working(machine) = slot.stage() {
                hold_to(&mut lock(&machine), limits);
                slot.signal.raise();
            }
        }
    }

    /// When a run has to be over: by its own deadline, and by the time that its agent's limits give a run.
    pub(super) fn deadline_of(&self, place: &Place, log: &[Entry]) -> Option<UnixMillis> {
        let own = accepted_of(log)?.deadline;
        let most = self.in_agent(place, |agent| most_time(agent.limits.as_deref())).flatten();
        let limit = most.and_then(|most| began(log).map(|began| began.after(most)));
        own.into_iter().chain(limit).min()
    }
}

/// Bounds what a run that is worked may take by itself.
pub(super) fn hold_to(machine: &mut RunMachine, limits: Option<&ResourceLimits>) {
    machine.hold_to(limits.and_then(|limits| limits.max_steps_per_run), most_time(limits));
}

fn most_time(limits: Option<&ResourceLimits>) -> Option<Duration> {
    limits.and_then(|limits| limits.max_run_seconds).map(Duration::from_secs)
}
