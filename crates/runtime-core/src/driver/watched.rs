//! Who watches the runtime and its agents, and what callers are told of it.

use std::sync::{Arc, OnceLock};

use runtime_traits::health::{HealthOverview, HealthReport, HealthSource, Watched};
use runtime_traits::id::AgentId;
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{AgentRef, NodeStatus, RuntimeError};
use tokio_util::sync::CancellationToken;

use super::manager::RuntimeManager;

/// Ends the runtime's own tasks, and its watch, when the last handle is gone. Runs under way are worked on: `shutdown` parks
/// them.
#[derive(Debug)]
pub(super) struct Alive {
    ending: Option<CancellationToken>,
    /// Kept here and not with what the tasks share: a watch looks at the runtime, and would keep it for ever.
    watch: OnceLock<(Tenant, Arc<dyn HealthSource>)>,
}

impl Alive {
    pub(super) fn new(ending: CancellationToken) -> Arc<Self> {
        Arc::new(Self { ending: Some(ending), watch: OnceLock::new() })
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(ending) = &self.ending {
            ending.cancel();
        }
    }
}

impl RuntimeManager {
    /// A handle for whoever watches the runtime: it keeps neither the runtime going nor the watch.
    #[must_use]
    pub fn observer(&self) -> Self {
        let alive = Arc::new(Alive { ending: None, watch: OnceLock::new() });
        Self { inner: Arc::clone(&self.inner), tenant: self.tenant.clone(), alive }
    }

    /// Tells callers from now on what this source knows, of the agents of this handle's tenant. It may look through an
    /// [`observer`](Self::observer) only. Whether it was taken: a runtime has one.
    pub fn watch_with(&self, source: Arc<dyn HealthSource>) -> bool {
        self.alive.watch.set((self.tenant.clone(), source)).is_ok()
    }

    /// Who knows how what is watched is; `None`: nobody was given.
    pub fn watched_by(&self) -> Option<&Arc<dyn HealthSource>> {
        self.alive.watch.get().map(|(_, source)| source)
    }

    pub(super) fn overview(&self) -> HealthOverview {
        let Some((tenant, source)) = self.alive.watch.get() else {
            return HealthOverview::of(Vec::new());
        };
        // What is no agent's is everybody's; the agents are one tenant's.
        let is_own = *tenant == self.tenant;
        source.overview(&|watched| is_own || *watched == Watched::Runtime)
    }

    pub(super) async fn health_of(&self, agent: &AgentRef) -> Result<HealthReport, RuntimeError> {
        let watched = Watched::Agent(self.inner.agent(&self.tenant, agent).await?.id);
        let report = self.watched_by().and_then(|source| source.report(&watched));
        Ok(report.unwrap_or_else(|| HealthReport::unwatched(watched, self.inner.clock.now())))
    }

    /// The runtime itself, with the worst of what is watched.
    pub(super) fn watched_status(&self) -> NodeStatus {
        let mut status = self.inner.node_status(&self.tenant);
        let Some((tenant, source)) = self.alive.watch.get() else { return status };
        status.health = if *tenant == self.tenant {
            source.worst()
        } else {
            source.report(&Watched::Runtime).map(|report| report.named())
        };
        status
    }

    /// The agent came to be: somebody may watch it from now on.
    pub(super) fn may_be_watched(&self, agent: AgentId) {
        if let Some((tenant, source)) = self.alive.watch.get()
            && *tenant == self.tenant
        {
            source.appeared(&Watched::Agent(agent));
        }
    }

    /// The agent is deleted: nobody watches it any longer.
    pub(super) fn watch_no_more(&self, agent: AgentId) {
        if let Some(source) = self.watched_by() {
            source.forget(&Watched::Agent(agent));
        }
    }
}
