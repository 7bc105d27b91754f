//! What was used, as it is told and as it is shown.

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Limit, Past, ResourceLimits, ResourceUsage, Used};

use super::{AgentBook, Books};
use crate::ledger::Ledger;

impl AgentBook {
    fn usage(&mut self, waiting: u32, now: UnixMillis) -> ResourceUsage {
        let usage = usage_of(&mut self.ledger, waiting, now);
        let at_once = self.permits.max().map(|max| Used {
            limit: Limit::MaxConcurrentRequests,
            used: u64::from(self.permits.held()),
            max: Some(u64::from(max)),
        });
        ResourceUsage { limits: usage.limits.into_iter().chain(at_once).collect(), ..usage }
    }
}

impl Books {
    pub(in crate::manager) fn usage(&mut self, agent: &AgentId, now: UnixMillis) -> Option<ResourceUsage> {
        let waiting = self.queues.waiting_for(agent);
        let book = self.agents.get_mut(agent).filter(|book| book.known)?;
        Some(book.usage(waiting, now))
    }

    pub(in crate::manager) fn tenant_usage(&mut self, tenant: &Tenant, now: UnixMillis) -> Vec<Used> {
        self.tenants.get_mut(tenant).map(|ledger| ledger.used(now)).unwrap_or_default()
    }

    pub(in crate::manager) fn usage_together(
        &mut self,
        tenant: &Tenant,
        now: UnixMillis,
    ) -> Option<(ResourceLimits, ResourceUsage)> {
        let waiting = self.queues.waiting_of_tenant(tenant);
        let ledger = self.tenants.get_mut(tenant)?;
        Some((ledger.budgets().as_limits(), usage_of(ledger, waiting, now)))
    }
}

/// What a ledger says is used.
fn usage_of(ledger: &mut Ledger, waiting: u32, now: UnixMillis) -> ResourceUsage {
    let used = ledger.used(now);
    let of = |limit| used.iter().find(|used| used.limit == limit).map_or(0, |used| used.used);
    ResourceUsage {
        memory_mb: None,
        tokens_used_last_minute: of(Limit::MaxTokensPerMinute),
        requests_last_minute: of(Limit::MaxRequestsPerMinute),
        tokens_total: of(Limit::MaxTokensTotal),
        limits: used.into_iter().filter(|used| used.max.is_some()).collect(),
        waiting,
    }
}

/// What an agent uses of which nobody keeps a book.
pub(in crate::manager) fn usage_from(limits: &ResourceLimits, past: &Past, now: UnixMillis) -> ResourceUsage {
    let mut book = AgentBook::new();
    book.set_limits(limits);
    recall(&mut book.ledger, past, now);
    book.usage(0, now)
}

/// Charges what was used before this process.
pub(super) fn recall(ledger: &mut Ledger, past: &Past, now: UnixMillis) {
    for minute in &past.minutes {
        let at = minute.at.min(now);
        ledger.record_of(Limit::MaxRequestsPerMinute, at, minute.requests);
        ledger.record_of(Limit::MaxTokensPerMinute, at, minute.tokens);
        ledger.record_of(Limit::MaxCostPerHour, at, minute.micros);
    }
    for hour in &past.hours {
        ledger.record_of(Limit::MaxCostPerDay, hour.at.min(now), hour.micros);
    }
    ledger.record_of(Limit::MaxCostPerMonth, now, past.month_micros);
    ledger.record_of(Limit::MaxTokensTotal, now, past.tokens);
    ledger.record_of(Limit::MaxCostTotal, now, past.micros);
}
