//! Governors that each break one clause of the contract: what shows that the suite can fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Price, Usage};
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, OnLimit, Past, Refused, ResourceLimits, ResourceUsage, Waiting,
};
use runtime_traits::{CalledModel, ResourceGovernor, Tenant, UnixMillis};

/// What a [`WrongGovernor`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// What one run may take is not looked at where the agent may take as much as there is.
    LetsRunsTakeAll,
    /// What is settled again counts again.
    SettlesTwice,
    /// A call counts with no more than was held for it.
    ForgivesMore,
    /// What was taken without being held is dropped.
    RecordsNothing,
    /// The minutes before a restart are dropped.
    ForgetsMinutes,
    /// Who comes later comes first.
    LastComesFirst,
    /// A limit that is lowered stays as it was.
    LowersNothing,
    /// Who waits goes on waiting whatever its agent is to do.
    WaitsOn,
    /// All tenants share what one of them may use.
    MixesTenants,
    /// One more run than may is worked at once.
    LetsOneMoreIn,
    /// All that is called counts as if it were called with one credential.
    MixesCredentials,
    /// What has no price costs nothing.
    GivesAway,
}

/// A governor that is right but for its flaw.
#[derive(Debug)]
pub struct WrongGovernor {
    right: Arc<dyn ResourceGovernor>,
    flaw: Flaw,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The calls that were asked for, in their order.
    asked: Vec<Call>,
    /// How often each call was settled.
    settled: BTreeMap<CallId, u128>,
    /// The most tokens that each agent was ever to have.
    most: BTreeMap<AgentId, u64>,
}

impl Flaw {
    /// Every flaw with the clause that it breaks.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::LetsRunsTakeAll, "held-before-sent"),
        (Self::SettlesTwice, "once-by-id"),
        (Self::ForgivesMore, "settled-with-the-truth"),
        (Self::RecordsNothing, "recorded-counts"),
        (Self::ForgetsMinutes, "recalled-counts"),
        (Self::LastComesFirst, "waits-in-turn"),
        (Self::LowersNothing, "limits-at-once"),
        (Self::WaitsOn, "limits-at-once"),
        (Self::MixesTenants, "shared-by-a-tenant"),
        (Self::LetsOneMoreIn, "no-more-at-once"),
        (Self::MixesCredentials, "refused-to-one"),
        (Self::GivesAway, "unknown-price-is-not-zero"),
    ];
}

