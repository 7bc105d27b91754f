//! What an agent used, over time.

use runtime_traits::name::Tenant;
use runtime_traits::resource::UsageHistory;
use runtime_traits::runtime::{AgentRef, RuntimeError};

use super::govern::number;
use super::inner::Inner;
use crate::engine::keys;
use crate::engine::spent::Spent;
use crate::engine::usage_history::history;

impl Inner {
    pub(super) async fn usage_history(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
    ) -> Result<UsageHistory, RuntimeError> {
        // One that is deleted, or never was, is no agent that used nothing.
        let id = self.agent(tenant, agent).await?.id;
        if self.governing.is_none() {
            return Ok(UsageHistory::default());
        }
        // Open runs first: one that ends meanwhile may count twice, and is not forgotten.
        let open = self.open_use(id.partition(), |place| place.agent == id).await?;
        let open: Vec<Spent> = open.into_iter().flat_map(|(_, used)| used).collect();
        let cells = self.cells(&keys::usage(tenant, &id, "")).await?;
        let mut sums = Vec::with_capacity(cells.len());
        for (key, cell) in &cells {
            sums.push((keys::last_part(key).unwrap_or_default(), number(key, &cell.value)?));
        }
        Ok(history(sums, &open, self.clock.now()))
    }
}
