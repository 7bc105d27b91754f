//! Making a runtime be what a fleet file says.

use runtime_traits::resource::LimitsBy;
use runtime_traits::runtime::{AgentStatus, Want};
use runtime_traits::{AgentRef, Name, Runtime, RuntimeError};
use serde::Serialize;

use super::{Fleet, FleetAgent};

/// What applying a fleet file came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The agents of the file, in its order.
    pub agents: Vec<AppliedAgent>,
    /// The agents in the store that the file does not name. They are stopped, and nothing of them is deleted.
    pub left: Vec<Name>,
    /// What was done to what all agents may use together; `None`: the file says nothing about it, and did not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Change>,
}

/// An agent of the file, and what applying the file did to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppliedAgent {
    /// Its name.
    pub name: Name,
    /// What was done.
    pub change: Change,
}

/// What applying a fleet file did to an agent, or to what all may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added,
    /// Its declaration was another one, or somebody had changed it: this is its next revision.
    Changed,
    /// It was as the file says.
    Kept,
}

impl Fleet {
    /// Makes `runtime` be what the file says: registers new agents, gives changed ones their next revision, starts and
    /// stops as the file says, and schedules what it says: what it no longer declares it deletes, what somebody added by hand it leaves.
    /// Agents that the file does not name are stopped; nothing is deleted. What all agents may use
    /// together is what the file declares; where it declares nothing, what somebody set by hand stays.
    ///
    /// # Errors
    /// What the runtime says of the first agent that it does not take; those before it are applied.
    pub async fn apply(&self, runtime: &dyn Runtime) -> Result<Applied, RuntimeError> {
        let mut applied = Applied { limits: self.limit(runtime, true).await?, ..Applied::default() };
        for agent in &self.agents {
            let change = agent.register(runtime).await?;
            let name = AgentRef::from(agent.spec.name.clone());
            let want = runtime.agent(&name).await?.want;
            match (agent.start, want) {
                // A pause is somebody's decision about runs that are under way: only `resume` ends it.
                (true, Want::Stopped) => runtime.start(&name).await?,
                (false, Want::Active | Want::Paused) => runtime.stop(&name).await?,
                (true, Want::Active | Want::Paused) | (false, Want::Stopped) => {}
            }
            agent.schedule(runtime).await?;
            applied.agents.push(AppliedAgent { name: agent.spec.name.clone(), change });
        }
        for other in self.unnamed(runtime).await? {
            if other.want != Want::Stopped {
                runtime.stop(&AgentRef::from(other.id)).await?;
            }
            applied.left.push(other.name);
        }
        Ok(applied)
    }

    /// Registers what is new or changed, and starts and schedules what is new. Leaves everything else alone: for a command that uses
    /// the store for a moment, and does not undo what `agents stop` and `limits` did.
    ///
    /// # Errors
    /// As [`Fleet::apply`].
    pub async fn attach(&self, runtime: &dyn Runtime) -> Result<Applied, RuntimeError> {
        let mut applied = Applied { limits: self.limit(runtime, false).await?, ..Applied::default() };
        for agent in &self.agents {
            let change = agent.register(runtime).await?;
            if change == Change::Added {
                if agent.start {
                    runtime.start(&AgentRef::from(agent.spec.name.clone())).await?;
                }
                agent.schedule(runtime).await?;
            }
            applied.agents.push(AppliedAgent { name: agent.spec.name.clone(), change });
        }
        Ok(applied)
    }

    /// Sets what all agents may use together as the file says; `anew`: also where somebody changed it since.
    async fn limit(&self, runtime: &dyn Runtime, anew: bool) -> Result<Option<Change>, RuntimeError> {
        let declares = !self.limits.is_none();
        let set = runtime.kept_tenant_limits().await?;
        let change = match (set.by, declares) {
            (None, false) => return Ok(None),
            (None, true) => Change::Added,
            (Some(LimitsBy::FleetFile), _) if set.limits == self.limits => {
                return Ok(declares.then_some(Change::Kept));
            }
            (Some(LimitsBy::FleetFile), _) => Change::Changed,
            (Some(LimitsBy::Hand), true) if anew && set.limits == self.limits => Change::Kept,
            (Some(LimitsBy::Hand), true) if anew => Change::Changed,
            (Some(LimitsBy::Hand), _) => return Ok(None),
        };
        runtime.set_tenant_limits(self.limits, LimitsBy::FleetFile).await?;
        Ok(Some(change))
    }

    async fn unnamed(&self, runtime: &dyn Runtime) -> Result<Vec<AgentStatus>, RuntimeError> {
        let named = |status: &AgentStatus| {
            self.agents.iter().any(|agent| agent.spec.name.folded() == status.name.folded())
        };
        let mut unnamed = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = runtime.agents(after.as_deref(), 100).await?;
            unnamed.extend(page.items.into_iter().filter(|status| !named(status)));
            after = page.next;
            if after.is_none() {
                return Ok(unnamed);
            }
        }
    }
}

impl FleetAgent {
    async fn register(&self, runtime: &dyn Runtime) -> Result<Change, RuntimeError> {
        let name = AgentRef::from(self.spec.name.clone());
        let before = match runtime.agent(&name).await {
            Ok(status) => Some(status.revision),
            Err(RuntimeError::UnknownAgent { .. }) => None,
            Err(error) => return Err(error),
        };
        let id = runtime.register(self.spec.clone()).await?;
        let after = runtime.agent(&AgentRef::from(id)).await?.revision;
        Ok(match before {
            None => Change::Added,
            Some(before) if before != after => Change::Changed,
            Some(_) => Change::Kept,
        })
    }
}