impl WrongGovernor {
    /// `right`, with a flaw.
    pub fn new(right: Arc<dyn ResourceGovernor>, flaw: Flaw) -> Self {
        Self { right, flaw, seen: Mutex::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is made of the limits of an agent.
    fn limits_of(&self, agent: &AgentId, limits: &ResourceLimits) -> ResourceLimits {
        let mut limits = *limits;
        match self.flaw {
            Flaw::LetsRunsTakeAll if limits.max_tokens_total.is_none() => limits.max_tokens_per_run = None,
            Flaw::WaitsOn => limits.on_limit = OnLimit::Wait,
            Flaw::LetsOneMoreIn => {
                limits.max_concurrent_requests = limits.max_concurrent_requests.map(|max| max + 1);
            }
            Flaw::LowersNothing => {
                if let Some(max) = &mut limits.max_tokens_total {
                    let mut seen = self.seen();
                    let most = seen.most.entry(*agent).or_default();
                    *most = (*most).max(*max);
                    *max = *most;
                }
            }
            _ => {}
        }
        limits
    }

    /// The call that was asked for first under this id.
    fn asked(&self, call: CallId) -> Option<Call> {
        self.seen().asked.iter().find(|asked| asked.id == call).cloned()
    }

    /// Settles once more what was settled, if it was, as another call.
    fn settle_again(&self, call: CallId, took: Usage, now: UnixMillis) -> Option<Price> {
        let asked = self.asked(call)?;
        let times = {
            let mut seen = self.seen();
            let times = seen.settled.entry(call).or_default();
            *times += 1;
            *times
        };
        if times < 2 {
            return None;
        }
        self.right.record(&Call { id: CallId(u128::MAX - call.0 - (times << 64)), most: took, ..asked }, now);
        Some(Price::default())
    }
}

impl ResourceGovernor for WrongGovernor {
    fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused> {
        self.right.check(tenant, limits, least)
    }

    fn limits_tenant(&self, tenant: &Tenant) -> bool {
        self.right.limits_tenant(tenant)
    }

    fn limit_together(&self, tenant: &Tenant, limits: &ResourceLimits) {
        self.right.limit_together(tenant, limits);
    }

    fn usage_together(&self, tenant: &Tenant, now: UnixMillis) -> Option<(ResourceLimits, ResourceUsage)> {
        self.right.usage_together(tenant, now)
    }

    fn limit(&self, tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known {
        self.right.limit(tenant, agent, &self.limits_of(agent, limits))
    }

    fn recall(&self, agent: &AgentId, past: &Past, now: UnixMillis) {
        let mut past = past.clone();
        if self.has(Flaw::ForgetsMinutes) {
            past.minutes.clear();
        }
        self.right.recall(agent, &past, now);
    }

    fn recall_tenant(&self, tenant: &Tenant, past: &Past, now: UnixMillis) {
        self.right.recall_tenant(tenant, past, now);
    }

    fn admit(&self, mut call: Call, now: UnixMillis) -> Admission {
        let nth = {
            let mut seen = self.seen();
            seen.asked.push(call.clone());
            seen.asked.len()
        };
        match self.flaw {
            Flaw::LastComesFirst => call.priority = u8::try_from(nth).unwrap_or(u8::MAX),
            Flaw::MixesTenants => call.tenant = Tenant::default(),
            Flaw::MixesCredentials => {
                call.model = call.model.map(|called| CalledModel { credential: None, ..called });
            }
            _ => {}
        }
        self.right.admit(call, now)
    }

    fn enter(
        &self,
        agent: &AgentId,
        run: &RunId,
        priority: u8,
    ) -> BoxFuture<'static, Result<Inside, Refused>> {
        self.right.enter(agent, run, priority)
    }

    fn settle(&self, call: CallId, mut took: Usage, now: UnixMillis) -> Price {
        if self.has(Flaw::SettlesTwice)
            && let Some(price) = self.settle_again(call, took, now)
        {
            return price;
        }
        if self.has(Flaw::ForgivesMore)
            && let Some(asked) = self.asked(call)
        {
            took.output_tokens = took.output_tokens.min(asked.most.output_tokens);
        }
        self.right.settle(call, took, now)
    }

    fn record(&self, call: &Call, now: UnixMillis) {
        if !self.has(Flaw::RecordsNothing) {
            self.right.record(call, now);
        }
    }

    fn price(&self, model: &str, usage: &Usage) -> Price {
        let price = self.right.price(model, usage);
        match self.flaw {
            Flaw::GivesAway => Price { micros: price.micros.or(Some(0)), ..price },
            _ => price,
        }
    }

    fn throttled(&self, call: CallId, retry_after: Option<Duration>, now: UnixMillis) {
        self.right.throttled(call, retry_after, now);
    }

    fn run_over(&self, run: &RunId) {
        self.right.run_over(run);
    }

    fn waiting(&self, run: &RunId) -> Option<Waiting> {
        self.right.waiting(run)
    }

    fn exhausted(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        least: Option<(&CalledModel, Usage)>,
        now: UnixMillis,
    ) -> Option<Refused> {
        self.right.exhausted(tenant, agent, least, now)
    }

    fn usage(&self, agent: &AgentId, now: UnixMillis) -> Option<ResourceUsage> {
        self.right.usage(agent, now)
    }

    fn usage_from(&self, limits: &ResourceLimits, past: &Past, now: UnixMillis) -> ResourceUsage {
        self.right.usage_from(limits, past, now)
    }

    fn forget(&self, agent: &AgentId) {
        self.right.forget(agent);
    }
}
