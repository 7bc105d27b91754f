//! Deleting: all that is stored of an agent goes, page by page. What is gone is not found again, so that whoever begins anew
//! after a crash goes on with the rest.

use runtime_codec::Due;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Key, Then};

use super::inner::Inner;
use super::load::{PAGE, read};
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Writes in one batch.
const GROUP: usize = 200;
/// Runs in one batch, three writes each.
const RUNS: u32 = 60;

impl Inner {
    /// Removes all that is stored under an agent's id, its snapshots apart. Large contents that were its own are then
    /// named by nothing, and go like others. Whoever calls this shares the partition's `names`.
    pub(super) async fn purge(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        lock(&self.home(agent.partition()).state).agents.remove(&agent.unique());
        lock(&self.warned).retain(|(of, _)| of != agent);
        self.ticks.forget(agent);
        self.disown_contents(tenant, agent).await?;
        self.purge_due(tenant, agent).await?;
        self.purge_runs(tenant, agent).await?;
        self.purge_messages(tenant, agent).await?;
        // Its own cells go last: as long as one is there, it is known to be half deleted.
        for sort in ["s", "idem", "size", "schedule", "a"] {
            self.purge_cells(&keys::of_agent(tenant, sort, agent)).await?;
        }
        Ok(())
    }

    /// What was to be done later for the agent. The cell that has the deletion completed stays.
    async fn purge_due(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        self.each_due(agent, |due| match due {
            Due::ForgetKey { cell } => {
                let of = Key::new(agent.partition(), cell).ok().as_ref().and_then(keys::of_idem);
                of.is_some_and(|(of, its, _)| of == *tenant && its == *agent).then(Vec::new)
            }
            // Also of a copy that was never complete: nothing else names its log.
            Due::Sweep { agent: of, run, .. } => {
                (of == *agent).then(|| vec![Then::Drop(keys::run_log(&run)), Then::Delete(keys::swept(&run))])
            }
            Due::Restore { agent: of, .. } | Due::Schedule { agent: of, .. } => (of == *agent).then(Vec::new),
            Due::Wake { .. } | Due::Unnamed { .. } | Due::SweepContents { .. } => None,
        })
        .await
    }

    /// The deletion is complete.
    pub(super) async fn forget_withdrawal(&self, agent: &AgentId) -> Result<(), RuntimeError> {
        self.each_due(agent, |due| {
            matches!(due, Due::Unnamed { agent: of, .. } if of == *agent).then(Vec::new)
        })
        .await
    }

    /// Deletes those cells of what is due in an agent's partition for which there is an answer, and writes that.
    async fn each_due(
        &self,
        agent: &AgentId,
        goes: impl Fn(Due) -> Option<Vec<Then>>,
    ) -> Result<(), RuntimeError> {
        let its = agent.unique().simple().to_string();
        let mut after: Option<Key> = None;
        loop {
            let under = keys::due_all(agent.partition());
            let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
            let mut then = Vec::new();
            for (key, cell) in &page {
                let with = match read(key, cell) {
                    Ok(due) => goes(due),
                    // Its path says whose it is, or nothing does: then it is not known to be the agent's.
                    Err(_) if keys::last_part(key) == Some(its.as_str()) => Some(Vec::new()),
                    Err(error) => {
                        tracing::warn!(%agent, %error, "what is due cannot be read; it stays");
                        None
                    }
                };
                if let Some(with) = with {
                    then.extend(with);
                    then.push(Then::Delete(key.clone()));
                }
            }
            self.write_in_groups(agent, &then).await?;
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    async fn purge_runs(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        loop {
            let page = self.store.scan(&keys::ended_all(tenant, agent), None, RUNS).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut then = Vec::new();
            for (key, _) in page {
                if let Some(unique) = keys::last_part(&key).and_then(|id| uuid::Uuid::try_parse(id).ok()) {
                    let run = RunId::from_parts(agent.partition(), unique);
                    then.extend([Then::Drop(keys::run_log(&run)), Then::Delete(keys::swept(&run))]);
                }
                then.push(Then::Delete(key));
            }
            self.write_in_groups(agent, &then).await?;
        }
    }

    async fn purge_messages(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let under = keys::messages_all(tenant, agent);
        let mut after = None;
        loop {
            // A store may go on listing a log that was dropped.
            let page = self.store.logs(&under, after.as_ref(), PAGE).await?;
            let Some(last) = page.last().map(|extent| extent.log.clone()) else { return Ok(()) };
            let then: Vec<Then> = page.into_iter().map(|extent| Then::Drop(extent.log)).collect();
            self.write_in_groups(agent, &then).await?;
            after = Some(last);
        }
    }

    async fn purge_cells(&self, under: &Key) -> Result<(), RuntimeError> {
        loop {
            let page = self.store.scan(under, None, GROUP as u32).await?;
            if page.is_empty() {
                return Ok(());
            }
            let then = page.into_iter().map(|(key, _)| Then::Delete(key)).collect();
            self.commit_now(under.partition, Writes::of(Vec::new(), then)).await?;
        }
    }

    async fn write_in_groups(&self, agent: &AgentId, then: &[Then]) -> Result<(), RuntimeError> {
        for group in then.chunks(GROUP) {
            self.commit_now(agent.partition(), Writes::of(Vec::new(), group.to_vec())).await?;
        }
        Ok(())
    }
}
