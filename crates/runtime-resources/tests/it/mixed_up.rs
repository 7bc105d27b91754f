//! A governor that does not tell credentials apart breaks the clause that is about them, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use runtime_resources::{QuotaRule, ResourceManager};
use runtime_testkit::suites::governor::{CASES, LIMITED, refused_to_one};
use runtime_traits::log::Price;
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, Past, Refused, ResourceGovernor, ResourceLimits, ResourceUsage,
    Waiting,
};
use runtime_traits::{AgentId, CalledModel, RunId, Tenant, UnixMillis, Usage};

use crate::manager::manager;

/// Counts all that is called as if it were called with one credential.
#[derive(Debug)]
struct MixedUp(Arc<ResourceManager>);

/// One that has a quota, as the suite wants it.
fn limited() -> Arc<ResourceManager> {
    let manager = manager();
    manager.declare_quota(QuotaRule { requests_per_minute: Some(60), ..QuotaRule::of_models([LIMITED]) });
    manager
}

fn mixed_up(called: CalledModel) -> CalledModel {
    CalledModel { credential: None, ..called }
}

impl ResourceGovernor for MixedUp {
    fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused> {
        self.0.check(tenant, limits, least)
    }

    fn limits_tenant(&self, tenant: &Tenant) -> bool {
        self.0.limits_tenant(tenant)
    }

    fn limit_together(&self, tenant: &Tenant, limits: &ResourceLimits) {
        self.0.limit_together(tenant, limits);
    }

    fn usage_together(&self, tenant: &Tenant, now: UnixMillis) -> Option<(ResourceLimits, ResourceUsage)> {
        self.0.usage_together(tenant, now)
    }

    fn limit(&self, tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known {
        self.0.limit(tenant, agent, limits)
    }

    fn recall(&self, agent: &AgentId, past: &Past, now: UnixMillis) {
        self.0.recall(agent, past, now);
    }

    fn recall_tenant(&self, tenant: &Tenant, past: &Past, now: UnixMillis) {
        self.0.recall_tenant(tenant, past, now);
    }

    fn admit(&self, call: Call, now: UnixMillis) -> Admission {
        self.0.admit(Call { model: call.model.map(mixed_up), ..call }, now)
    }

    fn enter(
        &self,
        agent: &AgentId,
        run: &RunId,
        priority: u8,
    ) -> BoxFuture<'static, Result<Inside, Refused>> {
        self.0.enter(agent, run, priority)
    }

    fn settle(&self, call: CallId, took: Usage, now: UnixMillis) -> Price {
        self.0.settle(call, took, now)
    }

    fn record(&self, call: &Call, now: UnixMillis) {
        self.0.record(call, now);
    }

    fn price(&self, model: &str, usage: &Usage) -> Price {
        self.0.price(model, usage)
    }

    fn throttled(&self, call: CallId, retry_after: Option<Duration>, now: UnixMillis) {
        self.0.throttled(call, retry_after, now);
    }

    fn run_over(&self, run: &RunId) {
        self.0.run_over(run);
    }

    fn waiting(&self, run: &RunId) -> Option<Waiting> {
        self.0.waiting(run)
    }

    fn exhausted(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        least: Option<(&CalledModel, Usage)>,
        now: UnixMillis,
    ) -> Option<Refused> {
        self.0.exhausted(tenant, agent, least, now)
    }

    fn usage(&self, agent: &AgentId, now: UnixMillis) -> Option<ResourceUsage> {
        self.0.usage(agent, now)
    }

    fn usage_from(&self, limits: &ResourceLimits, past: &Past, now: UnixMillis) -> ResourceUsage {
        self.0.usage_from(limits, past, now)
    }

    fn forget(&self, agent: &AgentId) {
        self.0.forget(agent);
    }
}

#[test]
fn a_governor_with_a_quota_holds_up_nobody_for_what_another_one_was_refused() {
    refused_to_one(limited());
}

#[test]
fn a_governor_that_mixes_credentials_up_fails_the_case_of_that_clause_and_no_other() {
    let broken = |case: fn(Arc<dyn ResourceGovernor>), governor: Arc<ResourceManager>| {
        catch_unwind(AssertUnwindSafe(|| case(Arc::new(MixedUp(governor))))).is_err()
    };
    assert!(broken(refused_to_one, limited()));
    for case in CASES {
        assert!(!broken(case.run, manager()), "{}", case.clause);
    }
}
