//! Which runs of an agent were accepted and have not begun.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::SessionName;
use runtime_traits::runtime::RuntimeError;

use super::id_map::IdMap;
use super::inner::AgentSlot;
use super::run_slot::RunSlot;
use crate::engine::session::Session;

/// Runs of an agent that were accepted and have not begun.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    /// Those behind others of their sessions.
    behind: usize,
    /// Those that their sessions let begin, and that wait as long as so many others are worked.
    entering: usize,
    /// Whether as many are worked as may.
    all_worked: bool,
}

impl Queue {
    fn of(id: &AgentId, agent: &AgentSlot, runs: &IdMap<RunId, Arc<RunSlot>>) -> Self {
        let behind = agent.sessions.iter().flat_map(|all| all.values()).map(Session::queued).sum();
        let at_once = agent.limits.as_ref().and_then(|limits| limits.max_concurrent_requests);
        let Some(most) = at_once.map(|most| most as usize) else { return Self { behind, ..Self::default() } };
        let open = runs.values().filter(|run| run.place.agent == *id && run.is_busy()).count();
        let begun = open.saturating_sub(behind);
        Self { behind, entering: begun.saturating_sub(most), all_worked: begun >= most }
    }

    fn len(self) -> usize {
        self.behind + self.entering
    }
}

/// How many runs of an agent count for how many may be queued.
pub(super) fn queued(id: &AgentId, agent: &AgentSlot, runs: &IdMap<RunId, Arc<RunSlot>>) -> u32 {
    u32::try_from(Queue::of(id, agent, runs).len()).unwrap_or(u32::MAX)
}

/// How many runs of the agent may be queued, if as many are and a further one of a session would be.
pub(super) fn full_queue(
    id: &AgentId,
    agent: &mut AgentSlot,
    runs: &IdMap<RunId, Arc<RunSlot>>,
    session: &SessionName,
) -> Option<u32> {
    let most = agent.limits.as_ref()?.max_queued?;
    let queue = Queue::of(id, agent, runs);
    let begins = agent.session(session).is_idle() && !queue.all_worked;
    (!begins && queue.len() >= most as usize).then_some(most)
}

/// What whoever asks for a run is told if as many are queued as may.
pub(super) fn queue_is_full(most: u32) -> RuntimeError {
    let what = "the agent's queue (`max_queued`)".to_owned();
    RuntimeError::Busy { what, limit: u64::from(most), retry_after: Duration::from_secs(1) }
}
