//! What an agent used, over time.

use runtime_traits::name::Tenant;
use runtime_traits::resource::UsageHistory;
use runtime_traits::runtime::{AgentRef, RuntimeError};

use super::govern::{UnderWay, number};
use super::inner::Inner;
use crate::engine::keys;
use crate::engine::spent::kept_until;
use crate::engine::usage_history::history;

impl Inner {
    pub(super) async fn usage_history(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
    ) -> Result<UsageHistory, RuntimeError> {
        // One that is deleted, or never was, is no agent that used nothing.
        let id = self.agent(tenant, agent).await?.id;
        let Some(governing) = &self.governing else { return Ok(UsageHistory::default()) };
        // Open runs first: one that ends meanwhile may count twice, and is not forgotten. What is held for calls under way is not
        // used yet.
        let open = self.open_use(id.partition(), |place| place.agent == id, UnderWay::Held).await?;
        let cells = self.cells(&keys::usage(tenant, &id, "")).await?;
        let now = self.clock.now();
        let mut sums = Vec::with_capacity(cells.len());
        for (key, cell) in &cells {
            let what = keys::last_part(key).unwrap_or_default();
            let Some(until) = kept_until(what) else { continue };
            governing.keep_until(until, key.clone());
            if until > now {
                sums.push((what, number(key, &cell.value)?));
            }
        }
        Ok(history(sums, open.iter().flat_map(|(_, used)| used), now))
    }

    /// Lets cells go of minutes and hours that nobody needs any more, in all partitions that this process owns.
    pub(super) async fn let_all_use_go(&self) {
        if self.config.at_rest {
            return;
        }
        for home in self.partitions.iter().filter(|home| home.owner.initialized()) {
            if let Err(error) = self.let_use_go(home.partition, self.clock.now()).await {
                tracing::warn!(partition = %home.partition, %error, "counts that nobody needs any more stay for now");
            }
        }
    }
}
