//! A lock for each agent, while somebody wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use runtime_traits::id::AgentId;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::run_slot::lock;

/// From so many on, those are looked for that nobody wants any more.
const MANY: usize = 64;

/// The locks of a partition's agents. One that takes long with its agent keeps no other agent waiting.
#[derive(Debug, Default)]
pub(super) struct AgentLocks(Mutex<HashMap<Uuid, Weak<tokio::sync::Mutex<()>>>>);

impl AgentLocks {
    /// Waits until nobody else has the agent's lock.
    pub(super) async fn lock(&self, agent: &AgentId) -> OwnedMutexGuard<()> {
        self.of(agent).lock_owned().await
    }

    /// The agent's lock, if nobody has it.
    pub(super) fn try_lock(&self, agent: &AgentId) -> Option<OwnedMutexGuard<()>> {
        self.of(agent).try_lock_owned().ok()
    }

    fn of(&self, agent: &AgentId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = lock(&self.0);
        if let Some(known) = locks.get(&agent.unique()).and_then(Weak::upgrade) {
            return known;
        }
        if locks.len() >= MANY {
            locks.retain(|_, known| known.strong_count() > 0);
        }
        let new = Arc::default();
        locks.insert(agent.unique(), Arc::downgrade(&new));
        new
    }
}
